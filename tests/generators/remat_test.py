"""Rematerialization changes what is kept for the gradient, and nothing else."""

import keras
import numpy as np
import pytest

from contracts import ON_JAX
from keras_drift.generators.attention import Attention

DEPTH = 1  # JAX compiles a training step of each for seconds


@pytest.fixture
def pair(tiny_dit, randomized):
    """Networks of the same weights, without and with rematerialization."""
    plain, remat = (tiny_dit(depth=DEPTH, remat=on) for on in (False, True))
    remat.set_weights(randomized(plain).get_weights())
    return plain, remat


def train(network):
    """The loss of one step, and how often attention was computed or traced.

    Under rematerialization PyTorch computes, and TensorFlow traces, every block
    twice.
    """
    calls = []
    call = Attention.call

    def counted(self, tokens, training=None):
        calls.append(self)
        return call(self, tokens, training)

    inputs = network.sample_inputs(3, seed=0)
    network.compile(keras.optimizers.SGD(0.1), loss="mse", jit_compile=ON_JAX)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Attention, "call", counted)
        targets = np.ones((3, *network.sample_shape))
        loss = network.train_on_batch(inputs, targets)
    return float(loss), len(calls)


def test_loss_and_gradients_are_the_same(pair):
    plain, remat = pair
    before = plain.get_weights()
    losses, calls = zip(*map(train, pair), strict=True)
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    moved = 0
    weights = zip(before, plain.get_weights(), remat.get_weights(), strict=True)
    for start, expected, found in weights:
        np.testing.assert_allclose(found, expected, atol=1e-5)
        moved += not np.array_equal(start, expected)
    assert moved == len(before)
    if not ON_JAX:
        assert calls[1] - calls[0] == DEPTH


@pytest.mark.skipif(not ON_JAX, reason="others call the blocks again")
def test_every_block_is_rematerialized_on_jax(pair):
    import jax

    def program(network):
        trainable = [v.value for v in network.trainable_variables]
        others = [v.value for v in network.non_trainable_variables]
        inputs = network.sample_inputs(3, seed=0)

        def loss(trainable):
            samples, _ = network.stateless_call(trainable, others, inputs)
            return samples.sum()

        return str(jax.make_jaxpr(jax.grad(loss))(trainable))

    plain, remat = map(program, pair)
    assert "prevent_cse" not in plain
    assert remat.count("prevent_cse") == DEPTH

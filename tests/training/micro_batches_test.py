"""Gradients of a batch in parts, with one field over all of them."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_drift as kd
from contracts import ON_JAX
from contracts import numpy
from keras_drift import backend
from keras_drift.training.micro_batches import in_parts

BACKEND = keras.backend.backend()
DATA = kd.datasets.eight_gaussians(48, seed=0)
LABELS = np.arange(48) % 4


class Narrow(kd.encoders.Encoder):
    """A small frozen network with one feature."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense = keras.layers.Dense(3, activation="tanh")
        self.trainable = False

    def build(self, input_shape):
        self.dense.build(input_shape)
        self.built = True

    def call(self, samples):
        return {"dense": self.dense(samples)[:, None]}


def trained(micro_batches, labels=None, **options):
    """Logs and weights after three steps."""
    keras.utils.set_random_seed(0)
    classes = None if labels is None else 4
    model = kd.DriftModel(
        kd.generators.MLP(2, hidden_dims=(8, 8), num_classes=classes),
        kd.drifts.KernelDrift(
            kd.kernels.Laplacian([0.3, 1.0]),
            "dual",
            self_interaction="independent",
        ),
        encoder=Narrow(),
        micro_batches=micro_batches,
        seed=0,
        **options,
    )
    model.compile(keras.optimizers.SGD(0.1))
    arguments = () if labels is None else (labels,)
    history = model.fit(DATA, *arguments, batch_size=16, verbose=0).history
    weights = np.concatenate([w.ravel() for w in model.get_weights()])
    return np.array([history["loss"][0], history["drift_norm"][0]]), weights


def test_parts_train_as_the_whole_batch():
    logs, weights = trained(1)
    found_logs, found_weights = trained(8)
    np.testing.assert_allclose(found_logs, logs, rtol=1e-5)
    np.testing.assert_allclose(
        found_weights, weights, atol=1e-5 * np.max(np.abs(weights))
    )


def test_parts_of_samples_with_classes():
    guided = {
        "guidance_sampler": kd.PowerLawGuidance(),
        "stop_gradient": False,
        "num_generated": 4,
    }
    logs, weights = trained(1, LABELS, **guided)
    found_logs, found_weights = trained(2, LABELS, **guided)
    np.testing.assert_allclose(found_logs, logs, rtol=1e-5)
    np.testing.assert_allclose(
        found_weights, weights, atol=1e-5 * np.max(np.abs(weights))
    )


def wide():
    return keras.Sequential(
        [keras.Input((4,))]
        + [keras.layers.Dense(64, activation="gelu") for _ in range(3)]
        + [keras.layers.Dense(2)]
    )


def gradient(network, x, count):
    """The gradient of a sum of squares for the inputs."""
    return backend.gradient(
        lambda x: ops.sum(ops.square(in_parts(network, x, count))), x
    )


@pytest.mark.skipif(BACKEND == "tensorflow", reason="it cannot be asked")
def test_memory_is_that_of_a_part():
    network, x = wide(), ops.ones((1024, 4))
    if ON_JAX:
        import jax

        def memory(count):
            compiled = jax.jit(lambda x: gradient(network, x, count)).lower(x)
            return compiled.compile().memory_analysis().temp_size_in_bytes

    else:
        memory = lambda count: kept(network, x, count)  # noqa: E731
    assert memory(8) < memory(1) / 4


def kept(network, x, count):
    """Most bytes of activations that were kept for a gradient at once."""
    import weakref

    import torch

    alive, most = {}, [0]

    class Kept:
        def __init__(self, tensor):
            self.tensor = tensor

    def pack(tensor):
        item = Kept(tensor)
        storage = tensor.untyped_storage()
        key = id(item)
        alive[key] = storage.data_ptr(), storage.nbytes()
        weakref.finalize(item, alive.pop, key)
        most[0] = max(most[0], sum(dict(alive.values()).values()))
        return item

    with torch.autograd.graph.saved_tensors_hooks(
        pack, lambda item: item.tensor
    ):
        gradient(network, x, count)
    return most[0]


def test_the_number_of_parts_divides_the_samples():
    network = wide()
    with pytest.raises(ValueError, match=r"micro_batches=3, 16 samples"):
        in_parts(network, np.ones((16, 4), "float32"), 3)
    whole = numpy(network(np.ones((6, 4))))
    np.testing.assert_allclose(
        numpy(in_parts(network, ops.ones((6, 4)), 3)), whole, rtol=1e-6
    )


def test_refuses_a_generator_that_is_not_the_same_twice():
    for layer in (
        keras.layers.Dropout(0.1),
        keras.layers.BatchNormalization(),
        keras.layers.SpectralNormalization(keras.layers.Dense(2)),
        keras.layers.Dense(2, activity_regularizer="l2"),
    ):
        noise = keras.Input((4,), name="noise")
        network = keras.Model(noise, keras.layers.Dense(2)(layer(noise)))
        generator = kd.generators.Functional(network)
        with pytest.raises(ValueError, match=r"nor `BatchNormalization`"):
            kd.DriftModel(generator, micro_batches=2)
        kd.DriftModel(generator)
    with pytest.raises(ValueError, match=r"micro_batches=0"):
        kd.DriftModel(kd.generators.MLP(2), micro_batches=0)

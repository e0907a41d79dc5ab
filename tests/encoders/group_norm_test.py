import keras
import numpy as np
import pytest
from keras import layers
from keras import ops

from contracts import BACKEND
from contracts import assert_close
from contracts import gradient
from contracts import in_one_program
from keras_drift.encoders.group_norm import GroupNormalization

SHAPE = (3, 5, 4, 12)


def pair(groups, **options):
    """This layer, and that of Keras with the same weights."""
    rng = np.random.default_rng(groups)
    found = []
    for kind in (GroupNormalization, layers.GroupNormalization):
        layer = kind(groups, epsilon=1e-6, **options)
        layer.build((None, None, None, SHAPE[-1]))
        found.append(layer)
    for one, two in zip(*(layer.variables for layer in found), strict=True):
        one.assign(rng.normal(size=one.shape).astype("float32"))
        two.assign(one)
    return found


def draw(shift=0.0):
    rng = np.random.default_rng(0)
    scales = rng.uniform(0.1, 3.0, SHAPE[-1])
    return (shift + rng.normal(size=SHAPE) * scales).astype("float32")


def by_hand(x, layer):
    """In float64."""
    grouped = x.astype("float64").reshape(
        len(x), -1, layer.groups, 12 // layer.groups
    )
    mean = grouped.mean(axis=(1, 3), keepdims=True)
    variance = grouped.var(axis=(1, 3), keepdims=True)
    normed = ((grouped - mean) / np.sqrt(variance + 1e-6)).reshape(x.shape)
    gamma, beta = map(ops.convert_to_numpy, (layer.gamma, layer.beta))
    return normed * gamma + beta


@pytest.mark.parametrize("groups", [1, 3, 12])
@pytest.mark.parametrize("shift", [0.0, 100.0])
def test_is_its_definition(groups, shift):
    """Where the mean is a hundred times the deviation as well."""
    ours, theirs = pair(groups)
    x = draw(shift)
    found = ops.convert_to_numpy(in_one_program(ours)(ops.convert_to_tensor(x)))
    if not (shift and BACKEND == "torch"):  # it runs Keras' own, which rounds
        assert_close(found, by_hand(x, ours), 1e-4 if shift else 1e-6)
    if shift == 0:
        assert_close(found, ops.convert_to_numpy(theirs(x)), 1e-6)
    names = [each.path.split("/")[-1] for each in theirs.variables]
    assert [each.path.split("/")[-1] for each in ours.variables] == names


def test_gradients_are_those_of_keras():
    found = [
        ops.convert_to_numpy(
            gradient(
                lambda x, layer=layer: ops.sum(layer(x) ** 3),
                ops.convert_to_tensor(draw()),
            )
        )
        for layer in pair(3)
    ]
    assert_close(found[0], found[1], 1e-5)


@pytest.mark.parametrize("dtype", ["mixed_float16", "mixed_bfloat16"])
def test_reduces_in_float32(dtype):
    """Squares of a map of 300 do not fit into float16."""
    ours, _ = pair(3, dtype=dtype)
    x = ops.convert_to_tensor(300.0 * draw(), ours.compute_dtype)
    found = ours(x)
    assert keras.backend.standardize_dtype(found.dtype) == ours.compute_dtype
    expected = by_hand(ops.convert_to_numpy(ops.cast(x, "float32")), ours)
    found = ops.convert_to_numpy(ops.cast(found, "float32"))
    assert_close(found, expected, 1e-2)


def test_files_of_weights_are_those_of_keras(tmp_path):
    """Keras names what is in a list by its class, as only the files show."""

    class InAList(keras.Model):
        def __init__(self, kind):
            super().__init__()
            self.norms = [kind(3), kind(3)]

        def call(self, maps):
            return self.norms[1](self.norms[0](maps))

    models = [InAList(GroupNormalization), InAList(layers.GroupNormalization)]
    for model in models:
        model(draw())
    path = tmp_path / "norms.weights.h5"
    for one, two in (models, reversed(models)):
        one.norms[1].gamma.assign_add(np.ones(SHAPE[-1], "float32"))
        one.save_weights(path)
        two.load_weights(path)
        np.testing.assert_array_equal(
            ops.convert_to_numpy(two.norms[1].gamma),
            ops.convert_to_numpy(one.norms[1].gamma),
        )

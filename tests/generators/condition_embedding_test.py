import keras
import numpy as np
import pytest

from contracts import copy_of
from contracts import numpy
from keras_drift.generators.condition_embedding import ConditionEmbedding

INPUTS = {
    "labels": np.array([2, 0], "int32"),
    "guidance": np.array([1.0, 3.25], "float32"),
    "styles": np.array([[3, 0], [1, 2]], "int32"),
}


def built(**changes):
    sizes = {"num_classes": 3, "num_style_tokens": 2, "style_codebook_size": 4}
    layer = ConditionEmbedding(8, **(sizes | changes))
    layer.build({key: value.shape for key, value in INPUTS.items()})
    return layer


@pytest.mark.parametrize(
    "changes", [{}, {"num_classes": None}, {"num_style_tokens": 0}], ids=str
)
def test_matches_the_formula(changes, randomized):
    layer = randomized(built(**changes))
    expected = np.stack([by_hand(layer, i) for i in range(2)])
    result = numpy(layer(INPUTS))
    np.testing.assert_allclose(result, expected, atol=1e-5)
    copy = copy_of(layer)
    copy.set_weights(layer.get_weights())
    np.testing.assert_array_equal(numpy(copy(INPUTS)), result)


def by_hand(layer, i):
    """Of one sample; its styles are two tables of four rows."""
    weights = {v.path.partition("/")[2]: numpy(v) for v in layer.variables}
    total = np.zeros(8)
    if layer.num_classes is not None:
        total += weights["classes/embeddings"][INPUTS["labels"][i]]
        angles = [
            INPUTS["guidance"][i] * 10000 ** (-j / 128) for j in range(128)
        ]
        x = np.concatenate([np.cos(angles), np.sin(angles)])
        x = x @ weights["guidance_in/kernel"] + weights["guidance_in/bias"]
        x = x / (1 + np.exp(-x))
        x = x @ weights["guidance_out/kernel"] + weights["guidance_out/bias"]
        x = x / np.sqrt(np.mean(x**2) + 1e-6)
        total += 0.02 * x * weights["guidance_norm/scale"]
    if layer.num_style_tokens:
        first, second = weights["styles/embeddings"].reshape(2, 4, 8)
        total += first[INPUTS["styles"][i, 0]]
        total += second[INPUTS["styles"][i, 1]]
    return total


def test_says_its_shape():
    layer = built()
    shapes = {key: (None, *value.shape[1:]) for key, value in INPUTS.items()}
    assert layer.compute_output_shape(shapes) == (None, 8)


def test_half_precision_does_not_round_the_guidance_scale():
    full = built(num_style_tokens=0)
    half = built(num_style_tokens=0, dtype="mixed_bfloat16")
    # Without the class, in whose rounding all else would vanish.
    weights = full.get_weights()
    weights[0][:] = 0
    full.set_weights(weights)
    half.set_weights(weights)
    # A hundred turns of the fastest angle: bfloat16 knows 630 and 632 there.
    inputs = {**INPUTS, "guidance": np.array([629.0, 631.0], "float32")}
    expected = numpy(full(inputs))
    result = numpy(keras.ops.cast(half(inputs), "float32"))
    np.testing.assert_allclose(result, expected, atol=0.05 * expected.std())

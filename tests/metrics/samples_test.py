import keras
import numpy as np
import pytest
from keras import ops

from contracts import numpy
from keras_drift import kernels
from keras_drift import metrics
from keras_drift.metrics import samples


def split(y_true, y_pred):
    *sets, size = samples.split(y_true, y_pred)
    sets = [ops.convert_to_numpy(each)[:, 0].tolist() for each in sets]
    return (*sets, size)


def column(*values):
    return np.array(values, "float32")[:, None]


def test_real_samples_are_dealt_in_turns():
    _, reference, real, size = split(column(0, 1, 2, 3, 4), column(7, 8))
    assert (reference, real, size) == ([1, 3], [0, 2], 2)


def test_generated_samples_are_thinned_evenly():
    generated, *_ = split(column(0, 1, 2, 3), column(10, 11, 12, 13, 14, 15))
    assert generated == [10, 13]


def test_few_generated_samples_cut_all_sets():
    generated, reference, real, size = split(column(*range(8)), column(9, 10))
    assert (generated, reference, real) == ([9, 10], [1, 5], [0, 4])
    assert size == 2


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize(
    ("num_real", "num_generated"), [(32, 24), (32, 12), (6, 7)]
)
def test_thinned_sets_have_equally_many_samples_of_each_class(
    known, num_real, num_generated
):
    if not known and keras.backend.backend() != "tensorflow":
        pytest.skip("sizes are always known")
    sets = [
        np.repeat(np.arange(5, dtype="float32"), n)[:, None]
        for n in (num_real, num_generated)
    ]
    thin = in_one_graph if not known else samples.split
    for each in thin(*sets)[:3]:
        counts = np.unique(numpy(each), return_counts=True)[1]
        kept = min(num_real // 2, num_generated)
        np.testing.assert_array_equal(counts, [kept] * 5)


def in_one_graph(real, generated):
    """Splits where the sizes are only known when the code runs."""
    import tensorflow as tf

    columns = tf.TensorSpec([None, 1], "float32")
    split = tf.function(samples.split, input_signature=[columns, columns])
    return split(real, generated)


def test_large_sets_are_thinned_beyond_32_bits():
    generated, *_ = samples.split(
        np.zeros((140_000, 1)), np.arange(100_000)[:, None]
    )
    generated = numpy(generated)[:, 0]
    assert generated[[0, -1]].tolist() == [0, 99_998]
    assert np.all(np.diff(generated) > 0)


def test_flattens_samples_of_any_rank():
    x = np.arange(24.0).reshape(2, 3, 4)
    flat = ops.convert_to_numpy(samples.flatten(x, "x"))
    np.testing.assert_array_equal(flat, x.reshape(2, 12))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "uint8", "int32"])
def test_computes_in_float32(dtype):
    x = ops.cast(np.ones((2, 3)), dtype)
    flat = samples.flatten(x, "x")
    assert keras.backend.standardize_dtype(flat.dtype) == "float32"


def test_root_has_no_slope_at_zero():
    value = ops.convert_to_numpy(samples.root(ops.convert_to_tensor(-1e-9)))
    assert value == 0
    assert ops.convert_to_numpy(samples.root(ops.convert_to_tensor(4.0))) == 2


@pytest.mark.parametrize("shape", [(3,), (0, 2), ()])
def test_names_the_set_that_is_none(shape):
    with pytest.raises(ValueError, match=r"`y` must be a set.*y\.shape=\("):
        samples.flatten_pair(np.ones((2, 2)), np.ones(shape))


def test_names_the_sizes_that_do_not_match():
    with pytest.raises(ValueError, match=r"x\.shape=\(2, 6\), y\.shape=\(4, 5"):
        samples.flatten_pair(np.ones((2, 3, 2)), np.ones((4, 5)))


def test_refuses_a_lone_real_sample():
    with pytest.raises(ValueError, match=r"two real.*y_true\.shape=\(1, 1\)"):
        samples.split(column(0), column(0, 1))


def test_refuses_an_empty_set_of_generated_samples():
    with pytest.raises(ValueError, match=r"one generated.*y_pred\.shape=\(0,"):
        samples.split(column(0, 1), np.ones((0, 1)))


def test_refuses_labels_for_samples():
    with pytest.raises(ValueError, match=r"sets of samples.*\(4,\)"):
        samples.split(np.arange(4), column(0, 1))


def test_refuses_sample_weights():
    with pytest.raises(ValueError, match=r"no term per sample.*\(2,\)"):
        samples.split(column(0, 1), column(0, 1), np.ones(2))


def test_a_distance_that_is_not_a_number_does_not_look_like_zero():
    values = [
        numpy(samples.root(ops.convert_to_tensor(v)))
        for v in (np.float32("nan"), np.float32(-1e-9), np.float32(4.0))
    ]
    assert np.isnan(values[0])
    assert values[1:] == [0.0, 2.0]
    x = np.ones((8, 2), "float32")
    x[3, 1] = np.nan
    for distance in (
        metrics.sliced_wasserstein,
        metrics.energy_distance,
        metrics.maximum_mean_discrepancy,
    ):
        assert np.isnan(float(distance(x, np.ones((8, 2), "float32"))))


@pytest.mark.parametrize(
    "distance",
    [
        metrics.sliced_wasserstein,
        metrics.energy_distance,
        metrics.maximum_mean_discrepancy,
        metrics.frechet_distance,
        metrics.nearest_neighbor_precision,
        metrics.coverage,
    ],
)
def test_differences_far_from_the_origin_are_not_rounded_off(distance):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 60, 3))
    y += 0.5
    found, far = float(distance(x, y)), float(distance(x + 1e8, y + 1e8))
    assert far == pytest.approx(found, rel=1e-3)
    assert found == float(distance(x.astype("float32"), y.astype("float32")))


def test_directions_keep_their_origin():
    x, y = np.random.default_rng(0).normal((9, 7), 0.1, (2, 40, 2))
    kernel = kernels.VonMisesFisher()
    found = [
        float(
            metrics.maximum_mean_discrepancy(
                *(v.astype(t) for v in (x, y)), kernel
            )
        )
        for t in ("float32", "float64")
    ]
    assert found[0] == pytest.approx(found[1], rel=1e-4)

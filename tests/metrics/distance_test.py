import functools

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
from keras import ops

from keras_drift import kernels
from keras_drift import metrics

METRICS = {
    "sliced_wasserstein": lambda: metrics.SlicedWasserstein(16, seed=3),
    "energy_distance": lambda: metrics.EnergyDistance(),
    "maximum_mean_discrepancy": lambda: metrics.MaximumMeanDiscrepancy(
        kernels.Gaussian([0.5, 3.0])
    ),
    "frechet_distance": lambda: metrics.FrechetDistance(),
    "nearest_neighbor_recall": lambda: metrics.NearestNeighborRecall(0.95),
    "density": lambda: metrics.Density(k=3),
}


@keras.saving.register_keras_serializable("keras_drift_tests")
class MeanGap(metrics.Distance):
    def __init__(self, name="gap"):
        super().__init__(name)

    def distance(self, x, y):
        return ops.mean(x) - ops.mean(y)


@pytest.fixture(params=METRICS)
def metric(request):
    return METRICS[request.param]()


@pytest.fixture
def batch():
    rng = np.random.default_rng(0)
    real = rng.normal(size=(20, 2, 3)).astype("float32")
    generated = (rng.normal(size=(10, 2, 3)) + 1).astype("float32")
    return real, generated


def numbers(logs):
    return {name: float(value) for name, value in logs.items()}


def test_is_the_function_on_one_batch(metric, batch):
    real, generated = batch
    logs = numbers(metric(real, generated))
    distance = getattr(metrics, metric.name)
    if metric.name == "sliced_wasserstein":
        kwargs = {"num_projections": 16, "seed": 3}
    elif metric.name == "maximum_mean_discrepancy":
        kwargs = {"kernel": kernels.Gaussian([0.5, 3.0])}
    elif metric.name == "nearest_neighbor_recall":
        kwargs = {"quantile": 0.95}
    elif metric.name == "density":
        kwargs = {"k": 3}
    else:
        kwargs = {}
    expected = {
        metric.name: float(distance(generated, real[0::2], **kwargs)),
        f"{metric.name}_floor": float(
            distance(real[1::2], real[0::2], **kwargs)
        ),
    }
    assert logs == pytest.approx(expected, rel=1e-4)


def test_a_perfect_generator_scores_the_floor(metric):
    rng = np.random.default_rng(0)
    for _ in range(8):
        metric.update_state(
            rng.normal(size=(400, 3)), rng.normal(size=(400, 3))
        )
    logs = numbers(metric.result())
    floor = logs[f"{metric.name}_floor"]
    assert floor > 0
    # As random as the floor itself.
    assert floor / 2 < logs[metric.name] < 2 * floor


def test_config_gives_the_same_metric(metric, batch):
    again = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(metric)
    )
    assert type(again) is type(metric)
    assert again.get_config().keys() == metric.get_config().keys()
    assert numbers(again(*batch)) == pytest.approx(numbers(metric(*batch)))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_gives_float32(metric, batch, dtype):
    logs = metric(*(ops.cast(each, dtype) for each in batch))
    for value in logs.values():
        assert keras.backend.standardize_dtype(value.dtype) == "float32"
    rounded = [
        ops.convert_to_numpy(ops.cast(ops.cast(each, dtype), "float32"))
        for each in batch
    ]
    metric.reset_state()
    expected = numbers(metric(*rounded))
    assert numbers(logs) == pytest.approx(expected, rel=1e-4)


def test_reset_forgets(metric, batch):
    real, generated = batch
    metric.update_state(real, 100 + generated)
    metric.reset_state()
    again = numbers(metric(real, generated))
    metric.reset_state()
    assert again == numbers(metric(real, generated))


def test_is_zero_before_the_first_batch(metric):
    fresh = type(metric).from_config(metric.get_config())
    assert set(numbers(fresh.result()).values()) == {0.0}
    fresh.reset_state()


def small_model(metric, **kwargs):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(3)])
    model.compile("sgd", "mse", metrics=[metric], **kwargs)
    return model


@functools.cache
def measured_model(name):
    """A model, compiled once for several tests, and its metric."""
    metric = METRICS[name]()
    return small_model(metric), metric


@pytest.mark.parametrize("name", METRICS)
def test_is_logged_by_fit_and_evaluate(name):
    model, metric = measured_model(name)
    # The last batch is short.
    x = np.random.default_rng(0).normal(size=(44, 3)).astype("float32")
    history = model.fit(
        x, x, batch_size=16, epochs=2, verbose=0, validation_data=(x, x)
    ).history
    for name in (metric.name, f"{metric.name}_floor"):
        assert len(history[name]) == len(history[f"val_{name}"]) == 2
        assert np.all(np.isfinite(history[name]))
    logs = model.evaluate(x, x, batch_size=16, verbose=0, return_dict=True)
    metric.reset_state()
    for start in (0, 16, 32):
        rows = x[start : start + 16]
        metric.update_state(rows, model.predict_on_batch(rows))
    expected = numbers(metric.result())
    assert {name: logs[name] for name in expected} == pytest.approx(
        expected, rel=1e-3
    )


@pytest.mark.parametrize("jit_compile", [True, False])
def test_compiled_or_not(metric, jit_compile):
    if jit_compile and keras.backend.backend() == "torch":
        pytest.skip("needs a compiler on the machine")
    model = small_model(metric, jit_compile=jit_compile)
    x = np.random.default_rng(0).normal(size=(32, 3)).astype("float32")
    history = model.fit(x, x, batch_size=16, verbose=0).history
    assert np.isfinite(history[f"{metric.name}_floor"][0])


@pytest.mark.parametrize("name", METRICS)
def test_a_last_batch_of_one_sample_is_refused_or_left_out(name):
    # A model of its own: on JAX, Keras loses the weights in the exception.
    metric = METRICS[name]()
    model = small_model(metric)
    x = np.random.default_rng(0).normal(size=(17, 3)).astype("float32")
    if keras.backend.backend() == "tensorflow":
        # Compiled for any size, so nobody can be told: it must not count.
        logs = model.evaluate(x, x, batch_size=16, verbose=0, return_dict=True)
        expected = model.evaluate(x[:16], x[:16], verbose=0, return_dict=True)
        assert logs[metric.name] == pytest.approx(expected[metric.name])
    else:
        with pytest.raises(ValueError, match="at least two real samples"):
            model.evaluate(x, x, batch_size=16, verbose=0)


def test_mixed_precision_computes_in_float32(metric):
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = small_model(type(metric).from_config(metric.get_config()))
    finally:
        keras.config.set_dtype_policy(policy)
    x = np.random.default_rng(0).normal(size=(16, 3)).astype("float32")
    logs = model.evaluate(x, x, verbose=0, return_dict=True)
    metric.reset_state()
    floor = f"{metric.name}_floor"
    assert logs[floor] == pytest.approx(float(metric(x, x)[floor]), rel=1e-3)


@settings(deadline=None, max_examples=20, database=None)
@given(
    batches=st.lists(
        st.tuples(st.sampled_from([2, 4, 6]), st.integers(-9, 9)),
        min_size=1,
        max_size=5,
    )
)
def test_is_the_mean_over_the_batches_of_the_largest_size(batches):
    metric = MeanGap()
    for size, gap in batches:
        real = np.tile([[0.0], [2.0]], (size // 2, 1))  # floor 2
        metric.update_state(real, np.full((size, 1), gap))
    largest = max(size for size, _ in batches)
    expected = np.mean([gap for size, gap in batches if size == largest])
    logs = numbers(metric.result())
    assert logs == pytest.approx({"gap": expected, "gap_floor": 2}, abs=1e-5)


def test_a_short_last_batch_changes_nothing(metric):
    if isinstance(metric, metrics.FrechetDistance):
        pytest.skip("gathers the moments of all batches")
    rng = np.random.default_rng(0)
    sizes = [16, 16, 12]
    batches = [
        (rng.normal(size=(n, 3)), rng.normal(size=(n, 3))) for n in sizes
    ]
    for batch in batches[:2]:
        metric.update_state(*batch)
    expected = numbers(metric.result())
    metric.update_state(*batches[2])
    assert numbers(metric.result()) == expected
    # Nor does it if it comes first.
    metric.reset_state()
    for batch in batches[::-1]:
        metric.update_state(*batch)
    assert numbers(metric.result()) == pytest.approx(expected, rel=1e-6)


def test_says_what_a_subclass_must_write(batch):
    with pytest.raises(NotImplementedError, match=r"Distance.*distance\(x, y"):
        metrics.Distance("nothing").update_state(*batch)


def test_refuses_a_lone_real_sample(metric):
    with pytest.raises(ValueError, match="at least two real samples"):
        metric.update_state(np.ones((1, 3)), np.ones((4, 3)))


def test_refuses_sample_weights(metric):
    with pytest.raises(ValueError, match="no term per sample"):
        metric.update_state(np.ones((4, 3)), np.ones((4, 3)), np.ones(4))


def test_refuses_sample_weights_in_fit(metric):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(3)])
    model.compile("sgd", "mse", weighted_metrics=[metric])
    x = np.ones((4, 3), "float32")
    with pytest.raises(ValueError, match="no term per sample"):
        model.fit(x, x, sample_weight=np.ones(4), verbose=0)

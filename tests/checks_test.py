import keras
import numpy as np
import pytest

import contracts
from keras_drift import DriftModel
from keras_drift import callbacks
from keras_drift import checks
from keras_drift import datasets
from keras_drift import drifts
from keras_drift import encoders
from keras_drift import energies
from keras_drift import flows
from keras_drift import generators
from keras_drift import kernels
from keras_drift import metrics
from keras_drift import spectral


@pytest.mark.parametrize("value", [1, 0.5, np.float32(2), np.int64(3)])
def test_positive_number_gives_the_number_back(value):
    assert checks.positive_number("rate", value) == value


@pytest.mark.parametrize("value", [0, -0.1, float("nan"), float("inf")])
def test_positive_number_refuses_other_numbers(value):
    with pytest.raises(ValueError, match=r"`rate` must be .*rate="):
        checks.positive_number("rate", value)


@pytest.mark.parametrize("value", ["1", None, True, [1.0], 1j])
def test_positive_number_refuses_what_is_no_number(value):
    with pytest.raises(TypeError, match=r"`rate` must be .*rate="):
        checks.positive_number("rate", value)


def test_a_message_can_say_what_the_number_means():
    with pytest.raises(
        ValueError, match=r"`rate` is a speed. Received: rate=-1"
    ):
        checks.positive_number("rate", -1, "is a speed")


def test_non_negative_number_allows_zero_and_no_less():
    assert checks.non_negative_number("level", 0) == 0
    for value in (-1e-9, float("nan"), float("inf")):
        with pytest.raises(ValueError, match=r"non-negative.*level="):
            checks.non_negative_number("level", value)
    with pytest.raises(TypeError, match=r"non-negative.*level='0'"):
        checks.non_negative_number("level", "0")


def test_positive_integer_gives_an_int_back():
    value = checks.positive_integer("depth", np.int32(3))
    assert value == 3
    assert type(value) is int


def test_positive_integer_refuses_the_rest():
    with pytest.raises(ValueError, match=r"`depth` must be .*depth=0"):
        checks.positive_integer("depth", 0)
    for value in (1.0, "1", True, None):
        with pytest.raises(TypeError, match=r"`depth` must be .*depth="):
            checks.positive_integer("depth", value)


def test_choice_suggests_what_was_meant():
    assert checks.choice("mode", "row", ("row", "dual")) == "row"
    with pytest.raises(
        ValueError,
        match=r"one of 'row', 'dual'. Did you mean 'dual'\? .*mode='Dual'",
    ):
        checks.choice("mode", "Dual", ("row", "dual"))


def test_a_wild_guess_gets_no_suggestion():
    assert checks.did_you_mean("qqq", ("row", "dual")) == ""
    assert checks.did_you_mean(None, ("row", "dual")) == ""


def test_the_beginning_of_a_name_is_enough_for_a_suggestion():
    options = ("kernel_drift", "sliced_wasserstein_drift")
    found = checks.did_you_mean("sliced", options)
    assert found == " Did you mean 'sliced_wasserstein_drift'?"


class Fruit:
    pass


class Apple(Fruit):
    pass


def lookup(identifier):
    return checks.lookup(identifier, {"apple": Apple}, Fruit, "fruit")


def test_lookup_takes_a_name_or_an_object():
    assert isinstance(lookup("apple"), Apple)
    fruit = Fruit()
    assert lookup(fruit) is fruit


def test_lookup_takes_a_config():
    from keras_drift import kernels

    config = keras.saving.serialize_keras_object(kernels.Laplacian(2.0))
    found = checks.lookup(config, {}, kernels.Kernel, "kernel")
    assert found.initial_bandwidth == 2


def test_lookup_suggests_what_was_meant():
    with pytest.raises(
        ValueError,
        match=r"Unknown fruit 'aple'. Did you mean 'apple'\? Known .*: apple",
    ):
        lookup("aple")


@pytest.mark.parametrize("value", [3, None, Apple, {"seeds": 5}])
def test_lookup_refuses_other_things(value):
    with pytest.raises(
        TypeError, match=r"`fruit` is a `.*Fruit`.*its config.*fruit="
    ):
        lookup(value)


def test_lookup_refuses_the_config_of_something_else():
    config = keras.saving.serialize_keras_object(keras.layers.Dense(1))
    with pytest.raises(TypeError, match=r"`fruit` is a `.*Fruit`"):
        lookup(config)


def test_positive_numbers_are_one_or_several():
    assert checks.positive_numbers("cost", 2, "is a cost") == 2.0
    assert checks.positive_numbers("cost", (1, 2.5), "is a cost") == [1.0, 2.5]
    with pytest.raises(TypeError, match=r"`cost` is a cost: a number.*cost='a"):
        checks.positive_numbers("cost", "a", "is a cost")
    with pytest.raises(ValueError, match=r"is a cost and must be pos.*cost=-1"):
        checks.positive_numbers("cost", -1, "is a cost")


@pytest.mark.parametrize("cls", [kernels.Gaussian, energies.MMD])
def test_another_dtype_than_float32_is_refused(cls):
    for dtype in ("float16", "mixed_bfloat16", "float64"):
        with pytest.raises(ValueError, match=rf"in float32.*dtype='{dtype}'"):
            cls(dtype=dtype)
    copy = contracts.copy_of(cls(dtype="float32"))
    assert copy.dtype == "float32"


def mae_resnet(**options):
    return encoders.MAEResNet(1, 4, (1, 1, 1, 1), **options)


def array_dataset(**options):
    return datasets.ArrayDataset(np.zeros((4, 2)), **options)


def plan_annealing(**options):
    return spectral.plan_annealing(k_min=1.0, k_max=2.0, **options)


@pytest.mark.parametrize("value", ["no", 1, None, np.ones(2)])
def test_a_boolean_is_not_a_truth_value(value):
    with pytest.raises(TypeError, match=r"`remat` must be True or.*remat="):
        checks.boolean("remat", value)
    assert checks.boolean("remat", np.True_) is True


@pytest.mark.parametrize(
    ("make", "names"),
    [
        (
            lambda **options: generators.DiT((2, 2, 1), **options),
            "use_rmsnorm use_qknorm use_swiglu use_rope remat "
            "float32_attention",
        ),
        (mae_resnet, "global_mean global_std"),
        (
            lambda **options: encoders.Pooled(None, **options),
            "global_mean global_std",
        ),
        (
            lambda **options: encoders.Union([None], **options),
            "include_samples",
        ),
        (drifts.KernelDrift, "relative unit_rms"),
        (drifts.MMDDrift, "relative unit_rms"),
        (drifts.SinkhornDrift, "relative unit_rms"),
        (drifts.SlicedWassersteinDrift, "resample unit_rms"),
        (drifts.Lookahead, "move_negatives"),
        (drifts.normalizations.Row, "bias_correction"),
        (array_dataset, "shuffle"),
        (plan_annealing, "relative"),
        (
            lambda **options: DriftModel(generators.MLP(2), **options),
            "stop_gradient",
        ),
        (
            lambda **options: DriftModel.from_preset("digits_dit", **options),
            "load_weights load_encoder load_autoencoder",
        ),
    ],
)
def test_switches_are_booleans(make, names):
    for name in names.split():
        with pytest.raises(TypeError, match=f"`{name}` must be.*{name}='no'"):
            make(**{name: "no"})


def test_masked_entries_are_refused():
    """Their masks were dropped, and what they hide became data."""
    samples = np.ma.masked_greater(np.arange(8.0).reshape(4, 2), 6.0)
    labels = np.ma.masked_equal(np.arange(4), 3)
    plain = samples.filled(0.0)
    model = DriftModel(generators.MLP(2, hidden_dims=(4,)))
    model.compile()
    with pytest.raises(ValueError, match=r"x of shape \(4, 2\) with 1 masked"):
        model.fit(samples)
    with pytest.raises(ValueError, match="sample_weight of shape"):
        model.fit(plain, sample_weight=labels * 1.0)
    for refuses in (
        lambda: datasets.GroupedDataset(samples),
        lambda: datasets.GroupedDataset(plain, labels),
        lambda: datasets.ArrayDataset(samples),
        lambda: metrics.sliced_wasserstein(plain, samples),
        lambda: metrics.EnergyDistance()(samples, plain),
        lambda: spectral.two_sample_test(samples, plain),
        lambda: datasets.MemoryBank((2,)).add(samples),
        lambda: callbacks.DriftMonitor(samples),
        lambda: spectral.plan_training(samples, 100, verbose=False),
        lambda: spectral.plan_bandwidths(samples, verbose=False),
        lambda: drifts.KernelDrift()(plain, samples),
        lambda: drifts.KernelDrift()(plain, positives=samples),
        lambda: drifts.KernelDrift().field(samples, plain),
        lambda: energies.MMD()(plain, samples),
        lambda: energies.MMD()(plain, plain, labels * 1.0),
        lambda: drifts.KernelDrift()(plain, plain, positive_weights=labels),
        lambda: metrics.floor(metrics.energy_distance, samples, n=1),
        lambda: flows.ParticleFlow("kernel_drift").run(plain, samples, 1),
    ):
        with pytest.raises(ValueError, match="1 masked entries"):
            refuses()
    # Without a masked entry it is an array like others.
    datasets.GroupedDataset(np.ma.masked_array(plain))

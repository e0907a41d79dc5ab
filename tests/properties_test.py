"""Properties of the whole library, on examples that hypothesis makes up."""

import functools
import inspect

import hypothesis
import keras
import numpy as np
import pytest
from hypothesis import strategies as st
from public_surface_test import PUBLIC

import keras_drift as kd
from contracts import in_one_program
from contracts import numpy
from small_models import small_mlp

few = hypothesis.settings(
    max_examples=6,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(hypothesis.HealthCheck),
)
DATA = kd.datasets.eight_gaussians(100, seed=0)
BATCH = 32


@functools.cache
def trained():
    """A model, compiled once, and the state it starts every example from."""
    keras.utils.set_random_seed(0)
    model = kd.DriftModel(
        small_mlp(), kd.drifts.SlicedWassersteinDrift(num_projections=2), seed=0
    )
    model.compile(
        keras.optimizers.SGD(0.1, momentum=0.5),
        metrics=[kd.metrics.SlicedWasserstein(num_projections=4)],
    )
    return model, model.training_state()


def fit(model, **options):
    model.fit(DATA, batch_size=BATCH, verbose=0, **options)


def state_after(actions):
    """Weights and random states after some actions on a fresh model."""
    model, start = trained()
    model.restore_training_state(start)
    for action in actions:
        action(model)
    end = model.training_state()
    return [*end["weights"], *end["optimizer"], *end["random"]]


def use_averages(model):
    with model.averaged_weights():
        model.generate(2, seed=1)


READERS = {
    "generate": lambda model: model.generate(4, seed=3),
    "generate at random": lambda model: model.generate(4),
    "evaluate": lambda model: model.evaluate(DATA, batch_size=BATCH, verbose=0),
    "test_on_batch": lambda model: model.test_on_batch(DATA[:BATCH]),
    "predict": lambda model: model.predict(np.zeros((4, 8)), verbose=0),
    "averages": use_averages,
    "state": lambda model: model.training_state(),
    "config": lambda model: type(model).from_config(model.get_config()),
}


def reading(names):
    """A callback that reads after every batch, and epoch."""

    def read(*_, **__):
        for name in names:
            READERS[name](trained()[0])

    return keras.callbacks.LambdaCallback(
        on_train_batch_end=read, on_epoch_end=read
    )


@few
@hypothesis.given(st.lists(st.sampled_from(sorted(READERS)), max_size=4))
def test_reading_changes_nothing(names):
    fitting = functools.partial(fit, epochs=2)
    watched = functools.partial(
        fit, epochs=2, callbacks=[reading(names)], validation_data=DATA
    )
    expected = state_after([fitting])
    found = state_after([*[READERS[n] for n in names], watched])
    for one, two in zip(expected, found, strict=True):
        np.testing.assert_array_equal(one, two)


@few
@hypothesis.given(st.lists(st.integers(1, 4), min_size=1, max_size=3))
def test_a_resumed_run_is_a_straight_one(ends):
    ends = sorted({*ends, 4})
    begins = [0, *ends[:-1]]
    pieces = [
        functools.partial(fit, initial_epoch=begin, epochs=end)
        for begin, end in zip(begins, ends, strict=True)
    ]
    straight = state_after([functools.partial(fit, epochs=4)])
    for one, two in zip(straight, state_after(pieces), strict=True):
        np.testing.assert_array_equal(one, two)


@few
@hypothesis.given(st.integers(BATCH, 4 * BATCH), st.integers(0, 99))
def test_metrics_do_not_depend_on_how_batches_are_cut(size, seed):
    model, start = trained()
    model.restore_training_state(start)
    data = kd.datasets.eight_gaussians(4 * BATCH, seed=seed)
    whole, part = (
        model.evaluate(x, batch_size=BATCH, verbose=0, return_dict=True)
        for x in (data, data[:size])
    )
    for name, value in whole.items():
        # Between batches of 32 all of them vary by a fifth.
        assert part[name] == pytest.approx(value, rel=0.6), name


def zeros(self, shape, dtype=None, **kwargs):
    return np.zeros(shape, dtype)


CONFIGURED = [
    cls
    for cls in PUBLIC
    # By itself, or by a base class of this library.
    if "__init__" in cls.__dict__
    and getattr(cls, "get_config", object).__module__.startswith("keras_drift.")
]


@pytest.mark.parametrize(
    "cls",
    [cls for cls in CONFIGURED if not inspect.isabstract(cls)],
    ids=lambda cls: cls.__name__,
)
def test_the_config_has_every_argument(cls, monkeypatch):
    # A config holds no weights, so none of 80 million is drawn.
    monkeypatch.setattr(keras.initializers.VarianceScaling, "__call__", zeros)
    try:
        config = cls().get_config()
    except TypeError:  # it needs arguments
        pytest.skip("its own tests make it with arguments")
    for name, parameter in inspect.signature(cls.__init__).parameters.items():
        if parameter.kind is parameter.POSITIONAL_OR_KEYWORD:
            assert name == "self" or name in config, name


@pytest.mark.parametrize("cls", CONFIGURED, ids=lambda cls: cls.__name__)
def test_no_argument_is_forgotten(cls):
    owner = next(c for c in cls.__mro__ if "get_config" in c.__dict__)
    source = inspect.getsource(owner.get_config)
    base = inspect.getsource(inspect.getmodule(owner))
    if "self.base_config()" in source:
        base += inspect.getsource(cls.base_config)
    for name, parameter in inspect.signature(cls.__init__).parameters.items():
        if name == "self" or parameter.kind in (
            parameter.VAR_KEYWORD,
            parameter.VAR_POSITIONAL,
        ):
            continue
        inherited = "super().get_config()" in source and any(
            name in inspect.signature(parent.__init__).parameters
            for parent in owner.__mro__[1:]
        )
        assert inherited or f'"{name}"' in base, name


DEFAULTS = [
    cls
    for cls in PUBLIC
    if all(
        parameter.default is not parameter.empty
        or parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)
        for name, parameter in inspect.signature(
            cls.__init__
        ).parameters.items()
        if name != "self"
    )
    and not inspect.isabstract(cls)
    and not issubclass(cls, tuple)
]


@few
@hypothesis.given(
    st.sampled_from(DEFAULTS),
    st.sampled_from(["bandwith", "temperature", "epsilon", "n_projections"]),
)
def test_an_unknown_argument_is_an_error(cls, name):
    with pytest.raises((TypeError, ValueError), match=name):
        cls(**{name: 0.5})


GAUSSIAN = kd.kernels.Gaussian
WEIGHTED = [
    kd.drifts.KernelDrift(),
    kd.drifts.KernelDrift("laplacian", "dual"),
    kd.drifts.SelfTuningDrift(),
    kd.drifts.MMDDrift(),
    kd.drifts.EnergyDistanceDrift(),
    kd.drifts.FDivergenceDrift(),
    kd.drifts.SinkhornDrift(self_interaction="included"),
    kd.drifts.SlicedWassersteinDrift(num_projections=2, resample=False),
    kd.drifts.Sum(["mmd_drift", "kernel_drift"]),
    kd.drifts.Lookahead("kernel_drift"),
    kd.drifts.VariationalDrift(kd.energies.MMD()),
    kd.drifts.VariationalDrift(kd.energies.SinkhornDivergence(num_steps=3)),
]
WEIGHTED_PROGRAMS = [in_one_program(drift) for drift in WEIGHTED]
X = np.random.default_rng(0).normal(size=(6, 2)).astype("float32")
Y = np.random.default_rng(1).normal(size=(8, 2)).astype("float32")


@few
@hypothesis.given(
    st.lists(st.booleans(), min_size=8, max_size=8).filter(any),
    st.sampled_from([0.0, 1e12, np.inf, -np.inf, np.nan]),
)
def test_weight_zero_is_absent_whatever_the_place_holds(present, filling):
    present = np.array(present)
    weights = present.astype("float32")
    filled = np.where(present[:, None], Y, np.float32(filling))
    for drift, program in zip(WEIGHTED, WEIGHTED_PROGRAMS, strict=True):
        expected = program(X, Y, positive_weights=weights)
        found = program(X, filled, positive_weights=weights)
        np.testing.assert_allclose(
            numpy(found), numpy(expected), atol=1e-6, err_msg=drift.name
        )

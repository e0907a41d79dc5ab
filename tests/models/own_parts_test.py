"""Parts of a user's own keep their arguments, and are followed by programs."""

import keras
import numpy as np
import pytest

from contracts import copy_of
from contracts import numpy
from keras_drift import DriftModel
from keras_drift import PowerLawGuidance
from keras_drift import drifts
from keras_drift import encoders
from keras_drift import generators
from keras_drift import kernels
from keras_drift.ops import row_field
from small_models import small_mlp

DATA = np.random.default_rng(0).normal(size=(64, 2)).astype("float32")


@keras.saving.register_keras_serializable("own_parts")
class Strong(drifts.PairwiseDrift):
    """A drift with an argument, and without `get_config`."""

    def __init__(self, strength=1.0, **kwargs):
        super().__init__(**kwargs)
        self.strength = strength

    def velocities(self, x, positives, negatives, length_scale):
        fields = row_field([lambda d: -d], positives, negatives)
        return [self.strength * field for field in fields]


@keras.saving.register_keras_serializable("own_parts")
class Stronger(Strong):
    """Two constructors without `get_config`, one on the other."""

    def __init__(self, power, **kwargs):
        super().__init__(**kwargs)
        self.strength = self.strength**power
        self.power = power


@keras.saving.register_keras_serializable("own_parts")
class Flat(kernels.Laplacian):
    """A kernel with an argument that it keeps under another name."""

    def __init__(self, flatness=1.0, **kwargs):
        super().__init__(**kwargs)
        self._flatness = flatness

    def log_value(self, radius):
        return self._flatness * super().log_value(radius)


@keras.saving.register_keras_serializable("own_parts")
class Deep(generators.MLP):
    """A generator with an argument that changes no shape."""

    def __init__(self, output_dim, gain=1.0, **kwargs):
        super().__init__(output_dim, **kwargs)
        self.gain = gain


@keras.saving.register_keras_serializable("own_parts")
class OfArrays(drifts.KernelDrift):
    """A drift with an argument that no config can hold as it is."""

    def __init__(self, table=None, **kwargs):
        super().__init__(**kwargs)
        self.table = np.asarray(table)


@keras.saving.register_keras_serializable("own_parts")
class Scaled(encoders.Encoder):
    """An encoder with a plain attribute."""

    def __init__(self, scale=1.0, **kwargs):
        super().__init__(**kwargs)
        self.scale = scale

    def call(self, samples):
        return {"scaled": self.scale * samples[:, None]}


@keras.saving.register_keras_serializable("own_parts")
class Described(Strong):
    """A class with a config on one without."""

    def __init__(self, power=1, **kwargs):
        super().__init__(**kwargs)
        self._power = power

    def get_config(self):
        return {**super().get_config(), "power": self._power}


@keras.saving.register_keras_serializable("own_parts")
class Named(generators.Functional):
    """A subclass of a generator of any model."""

    def __init__(self, model, gain=1.0, **kwargs):
        super().__init__(model, **kwargs)
        self.gain = gain


def network(frozen=()):
    noise = keras.Input((3,), name="noise")
    x = keras.layers.Dense(4, name="first")(noise)
    model = keras.Model({"noise": noise}, keras.layers.Dense(2, name="last")(x))
    for name in frozen:
        model.get_layer(name).trainable = False
    return model


@pytest.mark.parametrize(
    ("part", "value"),
    [
        (lambda: Strong(np.float32(5)), lambda part: part.strength),
        (lambda: Described(2, strength=3.0), lambda part: part.strength),
        (lambda: Flat(0.3, bandwidth=[1, 2]), lambda part: part._flatness),
        (lambda: Named(network(), 0.5), lambda part: part.gain),
        (lambda: Strong(5.0), lambda part: part.strength),
        (lambda: Stronger(2, strength=3.0), lambda part: part.power),
        (lambda: drifts.KernelDrift(Flat(0.3)), lambda p: p.kernel._flatness),
        (lambda: Deep(2, 0.5, hidden_dims=(4,)), lambda part: part.gain),
    ],
    ids=[
        "scalar of NumPy",
        "below a config",
        "kernel beside a list",
        "functional",
        "drift",
        "drift of a drift",
        "kernel",
        "generator",
    ],
)
def test_a_copy_has_the_arguments_of_a_subclass(part, value):
    part = part()
    assert value(copy_of(part)) == value(part)


def test_what_was_set_since_is_copied():
    drift = Strong()
    drift.strength = 5.0
    assert copy_of(drift).strength == 5.0


def test_a_saved_model_has_the_same_field(tmp_path):
    model = DriftModel(small_mlp(), Strong(5.0), seed=0)
    field = numpy(model.drift(DATA[:8], DATA[8:]))
    model.save(tmp_path / "model.keras")
    model.save_to_preset(tmp_path / "preset")
    for copy in (
        keras.saving.load_model(tmp_path / "model.keras"),
        DriftModel.from_preset(tmp_path / "preset"),
    ):
        np.testing.assert_array_equal(
            numpy(copy.drift(DATA[:8], DATA[8:])), field
        )


def test_an_argument_that_cannot_be_copied_is_named():
    drift = OfArrays(np.ones(3))
    with pytest.raises(NotImplementedError, match=r"'table'.*get_config"):
        drift.get_config()
    model = DriftModel(small_mlp(), drift)
    model.compile("sgd")
    model.fit(DATA, verbose=0)  # training needs no config


FOLLOWED = {
    "drift": lambda model: (model.drift.drifts[0], "strength"),
    "encoder": lambda model: (model.encoder.encoders[0], "scale"),
    "part of a part": lambda model: (
        model.encoder.encoders[1].encoders[0],
        "scale",
    ),
}


@pytest.mark.parametrize("part", FOLLOWED)
def test_training_follows_an_attribute(part):
    losses = []
    for runs_before in (True, False):
        keras.utils.set_random_seed(0)
        drift = drifts.Sum([Strong(), "energy_distance_drift"])
        inner = encoders.Union({"inner": Scaled()}, include_samples=False)
        encoder = encoders.Union([Scaled(), inner])
        model = DriftModel(small_mlp(), drift, encoder, seed=0)
        model.compile(keras.optimizers.SGD(0.0))
        if runs_before:
            model.evaluate(DATA, verbose=0)
        owner, name = FOLLOWED[part](model)
        setattr(owner, name, 5.0)
        losses.append(model.evaluate(DATA, verbose=0)[0])
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_training_follows_the_guidance_sampler():
    labels = np.arange(64) % 2
    programs = []
    sampler = PowerLawGuidance(1.0, 2.0, 1.0)
    model = DriftModel(
        small_mlp(num_classes=2), guidance_sampler=sampler, seed=0
    )
    model.compile(keras.optimizers.SGD(0.0))
    for high in (2.0, 2.0, 8.0):
        sampler.high = high
        model.fit(DATA, labels, batch_size=64, verbose=0)
        programs.append(model.train_function)
    assert programs[0] is programs[1]
    assert programs[1] is not programs[2]


def test_a_kernel_that_was_replaced_is_gone(tmp_path):
    model = DriftModel(small_mlp(), drifts.KernelDrift("laplacian"))
    model.drift.kernel = kernels.Gaussian(0.2)
    assert len(model.drift.variables) == 1
    model.save_to_preset(tmp_path / "preset")
    copy = DriftModel.from_preset(tmp_path / "preset")
    assert isinstance(copy.drift.kernel, kernels.Gaussian)
    np.testing.assert_allclose(numpy(copy.drift.bandwidth), 0.2, rtol=1e-6)


@pytest.mark.parametrize("when", ["argument", "later"])
def test_a_frozen_generator_stays_as_it_is(when, tmp_path):
    generator = small_mlp(trainable=when == "later")
    generator.trainable = False
    model = DriftModel(generator, seed=0)
    assert model.trainable_variables == []
    model.save(tmp_path / "model.keras")
    for each in (model, keras.saving.load_model(tmp_path / "model.keras")):
        assert each.trainable_variables == []
        assert copy_of(each.generator).trainable_variables == []


def test_the_argument_trainable_freezes_the_layers():
    generator = small_mlp(trainable=False)
    assert generator.trainable_variables == []
    generator.trainable = True
    assert len(generator.trainable_variables) == len(generator.variables)


def test_a_frozen_layer_stays_frozen():
    generator = generators.Functional(network(frozen=["last"]))
    for each in (generator, copy_of(generator)):
        assert len(each.trainable_variables) == 2
    assert not generator.model.get_layer("last").trainable


def test_a_part_with_two_names_is_tracked_as_long_as_it_has_one():
    drift = drifts.KernelDrift("gaussian")
    drift.other = drift.kernel
    drift.other = None
    assert len(drift.variables) == 1
    drift.other = kernels.Gaussian(2.0)
    drift.kernel, drift.other = drift.other, drift.kernel
    assert len(drift.variables) == 2

"""Generators of a user's own: saved, loaded and copied."""

import copy

import keras
import numpy as np
import pytest

from contracts import numpy
from keras_drift import DriftModel
from keras_drift import generators


def graph(width, num_classes=None):
    """Inputs and outputs of a network with a hidden layer."""
    inputs = {"noise": keras.Input((4,), name="noise")}
    hidden = keras.layers.Dense(width)(inputs["noise"])
    if num_classes is not None:
        inputs["labels"] = keras.Input((), dtype="int32", name="labels")
        hidden += keras.layers.Embedding(num_classes, width)(inputs["labels"])
    return inputs, keras.layers.Dense(2)(hidden)


@keras.saving.register_keras_serializable("own_generator")
class Named(generators.Generator):
    """Another class, with the constructor of the base."""


@keras.saving.register_keras_serializable("own_generator")
class Plain(generators.Generator):
    """Arguments that are also those of the base, and no `get_config`."""

    def __init__(self, width=8, num_classes=None, dtype=None, **kwargs):
        super().__init__(*graph(width, num_classes), num_classes, **kwargs)


@keras.saving.register_keras_serializable("own_generator")
class Passing(generators.Generator):
    """All that it does not know goes to the base, which takes no `dtype`."""

    def __init__(self, width=8, **kwargs):
        super().__init__(*graph(width), None, **kwargs)
        self.width = width

    def get_config(self):
        return {**self.base_config(), "width": self.width}


@keras.saving.register_keras_serializable("own_generator")
class Bare(generators.Generator):
    """Neither `name` nor `trainable`; a `get_config` over that of the base."""

    def __init__(self, width=8):
        super().__init__(*graph(width), None)
        self.width = width

    def get_config(self):
        return {**super().get_config(), "width": self.width}


MAKERS = {
    "base": lambda: generators.Generator(*graph(16), None, name="mine"),
    "base with classes": lambda: generators.Generator(*graph(16, 3), 3),
    "no arguments": lambda: Named(*graph(16), None),
    "no config": lambda: Plain(16, num_classes=3, name="mine"),
    "frozen": lambda: Plain(16, trainable=False),
    "base_config": lambda: Passing(16, name="mine"),
    "super": lambda: Bare(16),
}


@pytest.mark.parametrize("kind", MAKERS)
def test_is_saved_loaded_and_copied(kind, tmp_path):
    generator = MAKERS[kind]()
    model = DriftModel(generator, seed=0)
    model.save(tmp_path / "model.keras")
    model.save_to_preset(tmp_path / "preset")
    loaded = (
        keras.models.load_model(tmp_path / "model.keras").generator,
        DriftModel.from_preset(tmp_path / "preset").generator,
        copy.deepcopy(generator),
    )
    inputs = generator.sample_inputs(3, seed=0)
    for other in loaded:
        assert type(other) is type(generator)
        assert other.num_classes == generator.num_classes
        assert other.trainable == generator.trainable
        if generator.name == "mine":
            assert other.name == "mine"
        np.testing.assert_array_equal(
            numpy(other(inputs)), numpy(generator(inputs))
        )


def test_an_argument_that_no_config_holds_is_named():
    class Holding(generators.Generator):
        def __init__(self, layer):
            inputs = {"noise": keras.Input((2,), name="noise")}
            super().__init__(inputs, layer(inputs["noise"]), None)

    generator = Holding(keras.layers.Dense(2))
    with pytest.raises(NotImplementedError, match=r"'layer'.*get_config"):
        generator.get_config()

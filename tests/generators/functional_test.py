import json

import keras
import numpy as np
import pytest

from contracts import copy_of
from contracts import numpy
from keras_drift import DriftModel
from keras_drift import PowerLawGuidance
from keras_drift import generators


def inputs(*names):
    shapes = {"noise": (2,), "labels": (), "guidance": (), "styles": (3,)}
    kinds = {"labels": "int32", "styles": "int32"}
    return {
        name: keras.Input(shapes[name], dtype=kinds.get(name), name=name)
        for name in names
    }


def samples(taken):
    """A map in which every input counts."""
    x = keras.layers.Dense(2, kernel_initializer="ones")(taken["noise"])
    if "labels" in taken:
        x = x + keras.layers.Embedding(3, 2)(taken["labels"])
    if "guidance" in taken:
        x = x * taken["guidance"][:, None]
    if "styles" in taken:
        styles = keras.layers.Embedding(5, 2)(taken["styles"])
        x = x + keras.ops.sum(styles, axis=1)
    return x


def network(*names, as_dict=False):
    taken = inputs(*names)
    given = taken if as_dict else list(taken.values())
    return keras.Model(given, samples(taken))


@pytest.fixture(scope="module")
def whole():
    model = network("labels", "noise", "styles", "guidance")
    return generators.Functional(model, num_classes=3, style_codebook_size=5)


def test_generates_what_the_model_returns(whole):
    given = whole.sample_inputs(4, labels=[2, 0, 1, 2], guidance=2.0, seed=0)
    assert sorted(given) == ["guidance", "labels", "noise", "styles"]
    order = ("labels", "noise", "styles", "guidance")
    expected = numpy(whole.model([given[name] for name in order]))
    np.testing.assert_array_equal(numpy(whole(given)), expected)
    assert whole.noise_shape == whole.sample_shape == (2,)
    for name in order:
        other = {**given, name: given[name][::-1] * 0}
        assert not np.array_equal(numpy(whole(other)), expected), name


def test_takes_a_model_of_a_dict():
    model = network("noise", "labels", as_dict=True)
    generator = generators.Functional(model, num_classes=3)
    given = generator.sample_inputs(3, seed=0)
    assert sorted(given) == ["labels", "noise"]
    np.testing.assert_array_equal(numpy(generator(given)), numpy(model(given)))


def test_a_single_input_is_the_noise():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    generator = generators.Functional(model)
    given = generator.sample_inputs(3, seed=0)
    expected = numpy(model(given["noise"]))
    np.testing.assert_array_equal(numpy(generator(given)), expected)


def test_survives_config_and_preset(whole, tmp_path):
    given = whole.sample_inputs(3, seed=0)
    copy = copy_of(whole)
    configs = [json.dumps(x.get_config()) for x in (copy, whole)]
    assert configs[0] == configs[1]
    copy.set_weights(whole.get_weights())
    np.testing.assert_array_equal(numpy(copy(given)), numpy(whole(given)))
    whole.save_to_preset(tmp_path / "mine")
    loaded = generators.Functional.from_preset(tmp_path / "mine")
    np.testing.assert_array_equal(numpy(loaded(given)), numpy(whole(given)))


def test_trains_the_model_in_place_and_generates(tmp_path):
    network_of_mine = network("noise", "labels")
    generator = generators.Functional(network_of_mine, num_classes=3)
    before = network_of_mine.get_weights()
    model = DriftModel(generator, seed=0)
    model.compile("adam")
    rng = np.random.default_rng(0)
    data = rng.normal(size=(96, 2)).astype("float32")
    labels = np.repeat(np.arange(3), 32)
    model.fit(data, labels, batch_size=96, verbose=0)
    after = network_of_mine.get_weights()
    assert not any(map(np.array_equal, before, after))
    drawn = model.generate(labels=[2, 0], seed=0)
    model.save_to_preset(tmp_path / "whole")
    copy = DriftModel.from_preset(tmp_path / "whole")
    again = copy.generate(labels=[2, 0], seed=0)
    np.testing.assert_array_equal(drawn, again)


def test_returns_float32_in_half_precision():
    policy = keras.dtype_policies.DTypePolicy("mixed_bfloat16")
    dense = keras.layers.Dense(2, dtype=policy)
    model = keras.Sequential([keras.Input((2,)), dense])
    generator = generators.Functional(model)
    drawn = generator(generator.sample_inputs(3, seed=0))
    assert keras.backend.standardize_dtype(drawn.dtype) == "float32"
    assert dense.compute_dtype == "bfloat16"


def test_guidance_is_trained_only_where_it_is_an_input():
    generator = generators.Functional(network("noise", "labels"), 3)
    with pytest.raises(ValueError, match=r"named 'guidance'.*labels, noise"):
        DriftModel(generator, guidance_sampler=PowerLawGuidance())


class Subclass(keras.Model):
    def call(self, x):
        return x


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        (lambda: "unet", {}, "from noise to samples.*model='unet'"),
        (Subclass, {}, "must be known: build it as a functional"),
        (keras.Sequential, {}, "must be known"),
        (lambda: network("noise", "labels"), {}, "num_classes=None, and inp"),
        (lambda: network("noise"), {"num_classes": 3}, "'labels'.*=3, and inp"),
        (lambda: network("noise", "styles"), {}, "style_codebook_size=None"),
        (lambda: network("noise", "guidance"), {}, "takes 'labels' as well"),
        (
            lambda: network("noise", "labels"),
            {"num_classes": 0},
            "`num_classes` must .*=0",
        ),
    ],
)
def test_says_what_is_wrong(model, options, message):
    with pytest.raises((TypeError, ValueError), match=message):
        generators.Functional(model(), **options)


def of_inputs(*tensors):
    total = sum(keras.ops.mean(keras.ops.cast(x, "float32")) for x in tensors)
    return keras.Model(list(tensors), tensors[0] + total)


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        (
            [((2,), "float32", "z"), ((), "int32", "labels")],
            r"\['labels', 'z'\]",
        ),
        ([((None, 2), "float32", "noise")], r"shape \(None, None, 2\)"),
        ([((2,), "int32", "noise")], "holds floats.*'int32'"),
        (
            [((2,), "float32", "noise"), ((1,), "int32", "labels")],
            r"'labels' is .*keras\.Input\(\(\)\).*shape \(None, 1\)",
        ),
    ],
    ids=str,
)
def test_says_which_input_is_wrong(tensors, message):
    made = [keras.Input(s, dtype=d, name=name) for s, d, name in tensors]
    with pytest.raises(ValueError, match=message):
        generators.Functional(of_inputs(*made), num_classes=3)


def test_refuses_several_outputs():
    x = keras.Input((2,))
    with pytest.raises(ValueError, match="one tensor"):
        generators.Functional(keras.Model(x, [x + 1, x + 2]))

"""Compiled code follows changes of the model."""

import keras
import numpy as np
import pytest

from contracts import numpy
from keras_drift import DriftModel
from keras_drift import drifts
from keras_drift import generators
from keras_drift import kernels
from keras_drift.models import arguments
from small_models import class_mlp
from small_models import fitted
from small_models import gaussian_model
from small_models import small_mlp

BACKEND = keras.backend.backend()


def assert_generates_what_the_network_does(model):
    inputs = model.generator.sample_inputs(3, seed=0)
    np.testing.assert_allclose(
        model.generate(3, seed=0),
        numpy(model.generator(inputs, training=False)),
        atol=1e-5,
    )


def test_generate_uses_lora_weights(points):
    model = DriftModel(small_mlp(), seed=0)
    model.generate(3, seed=0)
    for layer in model.generator.layers:
        if isinstance(layer, keras.layers.Dense):
            layer.enable_lora(2)
    before = model.generate(3, seed=0)
    fitted(model, points, optimizer=keras.optimizers.SGD(0.5), epochs=3)
    assert np.abs(model.generate(3, seed=0) - before).max() > 1e-3
    assert_generates_what_the_network_does(model)


# Keras warns of layers without weights, such as the input layer.
@pytest.mark.filterwarnings("ignore:Layer InputLayer does not have a `quant")
def test_generate_uses_quantized_weights():
    model = DriftModel(small_mlp(), seed=0)
    before = model.generate(3, seed=0)
    model.generator.quantize("int8")
    assert np.abs(model.generate(3, seed=0) - before).max() > 0
    assert_generates_what_the_network_does(model)


def test_replaced_generator_is_used(points, tmp_path):
    model = gaussian_model()
    fitted(model, points)
    model.generate(3, seed=0)
    other = generators.MLP(2, hidden_dims=(4,))
    model.generator = other
    assert_generates_what_the_network_does(model)
    # The optimizer was built for the weights of the old one.
    with pytest.raises(ValueError, match=r"must call `compile\(\)`"):
        model.fit(points, verbose=0)
    before = [numpy(v) for v in other.trainable_variables]
    fitted(model, points)
    assert len(model.trainable_variables) == len(other.trainable_variables)
    assert any(
        np.any(numpy(v) != old)
        for v, old in zip(other.trainable_variables, before, strict=True)
    )
    assert_generates_what_the_network_does(model)
    model.save(tmp_path / "model.keras")
    copy = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(
        copy.generate(3, seed=0), model.generate(3, seed=0)
    )


CHANGES = {
    "step_size": 0.0001,
    "num_generated": 7,
    "drift": drifts.KernelDrift(kernels.Gaussian(0.01)),
}


@pytest.mark.parametrize("name", CHANGES)
def test_changed_argument_recompiles_the_step(points, name):
    model = gaussian_model()
    model.compile(keras.optimizers.SGD(0.0))
    model.fit(points, verbose=0)
    model.evaluate(points, verbose=0)
    setattr(model, name, CHANGES[name])
    changed = model.evaluate(points, verbose=0)
    trained = model.fit(points, verbose=0).history["loss"][0]
    fresh = gaussian_model()
    fresh.generator.set_weights(model.generator.get_weights())
    setattr(fresh, name, CHANGES[name])
    fresh.compile(keras.optimizers.SGD(0.0))
    assert changed == pytest.approx(fresh.evaluate(points, verbose=0), rel=1e-4)
    assert trained == pytest.approx(changed[0], rel=1.0)


def test_fits_grouped_and_then_flat_batches(points):
    model = gaussian_model()
    grouped = points[:60].reshape(3, 20, 2)
    for data in (grouped, points, grouped):
        history = fitted(model, data).history
        assert np.isfinite(history["loss"][0])
    model.fit(points, verbose=0, validation_data=points)
    model.fit(grouped, verbose=0, validation_data=grouped)
    for data in (grouped, points, grouped):
        assert np.isfinite(model.train_on_batch(data)[0])
        assert np.isfinite(model.evaluate(data, verbose=0)[0])


def test_exports_a_model_before_its_first_call(tmp_path):
    if BACKEND == "torch":
        pytest.skip("the formats of PyTorch need onnx or LiteRT")
    model = DriftModel(class_mlp(), seed=0)
    model.export(tmp_path / "exported", format="tf_saved_model", verbose=False)
    tf = pytest.importorskip("tensorflow")
    artifact = tf.saved_model.load(tmp_path / "exported")
    inputs = model.generator.sample_inputs(3, seed=0)
    np.testing.assert_allclose(
        np.asarray(
            artifact.serve({k: np.asarray(v) for k, v in inputs.items()})
        ),
        model.generate(3, seed=0),
        atol=1e-5,
    )


def test_a_refused_part_leaves_the_model_as_it_was(points, monkeypatch):
    model = gaussian_model()
    fitted(model, points)
    variables = [v.path for v in model.variables]

    def refuse(model):
        raise ValueError("no")

    monkeypatch.setattr(arguments, "check", refuse)
    other = generators.MLP(2, hidden_dims=(4,))
    for name, part in (("generator", other), ("drift", CHANGES["drift"])):
        kept = getattr(model, name)
        with pytest.raises(ValueError, match="no"):
            setattr(model, name, part)
        assert getattr(model, name) is kept
        assert [v.path for v in model.variables] == variables
    monkeypatch.undo()
    # It is compiled still.
    assert np.isfinite(model.fit(points, verbose=0).history["loss"][0])

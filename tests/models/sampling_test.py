import keras
import numpy as np
import pytest

from contracts import numpy
from keras_drift import DriftModel
from keras_drift import generators
from small_models import class_mlp
from small_models import fitted
from small_models import small_mlp

BACKEND = keras.backend.backend()


def test_samples_depend_only_on_the_seed(classes):
    model = DriftModel(class_mlp(), seed=0)
    fitted(model, *classes)
    nine = model.generate(9, seed=3)
    assert nine.shape == (9, 2)
    assert nine.dtype == np.float32
    np.testing.assert_array_equal(nine, model.generate(9, seed=3))
    np.testing.assert_allclose(
        nine[:4], model.generate(4, seed=3, batch_size=2), atol=1e-6
    )
    assert np.abs(nine - model.generate(9, seed=4)).max() > 0
    assert np.abs(nine - model.generate(9)).max() > 0


def test_labels_may_be_one_many_or_none(classes):
    model = DriftModel(class_mlp(), seed=0)
    fitted(model, *classes)
    in_turn = model.generate(4, seed=0)
    named = model.generate(labels=[0, 1, 2, 0], seed=0)
    np.testing.assert_array_equal(in_turn, named)
    assert model.generate(2, labels=1, seed=0).shape == (2, 2)
    assert model.generate(labels=1, seed=0).shape == (1, 2)


@pytest.mark.skipif(BACKEND == "torch", reason="PyTorch compiles nothing")
def test_another_number_of_samples_does_not_recompile(monkeypatch):
    model = DriftModel(generators.MLP(output_dim=2, hidden_dims=(4,)), seed=0)
    network = type(model.generator)
    traces, call = [], network.call
    monkeypatch.setattr(
        network,
        "call",
        lambda self, *args, **kwargs: (
            traces.append(args),
            call(self, *args, **kwargs),
        )[1],
    )
    for n in (200, 129, 256, 1000, 2049):
        assert len(model.generate(n, seed=0)) == n
        assert len(traces) == 1


def test_generated_samples_use_the_current_weights(points):
    """The compiled network takes the weights as arguments."""
    model = DriftModel(generators.MLP(output_dim=2, hidden_dims=(4,)), seed=0)
    before = model.generate(3, seed=0)
    for variable in model.generator.trainable_variables:
        variable.assign(variable * 0 + 0.5)
    after = model.generate(3, seed=0)
    assert np.all(after != before)
    inputs = model.generator.sample_inputs(3, seed=0)
    np.testing.assert_allclose(after, numpy(model(inputs)), rtol=1e-5)


def test_callbacks_can_generate_during_training(points):
    """Within an epoch Keras does not keep the weights in the model on JAX."""
    generated = []

    class Generate(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            generated.append(self.model.generate(3, seed=0))

    weights = []
    for callbacks_ in ([Generate()], []):
        keras.utils.set_random_seed(1)
        model = DriftModel(small_mlp(), seed=0)
        before = model.generate(3, seed=0)
        model.compile(keras.optimizers.Adam(1e-2))
        model.fit(points, batch_size=16, verbose=0, callbacks=callbacks_)
        weights.append([numpy(v) for v in model.generator.variables])
    assert len(generated) == 4
    assert all(np.any(each != before) for each in generated)
    np.testing.assert_array_equal(generated[-1], model.generate(3, seed=0))
    for watched, alone in zip(*weights, strict=True):
        np.testing.assert_array_equal(watched, alone)


def test_predict_accepts_noise_alone(points):
    model = DriftModel(small_mlp(), seed=0)
    assert model.predict(np.zeros((3, 8)), verbose=0).shape == (3, 2)

import json
import zipfile

import keras
import numpy as np
import pytest

from keras_drift import DriftModel
from keras_drift import PowerLawGuidance
from keras_drift import callbacks
from keras_drift import datasets
from keras_drift import drifts
from keras_drift import encoders
from keras_drift import schedules
from small_models import class_mlp
from small_models import small_mlp


def test_saved_model_generates_and_trains_identically(classes, tmp_path):
    def batches(epoch):
        data = datasets.GroupedDataset(*classes, positives=6, seed=0)
        data.epoch = epoch
        return data

    def annealing():
        schedule = schedules.ExponentialAnnealing(1.0, 0.1, rate=0.05)
        return [callbacks.BandwidthAnnealing(schedule)]

    def run(model, epochs, initial_epoch=0):
        model.fit(
            batches(initial_epoch),
            epochs=epochs,
            initial_epoch=initial_epoch,
            verbose=0,
            callbacks=annealing(),
        )

    keras.utils.set_random_seed(0)
    whole = DriftModel(class_mlp(), seed=0)
    # Adam amplifies rounding errors of gradients near zero.
    whole.compile(keras.optimizers.SGD(0.1, momentum=0.9))
    first = DriftModel.from_config(json.loads(json.dumps(whole.get_config())))
    first.set_weights(whole.get_weights())
    first.compile(keras.optimizers.SGD(0.1, momentum=0.9))
    run(whole, 2)
    run(first, 1)
    first.save(tmp_path / "model.keras")
    second = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(
        first.generate(3, seed=0), second.generate(3, seed=0)
    )
    run(second, 2, initial_epoch=1)
    assert int(second.optimizer.iterations) == int(whole.optimizer.iterations)
    for a, b in zip(whole.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_config_holds_all_arguments():
    options = {
        "step_size": 0.5,
        "num_generated": 7,
        "frozen_steps": 2,
        "guidance_sampler": PowerLawGuidance(1.0, 3.0, 2.0, 0.5),
        "seed": 3,
    }
    model = DriftModel(
        class_mlp(),
        drifts.KernelDrift("gaussian", "dual"),
        encoders.Identity(),
        **options,
    )
    config = json.loads(json.dumps(model.get_config()))
    copy = DriftModel.from_config(config)
    again = json.loads(json.dumps(copy.get_config()))
    assert config == again
    assert copy.guidance_sampler.high == 3.0


def test_compiled_model_of_any_backend_continues_training(points, tmp_path):
    # Keras saves an optimizer on PyTorch under the name of its PyTorch class.
    model = DriftModel(small_mlp(), seed=0)
    model.compile(keras.optimizers.AdamW(2e-3, weight_decay=0.01))
    model.fit(points, verbose=0)
    model.save(tmp_path / "model.keras")
    with zipfile.ZipFile(tmp_path / "model.keras") as archive:
        config = archive.read("config.json").decode()
    assert "torch" not in config
    copy = keras.saving.load_model(tmp_path / "model.keras")
    assert type(copy.optimizer) is type(model.optimizer)
    assert float(copy.optimizer.learning_rate) == pytest.approx(2e-3)
    assert np.isfinite(copy.fit(points, verbose=0).history["loss"][0])


TORCH_OPTIMIZER = {
    "optimizer": {
        "module": "keras.src.backend.torch.optimizers.torch_adam",
        "class_name": "Adam",
        "config": {"learning_rate": 0.003},
        "registered_name": "Adam",
    },
    "jit_compile": False,
}


def test_compile_config_with_a_pytorch_class_is_portable(points):
    model = DriftModel(small_mlp(), seed=0)
    model.compile_from_config(TORCH_OPTIMIZER)
    assert float(model.optimizer.learning_rate) == pytest.approx(0.003)
    assert np.isfinite(model.fit(points, verbose=0).history["loss"][0])


def test_the_format_that_cannot_be_loaded_is_not_written(tmp_path):
    model = DriftModel(small_mlp())
    path = tmp_path / "model.h5"
    with pytest.raises(ValueError, match=r"`\.keras` file.*model\.h5"):
        model.save(path)
    assert not path.exists()
    model.save_weights(tmp_path / "model.weights.h5")
    model.save(tmp_path / "model.keras", overwrite=False)
    keras.saving.load_model(tmp_path / "model.keras")

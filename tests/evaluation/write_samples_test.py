import json

import keras
import numpy as np
import pytest
from PIL import Image

import keras_drift as kd
from keras_drift.evaluation import evaluate
from keras_drift.evaluation import write_samples
from keras_drift.evaluation.sample_blocks import SampleBlocks


def read(paths):
    return np.stack([np.asarray(Image.open(path)) for path in paths])


def test_files_are_the_samples(model, tmp_path):
    paths = write_samples(
        model, tmp_path / "samples", 300, 2.0, seed=4, verbose=0
    )
    samples = SampleBlocks(model, 300, 2.0, None, 4, 64, "nearest")
    expected = np.concatenate([samples.block(0), samples.block(1)])
    np.testing.assert_array_equal(read(paths), expected)
    assert [paths[0].name, paths[-1].name] == ["000000.png", "000299.png"]
    names = {path.name for path in paths} | {"samples.json"}
    assert {path.name for path in (tmp_path / "samples").iterdir()} == names
    arguments = json.loads((tmp_path / "samples/samples.json").read_text())
    assert arguments["seed"] == 4
    assert arguments["guidance"] == 2.0


def test_the_files_are_what_is_evaluated(model, network_file, data, tmp_path):
    write_samples(model, tmp_path / "samples", 60, verbose=0)
    found = evaluate(
        model,
        tmp_path / "samples",
        60,
        features=network_file,
        metrics=["fid"],
        verbose=0,
    )
    assert found["fid"] == pytest.approx(0, abs=1e-6)


def test_what_was_interrupted_goes_on(model, tmp_path, monkeypatch):
    whole = read(write_samples(model, tmp_path / "whole", 600, verbose=0))
    block = SampleBlocks.block
    drawn = []

    def recorded(self, number):
        drawn.append(number)
        if number == interrupted_at:
            raise KeyboardInterrupt
        return block(self, number)

    monkeypatch.setattr(SampleBlocks, "block", recorded)
    interrupted_at = 1
    folder = tmp_path / "samples"
    with pytest.raises(KeyboardInterrupt):
        write_samples(model, folder, 600, verbose=0)
    interrupted_at = None
    (folder / "000007.png").unlink()
    paths = write_samples(model, folder, 600, verbose=0)
    assert drawn == [0, 1, 0, 1, 2]
    np.testing.assert_array_equal(read(paths), whole)
    drawn.clear()
    assert write_samples(model, folder, 600, verbose=0) == paths
    write_samples(model, folder, 601, verbose=0)
    assert drawn == [2]


def test_gray_images_are_written_as_such(tmp_path):
    model = kd.DriftModel.from_preset("digits_dit")
    paths = write_samples(model, tmp_path, 2, verbose=0)
    assert read(paths).shape == (2, 8, 8)


def test_other_arguments_and_folders_are_refused(model, tmp_path):
    write_samples(model, tmp_path / "samples", 3, verbose=0)
    with pytest.raises(ValueError, match=r"another `seed`.*seed=1.*seed=0"):
        write_samples(model, tmp_path / "samples", 3, seed=1, verbose=0)
    (tmp_path / "other").mkdir()
    (tmp_path / "other/cat.png").write_text("a picture of somebody's cat")
    with pytest.raises(ValueError, match=r"no `samples.json`"):
        write_samples(model, tmp_path / "other", 3, verbose=0)
    with pytest.raises(ValueError, match="and this is a file"):
        write_samples(model, tmp_path / "other/cat.png", 3, verbose=0)
    with pytest.raises(TypeError, match="directory=3"):
        write_samples(model, 3, 3, verbose=0)


def test_averaged_weights_are_used_also_in_the_middle_of_training(
    model, network_file, data, tmp_path
):
    model = type(model).from_config(model.get_config())
    model.compile(keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.9))
    model.guidance_sampler = None
    found = {}

    class Write(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch != 1:
                return
            folder = tmp_path / "samples"
            paths = write_samples(model, folder, 40, verbose=0)
            found["written"] = read(paths)
            found["metrics"] = evaluate(
                model, folder, 40, features=network_file, verbose=0
            )
            samples = SampleBlocks(model, 40, 1.0, None, 0, 64, "nearest")
            found["raw"] = samples.block(0)
            with model.averaged_weights():
                found["averaged"] = samples.block(0)

    images = data / 127.5 - 1
    labels = np.arange(len(images)) % 4
    model.fit(
        kd.datasets.GroupedDataset(
            images.astype("float32"), labels, positives=8, steps_per_epoch=3
        ),
        verbose=0,
        callbacks=[Write()],
    )
    np.testing.assert_array_equal(found["written"], found["averaged"])
    assert np.any(found["raw"] != found["averaged"])
    assert found["metrics"]["fid"] == pytest.approx(0, abs=1e-6)

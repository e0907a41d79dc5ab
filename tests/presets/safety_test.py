"""Hostile presets: refused with words, nothing written, no code run."""

import base64
import copy
import io
import json
import os
import pickle

import h5py
import keras
import pytest

from keras_drift import DriftModel
from keras_drift import encoders
from keras_drift import generators
from keras_drift.presets import files
from keras_drift.version import __version__


class Payload:
    """An object that makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def network():
    inputs = keras.Input((3,))
    outputs = keras.layers.Dense(2, name="last")(inputs)
    return generators.Functional(keras.Model(inputs, outputs))


@pytest.fixture
def preset(tmp_path):
    """A folder with a preset, and a function that changes its config."""
    folder = tmp_path / "mine"
    DriftModel(network()).save_to_preset(folder)
    return folder


def changed(folder, change, name=files.CONFIG):
    """Changes a JSON file of a preset by a function."""
    content = json.loads((folder / name).read_text())
    change(content)
    (folder / name).write_text(json.dumps(content))


def layers_of(config):
    """The layers in the config of the generator."""
    generator = config["config"]["generator"]
    return generator["config"]["model"]["config"]["layers"]


def refused(folder, match, cls=DriftModel):
    before = sorted(folder.parent.rglob("*"))
    with pytest.raises(ValueError, match=match):
        cls.from_preset(folder)
    assert sorted(folder.parent.rglob("*")) == before


def test_lambda_layer_is_refused(preset, monkeypatch):
    layer = keras.layers.Lambda(lambda x: x, name="mine")
    lambda_config = keras.saving.serialize_keras_object(layer)

    def change(config):
        last = layers_of(config)[-1]
        lambda_config["inbound_nodes"] = last["inbound_nodes"]
        last.update(lambda_config, name=last["name"])
        last["config"]["name"] = last["name"]

    changed(preset, change)
    refused(preset, r"has a `(Lambda|__lambda__)`.*runs code")
    # Also where the user lets Keras load such layers from files of their own.
    module = "keras.src.saving.serialization_lib"
    monkeypatch.setattr(f"{module}.in_safe_mode", lambda: False)
    refused(preset, r"has a `(Lambda|__lambda__)`.*runs code")


@pytest.mark.parametrize(
    "name", ["TorchModuleWrapper", "JaxLayer", "FlaxLayer", "TFSMLayer"]
)
def test_layer_with_pickled_objects_is_refused(preset, tmp_path, name):
    pickled = io.BytesIO()
    pickle.dump(Payload(tmp_path / "run"), pickled)
    text = base64.b64encode(pickled.getvalue()).decode()
    layer = {"module": text, "name": "last", "call_fn": text, "filepath": "x"}

    def change(config):
        layers_of(config)[-1].update(
            class_name=name, module="keras.layers", config=layer
        )

    changed(preset, change)
    refused(preset, f"has a `{name}`, which runs code")
    assert not (tmp_path / "run").exists()


def test_name_with_a_dot_is_no_way_around(preset):
    def change(config):
        layers_of(config)[-1].update(
            class_name="layers.JaxLayer", module="keras"
        )

    changed(preset, change)
    refused(preset, r"has a `layers\.JaxLayer`, which runs code")


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("os", "system"),
        ("builtins", "eval"),
        ("subprocess", "Popen"),
        ("keras.utils", "get_file"),
        ("keras_drift.images", "write_png"),
        ("keras.src.saving.saving_lib", "load_model"),
    ],
)
def test_what_is_no_layer_is_refused(preset, module, name):
    def change(config):
        layers_of(config)[-1].update(
            module=module,
            class_name=name,
            registered_name=name,
            config={"name": "last"},
        )

    changed(preset, change)
    refused(preset, r"`config\.json`.*(damaged|not loaded)")


def test_function_is_refused(preset):
    def change(config):
        layers_of(config)[-1]["config"]["activation"] = {
            "module": "keras.utils",
            "class_name": "function",
            "config": "get_file",
            "registered_name": "get_file",
        }

    changed(preset, change)
    refused(preset, r"`config\.json`.*damaged")


def test_pickled_object_in_place_of_weights_is_refused(preset, tmp_path):
    with (preset / files.WEIGHTS).open("wb") as file:
        pickle.dump(Payload(tmp_path / "run"), file)
    refused(preset, r"`model\.weights\.h5`.*damaged")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "name", [files.CONFIG, files.METADATA, files.WEIGHTS, "model_00000"]
)
def test_symbolic_link_to_elsewhere_is_refused(preset, tmp_path, name):
    if name == "model_00000":
        DriftModel.from_preset(preset).save_to_preset(
            preset, max_shard_size=3e-8
        )
        name = "model_00000.weights.h5"
    (preset / name).rename(tmp_path / "secret")
    (preset / name).symlink_to("../secret")
    refused(preset, rf"`{name}` of this preset is a symbolic link")
    # A link to a file of the preset itself is harmless.
    (preset / name).unlink()
    (tmp_path / "secret").rename(preset / "original")
    (preset / name).symlink_to("original")
    DriftModel.from_preset(preset)


@pytest.mark.parametrize("shared", [False, True])
def test_snapshot_in_the_cache_of_the_hub_is_loaded(preset, tmp_path, shared):
    repository = tmp_path / "hub" / "models--owner--name"
    snapshot = repository / "snapshots" / "commit"
    blobs = repository.parent / "blobs" / "ab" if shared else repository / "b"
    blobs = blobs if shared else repository / "blobs"
    blobs.mkdir(parents=True)
    snapshot.mkdir(parents=True)
    for path in preset.iterdir():
        path.rename(blobs / path.name)
        (snapshot / path.name).symlink_to(
            os.path.relpath(blobs / path.name, snapshot)
        )
    DriftModel.from_preset(snapshot)


@pytest.mark.parametrize("text", ["../other", "a/../../b", "..\\b", ".."])
def test_path_that_leads_out_of_the_preset_is_refused(preset, text):
    def change(config):
        config["config"]["encoder"] = keras.saving.serialize_keras_object(
            encoders.MissingEncoder(text)
        )

    changed(preset, change)
    refused(preset, r"config of this preset has a path that leads out")


def test_preset_that_refers_to_itself_is_refused(preset):
    def change(config):
        config["config"]["encoder"] = keras.saving.serialize_keras_object(
            encoders.MissingEncoder(str(preset))
        )

    changed(preset, change)
    with pytest.raises(ValueError, match=r"refers to itself.* -> "):
        encoders.Encoder.from_preset(preset)
    with pytest.raises(ValueError, match=r"refers to itself.* -> "):
        DriftModel.from_preset(preset)


@pytest.mark.parametrize(
    "version", ["0.2.0", "1.0", "99.0.0rc1", "0.2.0.dev1+local"]
)
def test_later_version_is_refused(preset, version):
    assert __version__.startswith("0.1.")
    changed(
        preset,
        lambda metadata: metadata.update(keras_drift_version=version),
        files.METADATA,
    )
    refused(preset, rf"later version of keras_drift.*of version {version[:5]}")


@pytest.mark.parametrize("version", ["0.1.7", "0.0.9", None])
def test_earlier_version_is_loaded(preset, version):
    changed(
        preset,
        lambda metadata: metadata.update(keras_drift_version=version),
        files.METADATA,
    )
    DriftModel.from_preset(preset)


@pytest.mark.parametrize("version", ["", "new", [1, 2]])
def test_version_that_is_none_is_refused(preset, version):
    changed(
        preset,
        lambda metadata: metadata.update(keras_drift_version=version),
        files.METADATA,
    )
    refused(preset, r"`metadata\.json`.*damaged")


def test_another_class_is_refused(preset):
    refused(preset, "holds a `DriftModel`, not a `DiT`", generators.DiT)


def test_deep_and_large_files_are_refused(preset):
    original = (preset / files.CONFIG).read_text()
    (preset / files.CONFIG).write_text("[" * 100_000)
    refused(preset, r"`config\.json`.*damaged.*nested too deeply")
    (preset / files.CONFIG).write_text(original + " " * 16_000_000)
    refused(preset, r"`config\.json`.*damaged.*too large")
    (preset / files.CONFIG).write_text("[1, 2]")
    refused(preset, r"`config\.json`.*damaged.*JSON object")


@pytest.mark.parametrize("kind", ["link", "external", "virtual"])
def test_weights_that_read_other_files_are_refused(preset, tmp_path, kind):
    with h5py.File(tmp_path / "secret.h5", "w") as secret:
        secret["data"] = [[1.0] * 2] * 3
    with h5py.File(preset / files.WEIGHTS, "r+") as file:
        names = []
        file.visit(names.append)
        (name,) = (n for n in names if getattr(file[n], "shape", ()) == (3, 2))
        shape, dtype = file[name].shape, file[name].dtype
        del file[name]
        if kind == "link":
            file[name] = h5py.ExternalLink(str(tmp_path / "secret.h5"), "data")
        elif kind == "external":
            place = [(str(tmp_path / "secret.h5"), 0, h5py.h5f.UNLIMITED)]
            file.create_dataset(name, shape, dtype, external=place)
        else:
            layout = h5py.VirtualLayout(shape, dtype)
            layout[:] = h5py.VirtualSource(
                str(tmp_path / "secret.h5"), "data", shape
            )
            file.create_virtual_dataset(name, layout)
    found = "is a link" if kind == "link" else "reads another file"
    refused(preset, rf"`model\.weights\.h5`.*{found}")


def test_checks_do_not_change_the_config(preset):
    config = files.read_config(preset)
    before = copy.deepcopy(config)
    DriftModel.from_preset(preset)
    assert config == before

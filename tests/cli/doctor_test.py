import json

import keras
import pytest

from keras_drift_cli import backends
from keras_drift_cli import doctor
from keras_drift_cli import main


@pytest.fixture(autouse=True)
def _environment(monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", keras.backend.backend())


def test_names_backend_devices_and_extras(capsys, monkeypatch):
    versions = {"pillow": None, "kagglehub": None}
    version = doctor.version
    monkeypatch.setattr(
        doctor, "version", lambda p: None if p in versions else version(p)
    )
    monkeypatch.setattr(
        doctor,
        "extras",
        lambda: {"hub": ["kagglehub", "numpy"], "bench": ["numpy"]},
    )
    assert main.main(["doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    backend = keras.backend.backend()
    assert f"backend      {backend} (the environment variable)" in lines
    assert f"keras        {keras.__version__}" in lines
    (devices,) = (line for line in lines if line.startswith("devices"))
    assert "cpu" in devices.lower()
    assert ["hub", "without", "kagglehub"] in [
        line.split()[:3] for line in lines
    ]
    assert any(line.endswith('"keras-drift[hub]"') for line in lines)
    assert ["bench", "complete"] in [line.split()[:2] for line in lines]


def test_extras_are_those_of_the_package(monkeypatch):
    requirements = [
        "keras<4,>=3.13",
        'jax>=0.4.36; extra == "jax"',
        "huggingface-hub>=0.30; extra == 'hub'",
        'msgpack>=1.0 ; (python_version < "4") and extra == "hub"',
        'keras-drift[examples,hub]; extra == "test"',
        'pytest>=8; extra == "test"',
    ]
    monkeypatch.setattr(
        "importlib.metadata.requires", lambda name: requirements
    )
    assert doctor.extras() == {
        "hub": ["huggingface-hub", "msgpack"],
        "test": ["pytest"],
    }


def test_missing_backend_is_a_failure_with_advice(capsys, monkeypatch):
    def fail():
        print("devices      none")
        return False

    monkeypatch.setattr(doctor, "_print_devices", fail)
    monkeypatch.setattr(doctor, "version", lambda package: None)
    assert main.main(["doctor"]) == 1
    out = capsys.readouterr().out
    assert 'jax        missing: pip install "keras-drift[jax]"' in out


def test_backend_is_that_asked_for_or_one_that_is_installed(
    monkeypatch, tmp_path
):
    monkeypatch.setattr(backends, "installed", lambda: ["jax", "torch"])
    assert backends.choose("torch") == ("torch", "--backend")
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    assert backends.choose()[0] == "tensorflow"
    monkeypatch.delenv("KERAS_BACKEND")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    assert backends.choose() == ("jax", "it is installed")
    for name, expected in (("torch", "torch"), ("tensorflow", "jax")):
        (tmp_path / "keras.json").write_text(json.dumps({"backend": name}))
        assert backends.choose()[0] == expected
    (tmp_path / "keras.json").write_text("[broken")
    assert backends.choose()[0] == "jax"
    monkeypatch.setattr(backends, "installed", list)
    assert backends.choose() == (None, "none is installed")

"""Rules of the house that every public class keeps."""

import ast
import inspect
import json
import operator
import os
import pathlib
import subprocess
import sys

import keras
import pytest

import keras_drift

ROOT = pathlib.Path(keras_drift.__file__).parent
FOLDERS = (
    "autoencoders",
    "callbacks",
    "datasets",
    "drifts",
    "drifts.normalizations",
    "encoders",
    "energies",
    "flows",
    "generators",
    "kernels",
    "metrics",
    "schedules",
    "spectral",
    "training",
)
# From the bottom up: a folder imports from those before it only.
LAYERS = (
    "ops",
    "kernels",
    "schedules",
    "presets",
    "datasets",
    "encoders",
    "autoencoders",
    "generators",
    "metrics",
    "energies",
    "drifts",
    "flows",
    "spectral",
    "distribution",
    "training",
    "callbacks",
    "models",
    "evaluation",
)


# The same for the folders in `datasets`.
DATASETS = ("arrays", "toys", "images", "latents", "grouped", "banks")


def public_classes():
    for folder in FOLDERS:
        module = operator.attrgetter(folder)(keras_drift)
        for name in module.__all__:
            value = getattr(module, name)
            if inspect.isclass(value):
                yield value
    yield keras_drift.DriftModel
    yield keras_drift.PowerLawGuidance


PUBLIC = [c for c in public_classes() if c.__name__ != "Field"]


@pytest.mark.parametrize("cls", PUBLIC, ids=lambda cls: cls.__name__)
def test_class_lives_in_a_file_of_its_name_and_says_what_it_is(cls):
    file_name = cls.__module__.rpartition(".")[-1]
    assert file_name.replace("_", "") == cls.__name__.lower()
    assert cls.__doc__.splitlines()[0].endswith(".")
    own = cls.__dict__.get("__init__", lambda self: None)
    arguments = list(inspect.signature(own).parameters)[1:]
    for name in arguments:
        assert f"{name}:" in cls.__doc__, f"`{name}` is not documented"


@pytest.mark.parametrize(
    "cls",
    [c for c in PUBLIC if hasattr(c, "get_config")],
    ids=lambda cls: cls.__name__,
)
def test_class_is_registered_under_its_own_name(cls):
    bases = (
        "Kernel",
        "Energy",
        "Drift",
        "Autoencoder",
        "Encoder",
        "Generator",
        "Distance",
        "Normalization",
        "PairwiseDrift",
        "VelocityDrift",
    )
    if cls.__name__ in bases or issubclass(cls, keras.utils.PyDataset):
        return
    registered = keras.saving.get_registered_name(cls)
    package = "keras_drift"
    if issubclass(cls, keras_drift.energies.Energy):
        package = "keras_drift.energies"  # metrics share their names
    if issubclass(cls, keras_drift.drifts.normalizations.Normalization):
        package = "keras_drift.normalizations"
    assert registered == f"{package}>{cls.__name__}"
    assert keras.saving.get_registered_object(registered) is cls


@pytest.mark.parametrize("identifier", ["gaussian", "laplacian", "matern"])
def test_default_kernels_survive_json(identifier):
    kernel = keras_drift.kernels.get(identifier)
    config = keras.saving.serialize_keras_object(kernel)
    config = json.loads(json.dumps(config))
    assert type(keras_drift.kernels.get(config)) is type(kernel)


@pytest.mark.parametrize("folder", LAYERS)
def test_imports_point_down(folder):
    allowed = set(LAYERS[: LAYERS.index(folder) + 1])
    for path in (ROOT / folder).rglob("*.py"):
        for line in path.read_text().splitlines():
            words = line.split()
            if words[:1] != ["from"] or "keras_drift" not in line:
                continue
            if words[1] == "keras_drift":
                target = words[3]
            else:
                target = words[1].split(".")[1]
            if target in LAYERS:
                assert target in allowed, f"{path.name}: {line}"


@pytest.mark.parametrize("folder", DATASETS)
def test_imports_point_down_in_datasets(folder):
    allowed = DATASETS[: DATASETS.index(folder) + 1]
    paths = list((ROOT / "datasets" / folder).glob("*.py"))
    assert len(paths) > 1
    for path in paths:
        for line in path.read_text().splitlines():
            words = line.split()
            if words[:1] == ["from"] and "keras_drift.datasets" in words[1]:
                assert words[1].split(".")[2] in allowed, f"{path.name}: {line}"


def test_every_file_of_datasets_is_in_a_folder_of_its_idea():
    inside = {path.name for path in (ROOT / "datasets").iterdir()}
    assert inside - {"__pycache__"} == {"__init__.py", *DATASETS}


def test_only_the_backend_folder_names_one():
    for path in ROOT.rglob("*.py"):
        if path.parent.name == "backend":
            continue
        for line in path.read_text().splitlines():
            words = line.split()
            if words[:1] in (["import"], ["from"]):
                root = words[1].split(".")[0]
                assert root not in ("jax", "tensorflow", "torch"), line


USE_ALONE = """
import sys
import keras_drift as kd
model = kd.DriftModel(kd.generators.MLP(2, hidden_dims=(8,)), seed=0)
model.compile("adam")
model.fit(kd.datasets.two_moons(64, seed=0), verbose=0)
assert model.generate(3, seed=0).shape == (3, 2)
for absent in (
    "jax", "tensorflow", "torch", "sklearn", "matplotlib", "PIL",
    "keras_cv", "keras_hub", "safetensors", "transformers", "orbax",
):
    assert absent == kd_backend or absent not in sys.modules, absent
"""


def runner(folder, absent):
    """Runs programs where some packages, and the extras, are not installed."""
    # The installed packages, as links in a folder that Python searches in place
    # of the real one.
    absent = {*absent, "sklearn", "matplotlib", "PIL", "keras_drift"}
    installed = pathlib.Path(keras.__file__).parents[1]
    for path in installed.iterdir():
        name = path.name.partition("-")[0]
        if name not in absent and path.suffix != ".pth":
            (folder / path.name).symlink_to(path)
    (folder / "keras_drift").symlink_to(ROOT)

    def run(program, keras_backend):
        return subprocess.run(
            [sys.executable, "-S", "-c", program],
            env={
                **os.environ,
                "KERAS_BACKEND": keras_backend,
                "PYTHONPATH": str(folder),
            },
            capture_output=True,
            text=True,
            cwd=folder,
            check=False,
        )

    return run


BACKENDS = {"jax", "jaxlib", "tensorflow", "torch"}


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """Runs a program where this is the only backend, without the extras."""
    backend = keras.backend.backend()
    present = {backend, "jaxlib" if backend == "jax" else backend}
    return runner(tmp_path_factory.mktemp("alone"), BACKENDS - present)


def test_works_with_this_backend_alone(alone):
    backend = keras.backend.backend()
    result = alone(f"kd_backend = {backend!r}" + USE_ALONE, backend)
    assert result.returncode == 0, result.stderr


def test_says_how_to_choose_a_backend_that_is_installed(alone):
    other = "torch" if keras.backend.backend() != "torch" else "tensorflow"
    result = alone("import keras_drift", other)
    assert result.returncode != 0
    assert f"Keras is set to run on '{other}'" in result.stderr
    installed = (
        f"KERAS_BACKEND to the backend that is ({keras.backend.backend()})"
    )
    assert installed in result.stderr


@pytest.mark.backend_free
def test_says_which_backends_there_are_where_none_is_installed(tmp_path):
    result = runner(tmp_path, BACKENDS)("import keras_drift", "tensorflow")
    assert result.returncode != 0
    for name in ("jax", "tensorflow", "torch"):
        assert f'pip install "keras-drift[{name}]"' in result.stderr
    assert "none is installed here" in result.stderr
    assert "(none)" not in result.stderr


@pytest.mark.backend_free
def test_functions_fit_a_screen():
    """Without docstrings; a constructor of many arguments is the longest."""
    root = pathlib.Path(keras_drift.__file__).parent
    lines = (root / "models" / "drift_model.py").read_text().splitlines()
    assert len(lines) <= 350
    lengths = {}
    for path in [
        *root.rglob("*.py"),
        *(root.parent / "keras_drift_cli").rglob("*.py"),
    ]:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef):
                first = node.body[0]
                documented = ast.get_docstring(node) is not None
                length = node.end_lineno - node.lineno + 1
                if documented:
                    length -= first.end_lineno - first.lineno + 1
                lengths[f"{path.name}: {node.name}"] = length
    assert {k: n for k, n in lengths.items() if n > 60} == {}

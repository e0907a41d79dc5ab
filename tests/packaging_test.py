"""The wheel and the source distribution: contents, size, metadata."""

import email
import pathlib
import re
import subprocess
import sys
import tarfile
import zipfile

import pytest

from keras_drift import __version__

pytestmark = pytest.mark.backend_free

ROOT = pathlib.Path(__file__).parents[1]
PACKAGES = ("keras_drift", "keras_drift_cli")
MAX_BYTES = {".whl": 12_000_000, ".gz": 16_000_000}

pytest.importorskip("hatchling", reason="needs hatchling: `make package`")


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The paths of a wheel and of a source distribution."""
    folder = tmp_path_factory.mktemp("dist")
    program = (
        "import sys; from hatchling import build\n"
        "build.build_wheel(sys.argv[1]); build.build_sdist(sys.argv[1])"
    )
    subprocess.run(
        [sys.executable, "-c", program, str(folder)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (wheel,) = folder.glob("*.whl")
    (source,) = folder.glob("*.tar.gz")
    return wheel, source


@pytest.fixture(scope="module")
def wheel(built):
    with zipfile.ZipFile(built[0]) as file:
        yield file


@pytest.fixture(scope="module")
def metadata(wheel):
    (name,) = (n for n in wheel.namelist() if n.endswith("/METADATA"))
    return email.message_from_bytes(wheel.read(name))


def files_of_packages():
    return {
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_wheel_has_the_packages_and_nothing_else(wheel):
    info = f"keras_drift-{__version__}.dist-info/"
    names = {name for name in wheel.namelist() if not name.startswith(info)}
    assert names == files_of_packages()
    endings = {pathlib.PurePath(name).suffix for name in names}
    assert endings == {".py", ".json", ".h5", ".yaml"}


def test_files_are_small(built):
    for path in built:
        assert path.stat().st_size <= MAX_BYTES[path.suffix], path.name


def test_wheel_has_license_and_command(wheel):
    info = f"keras_drift-{__version__}.dist-info"
    license_text = wheel.read(f"{info}/licenses/LICENSE").decode()
    assert license_text == (ROOT / "LICENSE").read_text()
    commands = wheel.read(f"{info}/entry_points.txt").decode()
    assert "keras-drift = keras_drift_cli.main:main" in commands


def test_metadata_say_what_is_needed(metadata):
    assert metadata["Name"] == "keras-drift"
    assert metadata["Version"] == __version__
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["Description-Content-Type"] == "text/markdown"
    required = [r for r in metadata.get_all("Requires-Dist") if ";" not in r]
    assert sorted(re.split(r"[<>=]", r)[0] for r in required) == [
        "keras",
        "numpy",
    ]
    # Whoever chooses one backend gets that one alone.
    for backend in ("jax", "tensorflow", "torch"):
        (needed,) = (
            r
            for r in metadata.get_all("Requires-Dist")
            if re.search(rf"extra == ['\"]{backend}['\"]", r)
        )
        assert needed.startswith(backend)


def test_source_has_what_it_takes_to_test_and_to_cite(built):
    with tarfile.open(built[1]) as file:
        names = {
            name.partition("/")[2] for name in file.getnames() if "/" in name
        }
    for name in (
        "CHANGELOG.md",
        "CITATION.cff",
        "LICENSE",
        "Makefile",
        "README.md",
        "conftest.py",
        "examples/nano.py",
        "guides/drifting_in_five_minutes.py",
        "pyproject.toml",
        "tests/packaging_test.py",
    ):
        assert name in names
    assert files_of_packages() <= names
    assert not any("__pycache__" in name for name in names)


def test_index_accepts_both(built):
    pytest.importorskip("twine", reason="needs twine: `make package`")
    result = subprocess.run(
        [sys.executable, "-m", "twine", "check", "--strict", *built],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.count("PASSED") == 2


def test_citation_is_of_this_version():
    yaml = pytest.importorskip("yaml")
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    assert str(citation["version"]) == __version__
    assert citation["license"] == "Apache-2.0"
    (paper,) = citation["references"]
    assert paper["url"] in (ROOT / "README.md").read_text("utf-8")

"""The golden data of the official release, without which tests skip."""

import gzip
import pathlib
import shutil

import pytest

ROOT = pathlib.Path(__file__).parents[2] / "shared/golden"


def find(case):
    """The folder or file of a case, such as `"generator/latent"`."""
    path = ROOT / case
    if not path.exists():
        pytest.skip(f"needs the golden data in {path}")
    return path


def artifact(case, folder):
    """The artifact of a case; a compressed one is unpacked into a folder."""
    source = find(case)
    packed = source / "ema_params.msgpack.gz"
    if not packed.exists():
        return source
    shutil.copy(source / "metadata.json", folder)
    content = gzip.decompress(packed.read_bytes())
    (folder / "ema_params.msgpack").write_bytes(content)
    return folder

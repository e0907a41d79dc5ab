"""Files of the Hugging Face hub, from a cache laid out like its own."""

import hashlib
import sys

import pytest

from hub_stand_in import COMMIT
from keras_drift.presets import hub

pytestmark = pytest.mark.backend_free

pytest.importorskip("huggingface_hub")

REPOSITORY = "owner/name"
CONTENT = b'{"depths": [1, 2]}'


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache without network, and a function that adds a file."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    folder = tmp_path / "models--owner--name"
    snapshot = folder / "snapshots" / COMMIT

    def add(filename, checksum):
        for path in (folder / "blobs", folder / "refs", snapshot):
            path.mkdir(parents=True, exist_ok=True)
        (folder / "refs" / "main").write_text(COMMIT)
        (folder / "blobs" / checksum).write_bytes(CONTENT)
        (snapshot / filename).symlink_to(folder / "blobs" / checksum)
        return folder / "blobs" / checksum

    return add


def large_file():
    """The name of a large file in the cache."""
    return hashlib.sha256(CONTENT).hexdigest()


def small_file():
    """The name of a small file: that of a Git object."""
    return hashlib.sha1(b"blob %d\0" % len(CONTENT) + CONTENT).hexdigest()


@pytest.mark.parametrize("checksum", [large_file(), small_file()])
@pytest.mark.parametrize("revision", [None, "main", COMMIT])
def test_finds_a_cached_file(cache, checksum, revision):
    cache("config.json", checksum)
    path = hub.fetch(REPOSITORY, "config.json", revision)
    assert path.name == "config.json"
    assert path.read_bytes() == CONTENT


@pytest.mark.parametrize("checksum", [large_file(), small_file()])
@pytest.mark.parametrize("damage", [CONTENT[:-1], CONTENT[:-1] + b"]"])
def test_refuses_a_truncated_or_altered_file(cache, checksum, damage):
    cache("config.json", checksum).write_bytes(damage)
    with pytest.raises(ValueError, match=r"`config.json`.*truncated or alter"):
        hub.fetch(REPOSITORY, "config.json")


def test_says_what_it_could_not_fetch_and_what_to_do(cache, tmp_path):
    cache("config.json", large_file())
    with pytest.raises(ConnectionError) as error:
        hub.fetch(REPOSITORY, "model.safetensors", "v1", num_bytes=350_000_000)
    message = str(error.value)
    for part in (
        "`model.safetensors` (350.0 MB) of the repository 'owner/name'",
        f"cache '{tmp_path}'",
        "https://huggingface.co/owner/name/resolve/v1/model.safetensors",
        "`hf download owner/name model.safetensors --revision v1`",
        "'models--owner--name'",
    ):
        assert part in message


def test_refuses_what_is_no_name_of_a_repository(cache):
    with pytest.raises(ValueError, match=r"Received: repo_id='a//b'"):
        hub.fetch("a//b", "config.json")


def test_says_which_package_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ModuleNotFoundError, match=r'"keras-drift\[hub\]"'):
        hub.fetch(REPOSITORY, "config.json")


def test_a_handle_names_a_repository_and_perhaps_a_revision():
    assert hub.is_handle("hf://owner/name")
    assert not hub.is_handle("digits_dit")
    assert hub.parse("hf://owner/name") == ("owner/name", None)
    assert hub.parse("hf://owner/na-me@v1/x") == ("owner/na-me", "v1/x")


@pytest.mark.parametrize(
    "handle", ["hf://", "hf://name", "hf://a/b/c", "hf://a/b@", "hf://a/b c"]
)
def test_refuses_a_handle_that_names_no_repository(handle):
    with pytest.raises(ValueError, match=r"'hf://owner/name'.*Received"):
        hub.parse(handle)


def test_finds_a_file_in_the_store_of_all_repositories(cache, tmp_path):
    # There files have the names of other checksums.
    blob = cache("config.json", large_file())
    shared = tmp_path / "blobs" / "ab" / ("ab" * 32)
    shared.parent.mkdir(parents=True)
    blob.rename(shared)
    blob.symlink_to(shared)
    assert hub.fetch(REPOSITORY, "config.json").read_bytes() == CONTENT
    shared.write_bytes(CONTENT[:-1])
    with pytest.raises(ValueError, match="truncated or altered"):
        hub.fetch(REPOSITORY, "config.json")

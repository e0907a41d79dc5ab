"""Stand-in of the hubs: a folder, behind the functions of their libraries."""

import pathlib
import shutil

from keras_drift.presets import network

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub:
    """A hub in a folder, behind the functions of the libraries of hubs.

    Args:
        folder: `pathlib.Path`.
        monkeypatch: fixture of pytest.

    Attributes:
        online: bool, whether the hub can be reached.
        proxied: bool, whether by way of a proxy, which can be reached.
        downloads: list of the names of the files that were downloaded.
        uploads: list of the arguments of uploads.
    """

    def __init__(self, folder, monkeypatch):
        self.root = folder / "hub"
        self.cache = folder / "cache"
        self.online = True
        self.proxied = False
        self.downloads = []
        self.uploads = []
        self._patch(monkeypatch)

    def add(self, address, preset):
        """Puts the files of a preset folder on the hub."""
        shutil.copytree(preset, self.root / address, dirs_exist_ok=True)

    def _patch(self, monkeypatch):
        import huggingface_hub
        import kagglehub
        import keras

        def is_reachable(url):
            del url
            return self.online

        monkeypatch.setattr(network, "is_reachable", is_reachable)
        monkeypatch.setattr(network, "is_proxied", lambda url: self.proxied)
        for library, name in (
            (huggingface_hub, "get_hf_file_metadata"),
            (huggingface_hub, "hf_hub_download"),
            (huggingface_hub, "HfApi"),
            (kagglehub, "model_download"),
            (kagglehub, "model_upload"),
            (keras.utils, "get_file"),
        ):
            monkeypatch.setattr(library, name, getattr(self, name))
        cache = str(self.cache / "kaggle")
        monkeypatch.setenv("KAGGLEHUB_CACHE", cache)
        monkeypatch.setenv("KERAS_DRIFT_CACHE", str(self.cache / "presets"))

    def _download(self, address, filename, place):
        source = self.root / address / filename
        if place.is_file() and not (self.online and _differ(source, place)):
            return place
        if not self.online:
            return None
        if source.is_file():
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, place)
            self.downloads.append(filename)
            return place
        return False

    def get_hf_file_metadata(self, url):
        assert url.startswith("https://")
        if not self.online:
            raise ConnectionError("as the client of the hub says it")

    def hf_hub_download(
        self, repo_id, filename, revision=None, local_files_only=False
    ):
        from huggingface_hub import errors

        assert local_files_only is not self.online
        assert revision in (None, COMMIT)
        place = self.cache / "hf" / repo_id / "snapshots" / COMMIT / filename
        found = self._download(repo_id, filename, place)
        if found is None:
            raise errors.LocalEntryNotFoundError("offline")
        if not found:
            raise errors.EntryNotFoundError(f"no {filename}")
        return str(found)

    def model_download(self, handle, path):
        import requests

        name, version = handle, "2"
        if handle.count("/") == 4:
            name, _, version = handle.rpartition("/")
        elif not self.online:
            raise requests.exceptions.ConnectionError
        models = self.cache / "kaggle" / "models"
        found = self._download(name, path, models / name / version / path)
        if found is None:
            raise requests.exceptions.ConnectionError
        if not found:
            response = requests.Response()
            raise requests.HTTPError("404 Client Error", response=response)
        marker = models / name / ".complete" / version / f"{path}.complete"
        marker.parent.mkdir(parents=True, exist_ok=True)
        marker.touch()
        return str(found)

    def get_file(self, fname, origin, cache_subdir, cache_dir):
        server = "https://storage.googleapis.com/"
        address, _, filename = origin.removeprefix(server).rpartition("/")
        place = pathlib.Path(cache_dir) / cache_subdir / fname
        found = self._download(address, filename, place)
        if not found:
            raise Exception(f"URL fetch failure on {origin}: 404 -- Not Found")
        return str(found)

    def HfApi(self, library_name):  # noqa: N802
        del library_name
        return self

    def create_repo(self, repo_id, exist_ok):
        assert exist_ok
        (self.root / repo_id).mkdir(parents=True, exist_ok=True)

    def file_exists(self, repo_id, filename):
        return (self.root / repo_id / filename).is_file()

    def upload_folder(
        self, repo_id, folder_path, commit_message, ignore_patterns
    ):
        assert commit_message
        kept = shutil.ignore_patterns(*(ignore_patterns or ()))
        place = self.root / repo_id
        shutil.copytree(folder_path, place, ignore=kept, dirs_exist_ok=True)
        self.uploads.append(repo_id)

    def model_upload(self, handle, local_model_dir, license_name):
        shutil.copytree(local_model_dir, self.root / handle, dirs_exist_ok=True)
        self.uploads.append((handle, license_name))


def _differ(source, place):
    return source.is_file() and source.read_bytes() != place.read_bytes()

"""Fetches files from the Hugging Face hub into its own cache; uploads to it."""

import hashlib
import os
import pathlib
import re

from keras_drift import extras
from keras_drift.presets import card
from keras_drift.presets import network

PREFIX = "hf://"
# A repository, and a branch, tag or commit of it.
_HANDLE = re.compile(r"hf://([^/@\s]+/[^/@\s]+)(?:@([^\s@]+))?")
_COMMIT = re.compile("[0-9a-f]{40}")


def is_handle(handle):
    """Whether a handle names a repository of the hub: `"hf://..."`."""
    return str(handle).startswith(PREFIX)


def parse(handle):
    """Splits `"hf://owner/name"` or `"hf://owner/name@revision"`.

    Returns:
        `(repo_id, revision)`; the revision is `None` where there is none.
    """
    match = _HANDLE.fullmatch(str(handle))
    if match is None:
        raise ValueError(
            "A handle of the Hugging Face hub is 'hf://owner/name', or "
            "'hf://owner/name@revision' for a branch, tag or commit. "
            f"Received: preset={str(handle)!r}"
        )
    return match.groups()


def fetch(repo_id, filename, revision=None, num_bytes=None):
    """Returns the path of a file of the hub, downloaded if it is not cached.

    It is stored in the hub's own cache, whose place the environment variable
    `HF_HOME` changes, and its checksum is compared with the one that the hub
    gives, which the cache keeps in the name of the file. With
    `HF_HUB_OFFLINE=1`, or where the hub cannot be reached, only the cache is
    read.

    Args:
        repo_id: str, `"owner/name"`.
        filename: str, the path of the file in the repository.
        revision: str, a branch, tag or commit. Defaults to `None`: `"main"`.
        num_bytes: int, the size of the file, for the message without network.
            Defaults to `None`: not known.

    Returns:
        A `pathlib.Path`.

    Raises:
        ConnectionError: if the file is not cached, and the hub not reached.
        ValueError: if there is no such repository, revision or file, or if the
            cached file differs from its checksum.
    """
    huggingface_hub = _library()
    errors = huggingface_hub.errors
    try:
        url = huggingface_hub.hf_hub_url(repo_id, filename, revision=revision)
        path = huggingface_hub.hf_hub_download(
            repo_id,
            filename,
            revision=revision,
            local_files_only=_offline(huggingface_hub, url),
        )
    except errors.LocalEntryNotFoundError as error:
        raise ConnectionError(
            _by_hand(url, repo_id, filename, revision, num_bytes)
            + f" ({network.first_line(error.__cause__ or error)})"
        ) from error
    except (
        errors.HFValidationError,
        errors.EntryNotFoundError,
        errors.RepositoryNotFoundError,
        errors.RevisionNotFoundError,
    ) as error:
        raise ValueError(
            "The Hugging Face hub has no such file, or asks to log in with "
            f"`hf auth login` before it shows it. Received: repo_id={repo_id!r}"
            f", filename={filename!r}, revision={revision!r} "
            f"({network.first_line(error.__cause__ or error)})"
        ) from error
    path = pathlib.Path(path)
    _check_intact(path)
    return path


def fetcher(handle):
    """A function from the name of a file of a preset to its path.

    All files are of one commit, whatever is uploaded in between.

    Args:
        handle: str, see `parse`.
    """
    repo_id, revision = parse(handle)
    state = {"revision": revision}

    def fetch_one(filename):
        path = fetch(repo_id, filename, state["revision"])
        if _COMMIT.fullmatch(path.parent.name):
            state["revision"] = path.parent.name
        return path

    return fetch_one


def upload(handle, folder, keep_card, license_name=None):
    """Uploads a folder to a repository, which is created where there is none.

    Args:
        handle: str, see `parse`, without a revision.
        folder: path.
        keep_card: bool, whether a card of the repository that somebody has
            written or edited stays.
        license_name: unused; the card of a repository has its license.

    Returns:
        The address of the repository.
    """
    del license_name
    repo_id, revision = parse(handle)
    if revision is not None:
        raise ValueError(
            "An upload is a new commit of the main branch. Leave the revision "
            f"out: {PREFIX + repo_id!r}. Received: uri={str(handle)!r}"
        )
    library = _library()
    api = library.HfApi(library_name="keras_drift")
    api.create_repo(repo_id, exist_ok=True)
    keep_card = keep_card and _has_card_of_somebody(api, repo_id)
    api.upload_folder(
        repo_id=repo_id,
        folder_path=os.fspath(folder),
        commit_message="Upload of a keras_drift preset",
        ignore_patterns=["README.md"] if keep_card else None,
    )
    return f"https://huggingface.co/{repo_id}"


def _has_card_of_somebody(api, repo_id):
    """Whether a repository has a card that is not generated, or was edited."""
    if not api.file_exists(repo_id, "README.md"):
        return False
    there = fetch(repo_id, "README.md").read_text("utf-8")
    return not card.is_generated(there)


def _offline(huggingface_hub, url):
    """Whether only the cache can be read."""
    constants = huggingface_hub.constants
    if constants.HF_HUB_OFFLINE:
        return True
    if network.is_proxied(constants.ENDPOINT):
        return not _answers(huggingface_hub, url)
    return not network.is_reachable(constants.ENDPOINT)


def _answers(huggingface_hub, url):
    """Whether the hub answers a request for the metadata of a file.

    One request, for `HF_HUB_ETAG_TIMEOUT` seconds at most. A download repeats
    it for 23 seconds, and behind a proxy that refuses it, it does not look
    into the cache.
    """
    try:
        huggingface_hub.get_hf_file_metadata(url)
    except huggingface_hub.errors.HfHubHTTPError as error:
        return error.response.status_code < 500  # no gateway without network
    except Exception:  # of the HTTP client, which differs between versions
        return False
    return True


def _library():
    needed = "Presets of the Hugging Face hub ('hf://...')"
    package = needed, "huggingface_hub", "hub"
    library = extras.load("huggingface_hub", *package)
    extras.load("huggingface_hub.constants", *package)
    extras.load("huggingface_hub.errors", *package)
    return library


def _by_hand(url, repo_id, filename, revision, num_bytes):
    """What was to be fetched, from where, how large, and what to do."""
    size = "" if num_bytes is None else f" ({num_bytes / 1e6:,.1f} MB)"
    option = "" if revision is None else f" --revision {revision}"
    cache = _library().constants.HF_HUB_CACHE
    return (
        f"`{filename}`{size} of the repository {repo_id!r} is not in the cache "
        f"{cache!r}, and could not be fetched from {url}. Where there is "
        f"network, run `hf download {repo_id} {filename}{option}`, and copy "
        f"the folder 'models--{repo_id.replace('/', '--')}' of the cache there "
        "into this one."
    )


def _check_intact(path):
    """Refuses a file that differs from the checksum in its name.

    The cache calls a large file by its SHA-256, a small one by the SHA-1 of
    its Git object, and links to it. Where links are not possible, the name
    tells nothing.
    """
    # The first link only: it may lead to another, of a store that all
    # repositories share, which names files in another way.
    expected = os.path.basename(os.readlink(path)) if path.is_symlink() else ""
    if re.fullmatch("[0-9a-f]{64}", expected):
        digest = hashlib.sha256()
    elif re.fullmatch("[0-9a-f]{40}", expected):
        digest = hashlib.sha1(f"blob {path.stat().st_size}\0".encode())
    else:
        return
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    if digest.hexdigest() != expected:
        raise ValueError(
            f"`{path.name}` in the cache of the Hugging Face hub is truncated "
            "or altered: its checksum is not that of the hub. Delete the file, "
            f"and it is downloaded again. Received: {str(path)!r} and "
            f"{str(path.resolve())!r}"
        )

"""Artifacts of the official release: folders of weights and metadata."""

import pathlib

from keras_drift import fingerprints
from keras_drift import json_file
from keras_drift.converters import flax_msgpack

WEIGHTS = "ema_params.msgpack"
METADATA = "metadata.json"
# A run of the official trainer has its artifact in this folder.
_RUN_FOLDER = "params_ema"
_KINDS = ("gen", "mae")
_MAX_SIZE = 2**31


class Artifact:
    """Weights and metadata of one network of the official release.

    Args:
        folder: path of the folder with `ema_params.msgpack` and
            `metadata.json`, or of a run of the official trainer that holds such
            a folder, `params_ema`.

    Attributes:
        folder: `pathlib.Path`.
        metadata: dict, the content of `metadata.json`.
        kind: `"gen"` for a generator, `"mae"` for a masked autoencoder.
        num_bytes: int, the size of the weights.
    """

    def __init__(self, folder):
        folder = pathlib.Path(folder).expanduser()
        if (folder / _RUN_FOLDER).is_dir():
            folder = folder / _RUN_FOLDER
        for name in (METADATA, WEIGHTS):
            if not (folder / name).is_file():
                raise ValueError(
                    f"An artifact of the official release is a folder with "
                    f"{WEIGHTS} and {METADATA}; `{name}` is missing. "
                    f"Received: artifact={str(folder)!r}"
                )
        self.folder = folder
        self.metadata = _read_metadata(folder / METADATA)
        self.kind = self.metadata["kind"]
        self.num_bytes = (folder / WEIGHTS).stat().st_size

    def read_arrays(self):
        """The weights, `{path: array}`, see `flax_msgpack.read_arrays`."""
        return flax_msgpack.read_arrays(self.folder / WEIGHTS)

    def checksums(self):
        """Sizes and SHA-256 checksums of the two files, as a dict."""
        return {
            name: {
                "num_bytes": (self.folder / name).stat().st_size,
                "sha256": fingerprints.of_file(self.folder / name),
            }
            for name in (METADATA, WEIGHTS)
        }


def _read_metadata(path):
    """Reads the metadata, data of unknown origin."""
    try:
        metadata = json_file.read(path)
        if metadata.get("format", "flax.msgpack") != "flax.msgpack":
            raise ValueError(f"its format is {metadata['format']!r:.80}")
        if metadata.get("kind") not in _KINDS:
            raise ValueError(
                f"its `kind` is {metadata.get('kind')!r:.80}, where the "
                f"release has {' and '.join(map(repr, _KINDS))}"
            )
        _check_config(metadata.get("model_config"))
    except ValueError as error:
        raise ValueError(
            f"`{path.name}` is truncated, altered, or not that of an artifact "
            f"of the official release: {error}. Received: {str(path)!r}"
        ) from error
    return metadata


def _check_config(config):
    """Refuses a configuration with anything but plain, finite numbers."""
    if not isinstance(config, dict) or not config:
        raise ValueError("it has no `model_config`")
    for name, value in config.items():
        values = value if isinstance(value, list) and value else [value]
        if len(values) > 16 or not all(map(_is_plain, values)):
            raise ValueError(f"`{name:.80}` is {value!r:.80}")


def _is_plain(value):
    # NaN is not in this range either.
    return isinstance(value, (int, float)) and 0 <= value <= _MAX_SIZE

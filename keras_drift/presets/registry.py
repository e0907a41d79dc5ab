"""Registry of the built-in presets, read on access."""

import copy
import functools
import json
import pathlib

from keras_drift.presets import files

FOLDER = pathlib.Path(__file__).parent


@functools.lru_cache(maxsize=1)
def _built_in():
    """`{name: (class name, metadata)}` of all built-in presets."""
    return {
        path.parent.name: (
            json.loads((path.parent / files.CONFIG).read_text("utf-8"))[
                "class_name"
            ],
            json.loads(path.read_text("utf-8")),
        )
        for path in sorted(FOLDER.glob(f"*/{files.METADATA}"))
    }


def names():
    """The names of all built-in presets."""
    return tuple(_built_in())


def presets_of(cls):
    """The built-in presets of a class, `{name: metadata}`."""
    class_names = names_of(cls)
    return {
        name: copy.deepcopy(metadata)
        for name, (class_name, metadata) in _built_in().items()
        if class_name in class_names
    }


def names_of(cls):
    """The names of a class and its subclasses."""
    return {cls.__name__}.union(*map(names_of, cls.__subclasses__()))

"""Registry of the presets with a name, read on access."""

import copy
import functools
import json
import pathlib

from keras_drift.presets import files

FOLDER = pathlib.Path(__file__).parent
RELEASED = FOLDER / "released.json"


@functools.lru_cache(maxsize=1)
def _built_in():
    """`{name: (class name, metadata)}` of the presets in this package."""
    return {
        path.parent.name: (
            json.loads((path.parent / files.CONFIG).read_text("utf-8"))[
                "class_name"
            ],
            json.loads(path.read_text("utf-8")),
        )
        for path in sorted(FOLDER.glob(f"*/{files.METADATA}"))
    }


@functools.lru_cache(maxsize=1)
def _released():
    """The table of the presets that are converted on first use."""
    return json.loads(RELEASED.read_text("utf-8"))


def built_in_names():
    """The names of the presets in this package."""
    return tuple(_built_in())


def released_names():
    """The names of the presets that are fetched and converted on first use."""
    return tuple(_released())


def names():
    """The names of all presets."""
    return (*built_in_names(), *released_names())


def released(name):
    """What is known of a preset before it is fetched.

    Returns:
        A dict: `"class_name"`; `"converter"`, the module that makes the preset;
        `"source"`, a dict of the hub's `"repo_id"`, the `"folder"` in it and
        `"num_bytes"`, about the size of its files; `"training"`, of models, the
        recipe; and `"metadata"`.
    """
    return copy.deepcopy(_released()[name])


def presets_of(cls):
    """The presets of a class, `{name: metadata}`, without fetching any.

    The metadata of released ones have `"download_bytes"`, about the size of
    what is fetched on first use.
    """
    class_names = names_of(cls)
    known = {
        **_built_in(),
        **{
            name: (
                entry["class_name"],
                {
                    **entry["metadata"],
                    "download_bytes": entry["source"]["num_bytes"],
                },
            )
            for name, entry in _released().items()
        },
    }
    return {
        name: copy.deepcopy(metadata)
        for name, (class_name, metadata) in known.items()
        if class_name in class_names
    }


def names_of(cls):
    """The names of a class and its subclasses."""
    return {cls.__name__}.union(*map(names_of, cls.__subclasses__()))

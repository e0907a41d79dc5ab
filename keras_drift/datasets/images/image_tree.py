"""Lists the image files of a folder with one folder for each class."""

import os

import numpy as np

from keras_drift import user_warnings

_SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".webp")
_OTHER_SUFFIXES = (".avif", ".heic", ".heif", ".jp2", ".jxl", ".tif", ".tiff")
_PARTS = {"train", "training", "val", "valid", "validation", "test", "testing"}


def list_images(directory):
    """Lists the image files of every class.

    Hidden files and folders, whose names begin with a dot, are left out.
    Symbolic links are followed.

    Args:
        directory: str, a folder with one folder for each class.

    Returns:
        A tuple `(class_names, names, labels, irregular)`: the sorted names of
        the classes; the path of each image within `directory`, by class and
        then by path; int32 array of their classes; the set of those names that
        are no regular files.
    """
    if not os.path.isdir(directory):
        raise ValueError(
            "`directory` must be an existing folder, with one folder for each "
            f"class. Received: directory={directory!r}"
        )
    classes, loose = {}, []
    for entry in _entries(directory):
        if _holds(entry.is_dir):
            classes[entry.name] = sorted(_files(entry.path, entry.name))
        else:
            loose.append((entry.name, entry))
    images = {name: _images(files) for name, files in classes.items()}
    class_names = sorted(images)
    _check_classes(directory, images, _images(loose))
    _warn_of_types(directory, [loose, *classes.values()])
    names = [name for each in class_names for name, _ in images[each]]
    counts = [len(images[each]) for each in class_names]
    irregular = {
        name
        for each in images.values()
        for name, entry in each
        # A pipe would block whoever opens it; a broken link says why it fails.
        if not (_holds(entry.is_file) or entry.is_symlink())
    }
    labels = np.repeat(np.arange(len(class_names), dtype="int32"), counts)
    return class_names, names, labels, irregular


def _entries(folder):
    with os.scandir(folder) as entries:
        return [entry for entry in entries if not entry.name.startswith(".")]


def _files(folder, name, ancestors=()):
    """Yields `(name, entry)` of all files below, whatever their type."""
    status = os.stat(folder)
    identity = status.st_dev, status.st_ino
    if identity in ancestors:  # a link to a folder above
        return
    for entry in _entries(folder):
        inner = f"{name}/{entry.name}"
        if _holds(entry.is_dir):
            yield from _files(entry.path, inner, (*ancestors, identity))
        else:
            yield inner, entry


def _holds(question):
    """Whether an entry is of a kind; a link to itself is of none."""
    try:
        return question()
    except OSError:
        return False


def _images(files):
    return [each for each in files if each[0].lower().endswith(_SUFFIXES)]


def _check_classes(directory, images, loose):
    received = f"Received: directory={directory!r}"
    if not any(images.values()):
        if loose:
            raise ValueError(
                f"The images lie in the directory itself, such as "
                f"{loose[0][0]!r}, but classes are folders. Without classes, "
                f"move all images into one folder in it, as `all`. {received}"
            )
        raise ValueError(
            "There are no images in the folders of the directory. Images are "
            f"files that end in {', '.join(_SUFFIXES)}. {received}"
        )
    empty = sorted(name for name, files in images.items() if not files)
    if empty:
        raise ValueError(
            f"{len(empty)} of {len(images)} class folders have no images: "
            f"{_some(empty)}. Remove them, or add images that end in "
            f"{', '.join(_SUFFIXES)}. {received}"
        )
    if loose:
        user_warnings.warn(
            f"{len(loose)} images that lie in {directory!r} itself, such as "
            f"{loose[0][0]!r}, belong to no class folder and are left out."
        )
    if {name.lower() for name in images} <= _PARTS:
        user_warnings.warn(
            f"The class folders are {_some(sorted(images))}, which look like "
            "the parts of a data set. If they are, give one of them as "
            f"`directory`. {received}"
        )
    single = sorted(name for name, files in images.items() if len(files) == 1)
    if single:
        user_warnings.warn(
            f"{len(single)} of {len(images)} classes have one image only, "
            f"which a generator of this class will repeat: {_some(single)}."
        )


def _warn_of_types(directory, files):
    other = sorted(
        name
        for each in files
        for name, _ in each
        if name.lower().endswith(_OTHER_SUFFIXES)
    )
    if other:
        user_warnings.warn(
            f"{len(other)} images in {directory!r} are of types that are not "
            f"read and left out: {_some(other)}. Convert them to PNG."
        )


def _some(names, count=5):
    shown = ", ".join(map(repr, names[:count]))
    return shown if len(names) <= count else f"{shown}, ..."

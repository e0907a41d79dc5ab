"""Reads parameter files of Flax, without loading them into memory."""

import math
import mmap
import pathlib
import re

import numpy as np

from keras_drift import extras

# Bounds of what a file may hold. The released networks have 5 levels, names of
# 20 characters, 4 axes and some 500 arrays.
MAX_DEPTH = 32
MAX_NAMES = 100_000
MAX_AXES = 8
_NAME = re.compile(r"[A-Za-z0-9_]{1,128}")
# No name and no shape needs more bytes than this.
_HEADER_BYTES = 512

# What Flax calls an array that is stored in parts.
_CHUNKED = "__msgpack_chunked_array__"
_DTYPES = {"float32": "<f4", "float16": "<f2", "bfloat16": "<u2"}
# The number of bytes of raw values: of fixed extensions, and how many bytes
# hold it in other extensions and in binary values.
_FIXED_EXTENSIONS = {0xD4: 1, 0xD5: 2, 0xD6: 4, 0xD7: 8, 0xD8: 16}
_EXTENSIONS = {0xC7: 1, 0xC8: 2, 0xC9: 4}
_BINARY = {0xC4: 1, 0xC5: 2, 0xC6: 4}
_ARRAY = 1  # the extension that Flax stores arrays as


def read_arrays(path):
    """Reads a file that `flax.serialization.msgpack_serialize` wrote.

    The file is data of unknown origin: every size that it declares is compared
    with what is left of the file before anything is allocated. Arrays in
    float32 are views of the file, which need no memory until they are used;
    those in half precision, or stored in parts, are copies.

    Args:
        path: the file, a map of maps with floating-point arrays as leaves.

    Returns:
        A dict from paths such as `"encoder/conv1/kernel"` to float32 arrays,
        read-only, in the order of the file.

    Raises:
        ValueError: if the file is truncated, holds anything else, or more than
            a file of parameters could.
    """
    _library()
    path = pathlib.Path(path)
    with path.open("rb") as file:
        if not path.stat().st_size:  # which cannot be mapped
            raise _damaged(path, "it is empty")
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    return _Reader(path, data).read()


def _library():
    return extras.load(
        "msgpack", "The weights of the official release", "msgpack", "hub"
    )


def _damaged(path, cause):
    return ValueError(
        f"`{path.name}` is truncated, altered, or no parameter file of Flax: "
        f"{cause}. Download it again. Received: {str(path)!r}"
    )


class _Reader:
    """Walks through a file; `msgpack` parses names, shapes and sizes."""

    def __init__(self, path, data):
        self._path = path
        self._data = data
        self._offset = 0
        self._num_names = 0
        self._msgpack = _library()

    def read(self):
        arrays = dict(self._leaves("", 1))
        rest = len(self._data) - self._offset
        if rest:
            raise _damaged(self._path, f"{rest} bytes follow its end")
        return arrays

    def _leaves(self, prefix, depth):
        """Yields the paths and the arrays of a map, and of the maps in it."""
        if depth > MAX_DEPTH:
            raise _damaged(self._path, f"maps are nested over {MAX_DEPTH} deep")
        names = set()
        for _ in range(self._map_size(prefix)):
            name = self._name(prefix)
            path = f"{prefix}{name}"
            if name in names:
                raise _damaged(self._path, f"`{path}` occurs twice")
            names.add(name)
            if name == _CHUNKED:
                yield prefix.rstrip("/"), self._chunked(prefix)
                return
            if self._is_map():
                yield from self._leaves(f"{path}/", depth + 1)
            else:
                yield path, self._array(path)

    def _chunked(self, prefix):
        """The rest of a map that stands for one array: shape and chunks."""
        self._value(prefix)  # the mark of such a map, true
        parts = {}
        for key, read in (("shape", self._value), ("chunks", self._array)):
            self._expect(prefix, key)
            parts[key] = []
            for i in range(self._map_size(f"{prefix}{key}")):
                self._expect(prefix, str(i))
                parts[key].append(read(f"{prefix}{key}/{i}"))
        shape, chunks = parts["shape"], parts["chunks"]
        size = sum(chunk.size for chunk in chunks)
        if size != self._size(prefix, shape):
            raise _damaged(
                self._path,
                f"`{prefix}` has the shape {tuple(shape)} and {size} values",
            )
        return np.concatenate([c.reshape(-1) for c in chunks]).reshape(shape)

    def _array(self, path):
        """An array: an extension that holds its shape, type and values."""
        num_bytes = self._raw_size(path, _EXTENSIONS, _FIXED_EXTENSIONS)
        kind = self._take(1)[0]
        end = self._offset + num_bytes
        if kind != _ARRAY:
            raise _damaged(
                self._path,
                f"`{path}` is the extension {kind}, where arrays are {_ARRAY}",
            )
        shape, dtype = self._parse(path, _shape_and_dtype)
        if not isinstance(dtype, str) or dtype not in _DTYPES:
            raise _damaged(
                self._path,
                f"`{path}` is of the type {dtype!r}, where weights are of "
                f"{', '.join(_DTYPES)}",
            )
        stored = np.dtype(_DTYPES[dtype])
        size = self._size(path, shape)
        num_bytes = self._raw_size(path, _BINARY)
        if (num_bytes, self._offset + num_bytes) != (
            size * stored.itemsize,
            end,
        ):
            raise _damaged(
                self._path,
                f"`{path}` has the shape {tuple(shape)} of {dtype}, and "
                f"{num_bytes} bytes",
            )
        values = np.frombuffer(self._data, stored, size, self._offset)
        self._offset = end
        return _as_float32(values, dtype).reshape(shape)

    def _size(self, path, shape):
        """The number of values of a shape, which is not known to be one."""
        if (
            not isinstance(shape, list)
            or len(shape) > MAX_AXES
            or not all(type(length) is int and length > 0 for length in shape)
        ):
            raise _damaged(self._path, f"`{path}` has the shape {shape!r}")
        return math.prod(shape)

    def _raw_size(self, path, sizes, fixed=None):
        """The size of a raw value, which is read up to its first byte."""
        tag = self._take(1)[0]
        if fixed and tag in fixed:
            size = fixed[tag]
        elif tag in sizes:
            size = int.from_bytes(self._take(sizes[tag]), "big")
        else:
            raise _damaged(self._path, f"`{path}` is no array")
        if size > len(self._data) - self._offset:
            raise _damaged(self._path, f"`{path}` is longer than the file")
        return size

    def _is_map(self):
        if self._offset == len(self._data):
            return False
        tag = self._data[self._offset]
        return 0x80 <= tag <= 0x8F or tag in (0xDE, 0xDF)

    def _map_size(self, path):
        size = self._parse(path, lambda unpacker: unpacker.read_map_header())
        self._num_names += size
        if self._num_names > MAX_NAMES:
            raise _damaged(self._path, f"it has more than {MAX_NAMES} names")
        return size

    def _name(self, path):
        name = self._value(path)
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise _damaged(self._path, f"`{path}` holds the name {name!r:.80}")
        return name

    def _expect(self, path, name):
        if self._name(path) != name:
            raise _damaged(self._path, f"`{path}` has no {name!r}")

    def _value(self, path):
        return self._parse(path, lambda unpacker: unpacker.unpack())

    def _parse(self, path, read):
        """Reads names, sizes and the like with `msgpack`."""
        header = self._data[self._offset : self._offset + _HEADER_BYTES]
        unpacker = self._msgpack.Unpacker(max_buffer_size=_HEADER_BYTES)
        unpacker.feed(header)
        try:
            value = read(unpacker)
        except (
            self._msgpack.UnpackException,
            RecursionError,
            ValueError,
        ) as error:
            cause = f"{type(error).__name__} in `{path}` at {self._offset}"
            raise _damaged(self._path, cause) from error
        self._offset += unpacker.tell()
        return value

    def _take(self, num_bytes):
        taken = self._data[self._offset : self._offset + num_bytes]
        if len(taken) < num_bytes:
            raise _damaged(self._path, "it ends too early")
        self._offset += num_bytes
        return taken


def _shape_and_dtype(unpacker):
    if unpacker.read_array_header() != 3:
        raise ValueError("An array has a shape, a type and values.")
    return unpacker.unpack(), unpacker.unpack()


def _as_float32(values, dtype):
    if dtype == "bfloat16":  # the first half of a float32
        return (values.astype("<u4") << 16).view("<f4")
    return values.astype("float32", copy=False)

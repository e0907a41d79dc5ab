"""Files of Flax, written as Flax does, and files that do harm."""

import contextlib
import tracemalloc

import numpy as np
import pytest

from keras_drift.converters import flax_msgpack

pytestmark = pytest.mark.backend_free

msgpack = pytest.importorskip("msgpack")


def packed(array, dtype=None, shape=None, kind=1):
    """An array as Flax writes it, or with other claims about it."""
    shape = list(array.shape) if shape is None else shape
    content = [shape, dtype or array.dtype.name, array.tobytes()]
    return msgpack.ExtType(kind, msgpack.packb(content))


def chunked(array, num_chunks, shape=None):
    """An array that Flax splits because it is large."""
    parts = np.array_split(array.reshape(-1), num_chunks)
    shape = array.shape if shape is None else shape
    return {
        "__msgpack_chunked_array__": True,
        "shape": {str(i): n for i, n in enumerate(shape)},
        "chunks": {str(i): packed(part) for i, part in enumerate(parts)},
    }


@pytest.fixture
def read(tmp_path):
    def read(content):
        if not isinstance(content, bytes):
            content = msgpack.packb(content, strict_types=True)
        path = tmp_path / "ema_params.msgpack"
        path.write_bytes(content)
        return flax_msgpack.read_arrays(path)

    return read


@pytest.fixture
def arrays():
    rng = np.random.default_rng(0)
    return {
        "a": rng.normal(size=(3, 4)).astype("float32"),
        "b": rng.normal(size=(2, 1, 5)).astype("float32"),
        "c": rng.normal(size=()).astype("float32"),
        "d": rng.normal(size=70_000).astype("float32"),
    }


def test_reads_arrays_by_their_paths(read, arrays):
    tree = {
        "one": {
            "two": {"kernel": packed(arrays["a"])},
            "b": packed(arrays["b"]),
        },
        **{f"x_{i}": packed(arrays["c"]) for i in range(20)},  # a long map
        "last": packed(arrays["d"]),
    }
    result = read(tree)
    assert list(result)[:2] == ["one/two/kernel", "one/b"]
    assert len(result) == 23
    for name, key in (
        ("one/two/kernel", "a"),
        ("one/b", "b"),
        ("x_7", "c"),
        ("last", "d"),
    ):
        assert result[name].dtype == np.float32
        np.testing.assert_array_equal(result[name], arrays[key])


def test_half_precision_becomes_float32(read, arrays):
    half = arrays["a"].astype("float16")
    bits = (arrays["a"].view("uint32") >> 16).astype("uint16")  # truncated
    result = read({"h": packed(half), "b": packed(bits, "bfloat16")})
    np.testing.assert_array_equal(result["h"], half.astype("float32"))
    exact = (bits.astype("uint32") << 16).view("float32")
    np.testing.assert_array_equal(result["b"], exact.reshape(half.shape))
    assert {a.dtype for a in result.values()} == {np.dtype("float32")}


def test_joins_the_chunks_of_a_large_array(read, arrays):
    tree = {"a": {"kernel": chunked(arrays["a"], 5), "z": packed(arrays["b"])}}
    result = read(tree)
    np.testing.assert_array_equal(result["a/kernel"], arrays["a"])
    np.testing.assert_array_equal(result["a/z"], arrays["b"])


def test_large_arrays_stay_on_disk(read):
    array = np.zeros(2_000_000, "float32")
    content = msgpack.packb({"a": packed(array), "b": packed(array)})
    tracemalloc.start()
    result = read(content)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000
    assert result["b"].shape == (2_000_000,)


def test_refuses_every_truncation(read, arrays):
    content = msgpack.packb(
        {"a": {"k": packed(arrays["a"])}, "b": chunked(arrays["b"], 2)}
    )
    read(content)
    for end in range(len(content)):
        with pytest.raises(ValueError, match=r"`ema_params\.msgpack` is trunc"):
            read(content[:end])


def test_no_altered_byte_of_a_header_does_harm(read, arrays):
    content = msgpack.packb(
        {"a": {"k": packed(arrays["b"])}, "b": chunked(arrays["b"], 2)}
    )
    sizes = set()
    for i in range(len(content)):
        for value in (0x00, 0xC7, 0xDF, 0xFF):
            altered = bytearray(content)
            altered[i] = value
            # What is read has another value or name; all else is refused.
            with contextlib.suppress(ValueError):
                result = read(bytes(altered))
                sizes |= {array.size for array in result.values()}
    assert sizes == {10}


HOSTILE = {
    "huge map": (b"\xdf\xff\xff\xff\xff", "names"),
    "huge map in a map": (b"\x81\xa1a\xdf\xff\xff\xff\xff", "names"),
    "huge array": (b"\x81\xa1a\xdd\xff\xff\xff\xff", "`a` is no array"),
    "huge extension": (b"\x81\xa1a\xc9\xff\xff\xff\xff\x01", "longer than"),
    "huge name": (b"\x81\xdb\xff\xff\xff\xff", "in ``"),
    "huge shape": (
        {"a": packed(np.zeros(4, "float32"), shape=[2**40, 2**40])},
        "has the shape",
    ),
    "huge chunked shape": (
        {"a": chunked(np.zeros(4, "float32"), 2, shape=(2**40, 2**20))},
        "and 4 values",
    ),
    "many axes": (
        {"a": packed(np.zeros(1, "float32"), shape=[1] * 64)},
        "has the shape",
    ),
    "negative shape": (
        {"a": packed(np.zeros(4, "float32"), shape=[-2, -2])},
        "has the shape",
    ),
    "no shape": (
        {"a": packed(np.zeros(4, "float32"), shape={"0": 4})},
        "has the shape",
    ),
    "empty array": (
        {"a": packed(np.zeros((0, 9), "float32"))},
        "has the shape",
    ),
    "deep": (b"\x81\xa1a" * 100_000 + b"\x80", "nested"),
    "deep shape": (
        {"a": msgpack.ExtType(1, b"\x93" + b"\x91" * 5000)},
        "in `a`",
    ),
    "name of a path": ({"../../x": packed(np.ones(1, "f4"))}, r"\.\./\.\./x"),
    "name with a slash": ({"a/b": packed(np.ones(1, "f4"))}, "the name 'a/b'"),
    "long name": ({"a" * 200: packed(np.ones(1, "f4"))}, "holds the name"),
    "name that is a number": (b"\x81\x01\x80", "the name 1"),
    "name twice": (
        b"\x82" + 2 * msgpack.packb({"a": packed(np.ones(1, "f4"))})[1:],
        "`a` occurs twice",
    ),
    "other extension": (
        {"a": packed(np.ones(1, "f4"), kind=42)},
        "`a` is the extension 42",
    ),
    "no extension": ({"a": [1.0, 2.0]}, "`a` is no array"),
    "objects": ({"a": packed(np.ones(1, "f4"), "object")}, "type 'object'"),
    "integers": ({"a": packed(np.ones(1, "int64"))}, "type 'int64'"),
    "no type": (
        {"a": msgpack.ExtType(1, msgpack.packb([[1], [1], b"1234"]))},
        r"type \[1\]",
    ),
    "too few values": (
        {"a": packed(np.ones(3, "float32"), shape=[4])},
        "12 bytes",
    ),
    "no map": (msgpack.packb([1]), "read_map_header|ValueError"),
    "bytes after its end": (
        msgpack.packb({"a": packed(np.ones(1, "f4"))}) + b"\x80",
        "1 bytes follow",
    ),
    "empty": (b"", "it is empty"),
    "HTML": (b"<!DOCTYPE html><html></html>", "ValueError"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_refuses_what_could_do_harm(read, name):
    content, message = HOSTILE[name]
    if not isinstance(content, bytes):
        content = msgpack.packb(content)
    tracemalloc.start()
    with pytest.raises(ValueError, match=message) as error:
        read(content)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5_000_000
    assert "`ema_params.msgpack`" in str(error.value)
    assert len(str(error.value)) < 1000


def test_refuses_more_names_than_a_network_has(read, monkeypatch):
    monkeypatch.setattr(flax_msgpack, "MAX_NAMES", 100)
    tree = {f"a_{i}": {f"b_{j}": {} for j in range(9)} for i in range(10)}
    read(tree)
    with pytest.raises(ValueError, match=r"more than 100 names"):
        read({**tree, "a_10": {}})

import pytest

from keras_drift.array_sizes import num_bytes


@pytest.mark.parametrize(
    ("dtype", "size"),
    [
        ("bool", 6),
        ("uint8", 6),
        ("float8_e4m3fn", 6),
        ("bfloat16", 12),
        ("float32", 24),
    ],
)
def test_bytes_of_a_dtype(dtype, size):
    assert num_bytes((2, 3), dtype) == size
    assert num_bytes((), dtype) == -(-size // 6)

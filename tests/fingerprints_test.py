import keras
import numpy as np

from keras_drift import fingerprints
from tiny_autoencoder import TinyAutoencoder


def test_arrays_are_told_apart_by_values_shape_and_type():
    array = np.arange(12.0)
    arrays = [
        (array,),
        (array.reshape(3, 4),),
        (array.reshape(4, 3),),
        (array.astype("float32"),),
        (array + (np.arange(12) == 11) * 1e-15,),
        (array, None),
        (array, np.arange(3)),
        (np.empty((0, 2)),),
        (np.float32(3),),
    ]
    found = [fingerprints.of_arrays(*map(_array, each)) for each in arrays]
    assert len(set(found)) == len(arrays)


def _array(value):
    return None if value is None else np.asarray(value)


def test_arrays_are_read_in_blocks(monkeypatch):
    array = np.random.default_rng(0).normal(size=(10, 3, 2))
    whole = fingerprints.of_arrays(array)
    monkeypatch.setattr(fingerprints, "_BLOCK_BYTES", 100)
    assert fingerprints.of_arrays(array) == whole
    # A view with gaps holds the same values.
    spread = np.zeros((20, 3, 4))[::2, :, ::2]
    spread[...] = array
    assert fingerprints.of_arrays(spread) == whole


def test_autoencoders_are_told_apart_by_weights_and_options():
    same = TinyAutoencoder(name="other", batch_size=3)
    changed = TinyAutoencoder()
    variable = changed.variables[0]
    variable.assign(keras.ops.convert_to_numpy(variable) + 1e-6)
    half = TinyAutoencoder(dtype="bfloat16")
    found = [
        fingerprints.of_layer(each)
        for each in (TinyAutoencoder(), same, changed, half)
    ]
    assert found[0] == found[1]
    assert len(set(found)) == 3


class Scaling(keras.layers.Layer):
    """A layer whose configuration is the same in every version of Keras."""

    def __init__(self):
        super().__init__()
        self.scale = self.add_weight(shape=(3,), initializer="ones")

    def get_config(self):
        return {"name": self.name, "factor": 0.5, "table": {"b": 1, "a": [2]}}


def test_fingerprint_is_the_same_on_every_backend_and_in_every_process():
    found = fingerprints.of_layer(Scaling())
    assert found[:16] == "917810df2819c262"


def test_lists_of_arrays_are_told_apart():
    base = np.arange(6.0)
    arrays = [
        [base],
        [base.reshape(2, 3)],
        [base.reshape(3, 2)],
        [base.astype("float32")],
        [base + np.eye(1, 6)[0]],
        [base[:3], base[3:]],
        [base, np.zeros(0)],
    ]
    assert len({fingerprints.of_arrays(*each) for each in arrays}) == len(
        arrays
    )


def test_the_layout_in_memory_does_not_matter():
    array = np.arange(6.0).reshape(2, 3)
    expected = fingerprints.of_arrays(array)
    assert fingerprints.of_arrays(np.asfortranarray(array)) == expected
    assert fingerprints.of_arrays(np.float32(3))  # a scalar


def test_files_are_told_apart_by_name_and_bytes(tmp_path):
    for name, text in (("a", "1"), ("b", "1"), ("c", "2")):
        (tmp_path / name).write_text(text)

    def digest(names, shown=None):
        paths = [tmp_path / name for name in names]
        return fingerprints.of_files(paths, shown or names)

    assert digest("a", "x") == digest("b", "x")
    assert digest("a", "x") != digest("c", "x")
    assert digest("a") != digest("b")
    assert digest("ab") != digest("a")

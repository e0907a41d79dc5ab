import numpy as np

from keras_drift.evaluation import fingerprints


def test_arrays_are_told_apart_by_type_shape_and_value():
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
    assert len({fingerprints.of_arrays(each) for each in arrays}) == len(arrays)


def test_the_layout_in_memory_does_not_matter():
    array = np.arange(6.0).reshape(2, 3)
    expected = fingerprints.of_arrays([array])
    assert fingerprints.of_arrays([np.asfortranarray(array)]) == expected
    assert fingerprints.of_arrays([np.float32(3)])  # a scalar


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

import sys

import matplotlib as mpl
import numpy as np
import pytest
from keras import ops

from keras_drift import drifts
from keras_drift import kernels
from keras_drift import spectral

mpl.use("Agg")


@pytest.fixture
def ax():
    import matplotlib.pyplot as plt

    figure, ax = plt.subplots()
    yield ax
    plt.close(figure)


def test_dispersion_has_a_curve_for_each_bandwidth(ax):
    kernel = kernels.Gaussian([0.5, 1.0])
    assert spectral.plot_dispersion(kernel, ax=ax) is ax
    _, second = ax.lines
    np.testing.assert_allclose(
        second.get_ydata(),
        spectral.dispersion(kernel, second.get_xdata(), 1)[1],
    )
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == ["Gaussian, bandwidth 0.5", "Gaussian, bandwidth 1"]


def test_decay_has_a_line_and_points(ax):
    arguments = [2.0, 1.0], [0.2, 0.1], [0.21, 0.11]
    assert spectral.plot_decay(*arguments, label="Laplacian", ax=ax) is ax
    line, points = ax.lines
    np.testing.assert_array_equal(line.get_xdata(), [1, 2])
    np.testing.assert_array_equal(points.get_ydata(), [0.21, 0.11])
    assert line.get_color() == points.get_color()


def test_drift_has_the_arrows_of_the_drift(ax):
    rng = np.random.default_rng(0)
    positives, negatives = rng.normal(size=(2, 30, 2)).astype("float32")
    drift = drifts.KernelDrift("gaussian")
    assert spectral.plot_drift(drift, positives, negatives, 5, ax=ax) is ax
    (arrows,) = (c for c in ax.collections if hasattr(c, "U"))
    assert arrows.U.shape == (25,)
    at = arrows.get_offsets()
    velocity = ops.convert_to_numpy(drift(at, positives, negatives))
    np.testing.assert_allclose(
        arrows.U * arrows.get_array(), velocity[:, 0], atol=1e-5
    )
    np.testing.assert_allclose(
        arrows.V * arrows.get_array(), velocity[:, 1], atol=1e-5
    )


def test_norm_and_distance_tell_their_correlation(ax):
    norms = np.array([1.0, 0.5, 0.1])
    assert spectral.plot_norm_distance(norms, norms**2, ax=ax) is ax
    assert ax.get_title() == "correlation 1.000"


def test_makes_axes_where_there_are_none():
    import matplotlib.pyplot as plt

    ax = spectral.plot_dispersion("laplacian")
    plt.close(ax.figure)


def test_refuses_what_it_cannot_draw():
    with pytest.raises(ValueError, match=r"positives\.shape=\(4, 3\)"):
        spectral.plot_drift("kernel_drift", np.zeros((4, 3)), np.zeros((4, 3)))
    with pytest.raises(ValueError, match=r"distances\.shape=\(2,\)"):
        spectral.plot_norm_distance([1.0], [1.0, 2.0])


def test_says_how_to_install_what_draws(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ModuleNotFoundError, match=r"keras-drift\[examples\]"):
        spectral.plot_dispersion("laplacian")

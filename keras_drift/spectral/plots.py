"""Plots of kernels and drifts. Matplotlib is imported when plotting.

`pip install "keras-drift[examples]"` installs it. Every function plots on `ax`,
or on a new figure, and returns the axes.
"""

import numpy as np
from keras import ops

from keras_drift import checks
from keras_drift import drifts
from keras_drift import extras
from keras_drift.spectral.dispersion import checked_weights
from keras_drift.spectral.dispersion import dispersion
from keras_drift.spectral.dispersion import kernel_of_space


def plot_dispersion(
    kernel,
    frequencies=None,
    dim=1,
    field="mean_shift",
    label=None,
    ax=None,
    weights=None,
):
    """Plots the decay rate over the frequency, one curve for each bandwidth.

    Plot several kernels on the same `ax` to compare them. Modes with a rate
    near 1 are learned in a few steps, those at the bottom never.

    Args:
        kernel: a `Kernel`, its name or its config.
        frequencies: float array `(n,)`, > 0, radians per unit of length.
            Defaults to `None`: two decades to each side of the bandwidths.
        dim: int >= 1, the dimension of the samples. Defaults to `1`.
        field: see `dispersion`.
        label: str, the name in the legend. Defaults to that of the kernel.
        ax: Matplotlib axes. Defaults to `None`: new ones.
        weights: floats, one for each bandwidth, such as those of
            `plan_bandwidths`: plots the rate of the weighted sum as well.
            Defaults to `None`.

    Returns:
        The axes.
    """
    kernel = kernel_of_space(kernel)
    widths = ops.convert_to_numpy(kernel.bandwidth).reshape(-1)
    if frequencies is None:
        lowest, highest = 0.01 / widths.max(), 100 / widths.min()
        frequencies = np.geomspace(lowest, highest, 400)
    rates = dispersion(kernel, frequencies, dim, field)
    ax = _axes(ax)
    label = type(kernel).__name__ if label is None else label
    for width, curve in zip(
        widths, rates.reshape(len(widths), -1), strict=True
    ):
        ax.loglog(frequencies, curve, label=f"{label}, bandwidth {width:.3g}")
    if weights is not None:
        weights = checked_weights(weights, len(widths))
        total = weights @ rates.reshape(len(widths), -1)
        ax.loglog(frequencies, total, "k", linewidth=2, label="weighted sum")
    # Lower rates would take more steps than any training.
    ax.set_ylim(1e-6, 3.0)
    ax.set_xlabel("frequency (radians per unit of length)")
    ax.set_ylabel("decay rate (per unit of time)")
    ax.legend()
    return ax


def plot_decay(frequencies, predicted, measured, label=None, ax=None):
    """Plots predicted rates as a line and measured ones as points.

    Args:
        frequencies: float array `(n,)`, > 0.
        predicted: float array `(n,)`, from `dispersion`.
        measured: float array `(n,)`, from `measure_decay` or a training run.
        label: str, the name in the legend. Defaults to none.
        ax: Matplotlib axes. Defaults to `None`: new ones.

    Returns:
        The axes.
    """
    frequencies, predicted, measured = _columns(
        frequencies=frequencies, predicted=predicted, measured=measured
    )
    ax = _axes(ax)
    order = np.argsort(frequencies)
    prefix = "" if label is None else f"{label}, "
    (line,) = ax.loglog(
        frequencies[order], predicted[order], label=f"{prefix}predicted"
    )
    ax.loglog(
        frequencies,
        measured,
        "o",
        color=line.get_color(),
        label=f"{prefix}measured",
    )
    ax.set_xlabel("frequency (radians per unit of length)")
    ax.set_ylabel("decay rate (per unit of time)")
    _plain_ticks(ax.xaxis)
    ax.legend()
    return ax


def plot_drift(drift, positives, negatives, num_arrows=20, bins=60, ax=None):
    """Plots the velocity field between two sets in the plane.

    Arrows on a grid show the direction and, by their color, the speed, over
    the density of the data (shaded) and the samples (dots).

    Args:
        drift: `Drift`, its name or its config.
        positives: float array `(m, 2)`, the data.
        negatives: float array `(k, 2)`, samples of the model.
        num_arrows: int >= 2, arrows in a row. Defaults to `20`.
        bins: int >= 1, cells in a row of the density. Defaults to `60`.
        ax: Matplotlib axes. Defaults to `None`: new ones.

    Returns:
        The axes.
    """
    drift = drifts.get(drift)
    positives, negatives = (
        np.asarray(cloud, "float32") for cloud in (positives, negatives)
    )
    for name, cloud in (("positives", positives), ("negatives", negatives)):
        if cloud.ndim != 2 or cloud.shape[1] != 2 or len(cloud) == 0:
            raise ValueError(
                "A drift is plotted in the plane: `positives` and `negatives` "
                f"are `(n, 2)`. Received: {name}.shape={cloud.shape}"
            )
    checks.positive_integer("num_arrows", num_arrows)
    checks.positive_integer("bins", bins)
    ax = _axes(ax)
    both = np.concatenate([positives, negatives])
    low, high = both.min(axis=0), both.max(axis=0)
    margin = 0.05 * max((high - low).max(), 1e-6)
    low, high = low - margin, high + margin
    grid = np.stack(
        np.meshgrid(*np.linspace(low, high, num_arrows).T), axis=-1
    ).reshape(-1, 2)
    velocity = ops.convert_to_numpy(drift(grid, positives, negatives))
    speed = np.linalg.norm(velocity, axis=1)
    direction = velocity / np.maximum(speed, 1e-30)[:, None]
    extent = [[low[0], high[0]], [low[1], high[1]]]
    ax.hist2d(*positives.T, bins=bins, range=extent, cmap="Grays")
    ax.plot(*negatives.T, ".", color="tab:green", markersize=3)
    arrows = ax.quiver(
        *grid.T,
        *direction.T,
        speed,
        angles="xy",
        scale=1.3 * num_arrows,
        cmap="plasma",
    )
    ax.figure.colorbar(arrows, ax=ax, label="speed")
    ax.set_aspect("equal")
    return ax


def plot_norm_distance(norms, distances, ax=None):
    """Plots the drift norm against a distance over the course of training.

    One point for each report, from light to dark. On a straight line the norm
    measures the progress of training; a norm that decreases alone is a drift
    collapse. The title has the correlation of the logarithms.

    Args:
        norms: floats `(n,)`, > 0, at least two: of `DriftMonitor`, the history
            of `"monitor_drift_norm"`.
        distances: floats `(n,)`, > 0: of `"monitor_distance"`.
        ax: Matplotlib axes. Defaults to `None`: new ones.

    Returns:
        The axes.
    """
    norms, distances = _columns(norms=norms, distances=distances)
    ax = _axes(ax)
    ax.loglog(norms, distances, color="0.8", zorder=1)
    order = np.arange(len(norms))
    ax.scatter(norms, distances, c=order, cmap="viridis_r", zorder=2)
    correlation = np.corrcoef(np.log(norms), np.log(distances))[0, 1]
    ax.set_title(f"correlation {correlation:.3f}")
    ax.set_xlabel("drift norm")
    ax.set_ylabel("distance to the data")
    _plain_ticks(ax.xaxis, ax.yaxis)
    return ax


def _axes(ax):
    if ax is not None:
        return ax
    plt = extras.load("matplotlib.pyplot", "Plots", "matplotlib", "examples")
    return plt.subplots(constrained_layout=True)[1]


def _plain_ticks(*axes):
    """Few ticks in decimal notation, for axes of one or two decades."""
    from matplotlib import ticker

    for axis in axes:
        axis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter("{x:.3g}")
        axis.set_minor_formatter(ticker.NullFormatter())


def _columns(**columns):
    """Float arrays of equal length."""
    arrays = [np.asarray(column, "float64") for column in columns.values()]
    if len({array.shape for array in arrays}) > 1 or arrays[0].ndim != 1:
        shapes = ", ".join(
            f"{name}.shape={array.shape}"
            for name, array in zip(columns, arrays, strict=True)
        )
        raise ValueError(f"One number for each point. Received: {shapes}")
    return arrays

"""Measurement of the decay rate of each frequency."""

import math

import numpy as np
from keras import ops

from keras_drift import checks
from keras_drift.spectral.dispersion import checked_frequencies
from keras_drift.spectral.dispersion import kernel_of_space

# The fraction of the kernel's mass beyond the edge of the grid.
_BEYOND = 1e-5
_MOST_BANDWIDTHS = 60.0
_MOST_POINTS = 2**20


def measure_decay(drift, frequencies, dim, amplitude=0.1, resolution=3):
    """Measures the decay rate of the error at each frequency.

    The data are a uniform grid, the negatives the same grid with a wave in its
    density, `1 + amplitude * cos(xi x)`. The drift is evaluated at the two
    points where the wave crosses its mean: there the velocity `v` is largest,
    and proportional to the wave, so the density decays at the rate
    `xi v / amplitude`. `dispersion` predicts it; use this to verify the theory,
    or to find the rates of a drift without one.

    It applies to drifts that divide by the mass around a sample and move each
    sample independently: `KernelDrift` with `normalization="row"` or `"sharp"`,
    and drifts like it.

    Args:
        drift: `Drift` with a `kernel` of distances, in absolute units and
            without scaling to unit size.
        frequencies: float array > 0, of any shape, radians per unit of length.
        dim: 1 or 2, the dimension of the samples.
        amplitude: float in (0, 1), of the wave. Defaults to `0.1`, far above
            rounding errors and in the linear regime.
        resolution: int >= 2, grid points per bandwidth, and per radian of the
            highest frequency where that is shorter. Defaults to `3`, good to
            1% wherever the rate is above a hundredth.

    Returns:
        float64 NumPy array of rates shaped like `frequencies`, in the units of
        `dispersion`.

    Raises:
        ValueError: if the drift has no such rates, or if the bandwidths and
            frequencies lie so far apart that no grid holds both.

    Example:

    >>> from keras_drift import drifts, kernels, spectral
    >>> kernel = kernels.Gaussian(0.5)
    >>> xi = np.array([1.0, 3.0])
    >>> measured = spectral.measure_decay(drifts.KernelDrift(kernel), xi, dim=1)
    >>> predicted = spectral.dispersion(kernel, xi, dim=1)
    >>> bool(np.all(abs(measured / predicted - 1) < 0.01))
    True
    """
    _check_drift(drift)
    frequencies = checked_frequencies(frequencies)
    flat = frequencies.reshape(-1)
    if flat.min() == 0:
        raise ValueError(
            "A wave has a frequency above zero. "
            f"Received: frequencies={frequencies}"
        )
    if checks.positive_integer("dim", dim) > 2:
        raise ValueError(
            "Rates are measured on a line or a plane; use `dispersion` in more "
            f"dimensions. Received: dim={dim}"
        )
    checks.positive_number("amplitude", amplitude)
    checks.positive_integer("resolution", resolution)
    if amplitude >= 1 or resolution < 2:
        raise ValueError(
            "The wave leaves a positive density, and the grid resolves it: "
            "`amplitude` is below 1 and `resolution` at least 2. Received: "
            f"amplitude={amplitude}, resolution={resolution}"
        )
    points = _grid(drift.kernel, flat.max(), dim, resolution)
    # A sample at the origin and shifted waves: for each frequency a group with
    # a rising and one with a falling flank.
    waves = amplitude * np.sin(flat[:, None] * points[:, 0])
    weights = np.concatenate([1 - waves, 1 + waves])
    groups = len(weights)
    velocity = drift(
        np.zeros((groups, 1, dim)),
        np.broadcast_to(points, (groups, *points.shape)),
        np.broadcast_to(points, (groups, *points.shape)),
        negative_weights=weights,
    )
    velocity = ops.convert_to_numpy(velocity)[:, 0, 0].astype("float64")
    falling, rising = velocity.reshape(2, -1)
    rates = flat * (falling - rising) / (2 * amplitude)
    return rates.reshape(frequencies.shape)


def _check_drift(drift):
    kernel = getattr(drift, "kernel", None)
    unit = getattr(drift, "bandwidth_unit", "data")
    normalization = getattr(drift, "normalization", None)
    coupled = getattr(normalization, "couples_samples", False)
    if kernel is not None:
        kernel_of_space(kernel)
    if kernel is None or unit != "data" or coupled or drift.unit_rms:
        raise ValueError(
            "Rates are measured for a drift with a kernel, in absolute units, "
            "that moves each sample independently and does not scale its "
            "field, such as KernelDrift(normalization='row', relative=False, "
            f"unit_rms=False). Received: {type(drift).__name__} with "
            f"kernel={kernel}, normalization={normalization}, "
            f"bandwidths in units of {unit!r}, "
            f"unit_rms={getattr(drift, 'unit_rms', None)}"
        )


def _grid(kernel, highest, dim, resolution):
    """Grid points `(m, dim)` that cover the support of the kernel."""
    widths = ops.convert_to_numpy(kernel.bandwidth).astype("float64")
    spacing = min(widths.min(), 1 / highest) / resolution
    half = math.ceil(_reach(kernel, dim) * widths.max() / spacing)
    if (2 * half) ** dim > _MOST_POINTS:
        raise ValueError(
            "The grid reaches beyond the widest kernel and resolves the "
            "narrowest one and the finest wave, which takes too many points "
            "here. Measure frequencies and bandwidths apart in several calls. "
            f"Received: highest frequency {highest:.3g}, bandwidths "
            f"{widths.min():.3g} to {widths.max():.3g}, "
            f"{(2 * half) ** dim} points"
        )
    # The sample at the origin lies between grid points.
    axis = (np.arange(-half, half) + 0.5) * spacing
    axes = np.meshgrid(*[axis] * dim, indexing="ij")
    return np.stack(axes, axis=-1).reshape(-1, dim)


def _reach(kernel, dim):
    """The radius, in bandwidths, beyond which a kernel is negligible."""
    radius = np.linspace(0.0, _MOST_BANDWIDTHS, 6001)
    logs = ops.convert_to_numpy(kernel.log_value(ops.convert_to_tensor(radius)))
    moment = radius**dim * np.exp(logs.astype("float64"))
    within = np.cumsum(moment)
    return radius[np.searchsorted(within, (1 - _BEYOND) * within[-1])]

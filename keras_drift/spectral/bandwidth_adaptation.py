"""Sets the bandwidths of drifts from data."""

from typing import NamedTuple

import numpy as np

from keras_drift import checks
from keras_drift import kernels
from keras_drift.datasets.arrays.sample_arrays import as_numpy
from keras_drift.spectral.fixed_bandwidth import fixed_bandwidth
from keras_drift.spectral.frequency_range import checked_samples
from keras_drift.spectral.frequency_range import frequency_range
from keras_drift.spectral.frequency_range import mean_distance
from keras_drift.spectral.frequency_range import range_in_words

# Classes and tokens that are measured, at most; the others are alike.
_MOST_GROUPS = 8


class Scales(NamedTuple):
    """What the bandwidths of one feature are computed from.

    Attributes:
        dim: int, the coordinates that vary.
        k_min: float, the lowest frequency.
        k_max: float, the highest one.
        reason: str, what limits the latter.
        length: float, the unit of length of the bandwidth.
    """

    dim: int
    k_min: float
    k_max: float
    reason: str
    length: float


class Feature:
    """One feature of samples, measured in groups as a drift compares them.

    Args:
        name: str.
        groups: list of float64 arrays `(n, d)`, the samples of each group.
        seed: int.
    """

    def __init__(self, name, groups, seed):
        self.name = name
        self._groups = groups
        self._seed = seed
        self._ranges = {}

    def scales(self, part):
        """The `Scales` for one `BandwidthPart`."""
        spherical = part.kernel.spherical
        groups = self._groups
        if spherical:
            groups = [_directions(group) for group in groups]
        # Constant ones, such as the corners of images, have no structure.
        varying = [group for group in groups if np.any(np.ptp(group, axis=0))]
        groups = varying or groups[:1]
        if spherical not in self._ranges:
            self._ranges[spherical] = [
                frequency_range(group, self._seed) for group in groups
            ]
        lowest, highest, reasons = zip(*self._ranges[spherical], strict=True)
        length = 1.0
        if part.relative:
            power = part.mean_power
            length = np.mean(
                [
                    mean_distance(group, self._seed, power) ** power
                    for group in groups
                ]
            ) ** (1 / power)
        return Scales(
            max(int(np.sum(np.ptp(g, axis=0) > 0)) for g in groups),
            _geometric_mean(lowest),
            _geometric_mean(highest),
            max(reasons, key=reasons.count),
            float(length),
        )


def adapt_drift(drift, data, labels=None, seed=0, verbose=True):
    """Sets the bandwidths of a drift from samples, see `Drift.adapt`."""
    check_adaptable(drift)
    data = as_numpy(checked(data))
    checked_samples(data[:2])
    chosen = chosen_samples(len(data), labels, seed)
    data = checked_samples(data[chosen])
    labels = None if labels is None else as_numpy(labels)[chosen]
    features = {"samples": data[:, None, :]}
    adapt_features(lambda name: drift, features, labels, seed, verbose)


def check_adaptable(drift):
    """Refuses a drift without a bandwidth that `adapt` can set."""
    if not drift.bandwidth_parts():
        raise ValueError(
            f"`{type(drift).__name__}` has no bandwidth that data could set: "
            "there is nothing to adapt. A drift of your own with a bandwidth "
            "says so by its method `bandwidth_parts`. "
            f"Received: drift={type(drift).__name__}"
        )


def adapt_features(drift_of, features, labels=None, seed=0, verbose=True):
    """Sets the bandwidths of the drifts of several features.

    A drift that several features share gets the geometric mean of the
    bandwidths that each of them alone would give.

    Args:
        drift_of: callable from the name of a feature to its drift.
        features: dict from names to float arrays `(n, tokens, dim)`.
        labels: int array `(n,)`, or `None`.
        seed: int.
        verbose: bool, whether to print what was chosen and why.
    """
    checks.non_negative_integer("seed", seed)
    checks.boolean("verbose", verbose)
    drifts, shares = {}, {}
    for name, values in features.items():
        drift = drift_of(name)
        drifts[id(drift)] = drift
        groups = _groups(np.asarray(values, "float64"), labels, seed)
        shares.setdefault(id(drift), []).append(Feature(name, groups, seed))
    if not any(drift.bandwidth_parts() for drift in drifts.values()):
        check_adaptable(next(iter(drifts.values())))
    lines = []
    for key, drift in drifts.items():
        # All that can fail comes before the first change.
        parts = [
            part._replace(kernel=kernels.get(part.kernel))
            for part in drift.bandwidth_parts()
        ]
        found = [(part, *_bandwidth(part, shares[key])) for part in parts]
        lines += [(drift, *each) for each in found]
    for _, part, largest, _ in lines:
        part.owner.set_initial_bandwidth(largest)
    if verbose:
        print("\n".join(_in_words(*line) for line in lines))


def chosen_samples(count, labels, seed, most=8192):
    """Indices of the samples to measure: of few classes, and not too many.

    Args:
        count: int, the number of samples.
        labels: int array `(count,)`, or `None`.
        seed: int.
        most: int, the largest number of them. Defaults to `8192`.

    Returns:
        int array, ascending.
    """
    rng = np.random.default_rng(checks.non_negative_integer("seed", seed))
    if labels is None:
        sets = [np.arange(count)]
    else:
        labels = _checked_labels(labels, count)
        classes, sizes = np.unique(labels, return_counts=True)
        classes = classes[sizes > 1]
        if not classes.size:
            raise ValueError(
                "Samples are compared within their class, so some class needs "
                f"at least two. Received: {count} samples of {len(sizes)} "
                "classes"
            )
        if classes.size > _MOST_GROUPS:
            classes = rng.choice(classes, _MOST_GROUPS, replace=False)
        sets = [np.flatnonzero(labels == each) for each in classes]
    share = most // len(sets)
    sets = [
        each if len(each) <= share else rng.choice(each, share, replace=False)
        for each in sets
    ]
    return np.sort(np.concatenate(sets))


def checked(data):
    """Refuses what is no array of samples, before a part of it is taken."""
    if not hasattr(data, "shape") and not isinstance(data, (list, tuple)):
        raise TypeError(
            "`data` is one array of samples `(n, ...)`, not a data set of "
            "batches: give the arrays that it was made from. "
            f"Received: data={type(data).__name__}"
        )
    return data


def _checked_labels(labels, count):
    labels = as_numpy(labels)
    if labels.shape != (count,):
        raise ValueError(
            "`labels` holds the class of each sample. Received: "
            f"labels.shape={labels.shape} for {count} samples"
        )
    return labels


def _groups(values, labels, seed):
    """The groups of a feature `(n, tokens, dim)`: by class and token.

    In training a token is compared with the same token of other samples of its
    class.
    """
    rng = np.random.default_rng(seed)
    rows = [np.arange(len(values))]
    if labels is not None:
        rows = [np.flatnonzero(labels == each) for each in np.unique(labels)]
    tokens = np.arange(values.shape[1])
    most = max(1, _MOST_GROUPS // len(rows))
    if tokens.size > most:
        tokens = rng.choice(tokens, most, replace=False)
    return [values[row, token] for row in rows for token in tokens]


def _directions(samples):
    lengths = np.linalg.norm(samples, axis=1, keepdims=True)
    present = lengths[:, 0] > 0
    return samples[present] / lengths[present]


def _bandwidth(part, features):
    """The largest bandwidth, and all about it: `(largest, findings)`."""
    kernel = part.kernel
    if kernel.spherical:
        # In the tangent space all of them are functions of a distance.
        kernel = kernels.Gaussian()
    ratios = part.owner.bandwidth_ratios()
    findings = []
    for feature in features:
        scales = feature.scales(part)
        width, rates = fixed_bandwidth(
            kernel,
            scales.dim,
            scales.k_min,
            scales.k_max,
            ratios,
            part.weights,
        )
        findings.append((feature.name, scales, width / scales.length, rates))
    return _geometric_mean([each[2] for each in findings]), findings


def _geometric_mean(values):
    return float(np.exp(np.mean(np.log(values))))


def _in_words(drift, part, largest, findings):
    """What was chosen for one bandwidth, and why."""
    owner = type(part.owner).__name__
    name = part.owner.bandwidth_name
    widths = np.ravel(largest * part.owner.bandwidth_ratios())
    of_drift = type(drift).__name__
    where = owner if owner == of_drift else f"{owner} in {of_drift}"
    unit = "in the units of the data"
    if part.relative:
        unit = "in units of the mean distance"
        if part.mean_power == 2:
            unit = "in units of the root mean square distance"
    numbers = ", ".join(f"{width:.3g}" for width in widths)
    text = f"{where}: {name} {numbers}, {unit}.\n"
    for feature, scales, width, rates in findings:
        origin = f"from the data; the finest by {scales.reason}"
        if len(findings) > 1:
            text += f"Feature {feature!r}, alone {width:.3g}:\n"
        text += range_in_words(scales.k_min, scales.k_max, origin)
        if part.relative:
            text += f"The mean distance is {scales.length:.3g}.\n"
        text += (
            f"Errors at both ends decay at {100 * min(rates):.2g}% of the "
            "fastest rate or faster, the\nmost that a constant bandwidth "
            "reaches.\n"
        )
    if len(findings) > 1:
        text += (
            f"The geometric mean of {len(findings)} features that share the "
            "drift.\n"
        )
    return text.rstrip("\n")

"""The fields of `KernelDrift` by the formulas of the papers, in float64."""

import numpy as np
import pytest

from keras_drift import kernels
from keras_drift.drifts import KernelDrift
from keras_drift.drifts import normalizations

KERNELS = {
    "gaussian": (kernels.Gaussian, {}, lambda r: np.exp(-(r**2) / 2)),
    "laplacian": (kernels.Laplacian, {}, lambda r: np.exp(-r)),
    "matern": (
        kernels.Matern,
        {"nu": 2.5},
        lambda r: (1 + 5**0.5 * r + 5 * r**2 / 3) * np.exp(-(5**0.5) * r),
    ),
    "inverse_multiquadric": (
        kernels.InverseMultiquadric,
        {"exponent": 1.5},
        lambda r: (1 + r**2) ** -1.5,
    ),
}
# `integral from r to infinity of s k(s) ds`, by hand.
COMPANIONS = {
    "gaussian": lambda r: np.exp(-(r**2) / 2),
    "laplacian": lambda r: (1 + r) * np.exp(-r),
    "matern": lambda r: (
        (1 + 5**0.5 * r + 2 * r**2 + 5**0.5 * r**3 / 3) * np.exp(-(5**0.5) * r)
    ),
    "inverse_multiquadric": lambda r: (1 + r**2) ** -0.5,
}
# Not 1.0: a neutral value hides a multiplication written for a division.
BANDWIDTHS = [0.4, 0.7, 2.0]

each_kernel = pytest.mark.parametrize("name", KERNELS)
each_normalization = pytest.mark.parametrize("normalization", ["row", "dual"])
every_normalization = pytest.mark.parametrize(
    "normalization", ["row", "dual", "sharp", "score"]
)


def make(
    name,
    normalization,
    bandwidth=BANDWIDTHS,
    bias_correction=False,
    **kwargs,
):
    cls, init_kwargs, _ = KERNELS[name]
    if bias_correction:
        normalization = type(normalizations.get(normalization))(True)
    kernel = cls(**init_kwargs, bandwidth=bandwidth)
    return KernelDrift(kernel, normalization, **kwargs)


def draw(*sizes, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=size).astype("float32") for size in sizes]


SIZES = ((2, 5, 3), (2, 7, 3), (2, 6, 3), (2, 4, 3))
WEIGHTS = {
    "a": np.array([[1, 2, 0.5, 0, 1, 3, 1], [0.2, 1, 1, 1, 0, 0, 4.0]]),
    "b": np.array([[1, 0, 2, 0.5, 1], [3, 1, 1, 0.25, 2.0]]),
    "c": np.array([[0.5, 0, 1, 2], [0.1, 0.2, 0.3, 0.4]]),
}


def weighted_mean(points, weights):
    return sum(w * p for w, p in zip(weights, points, strict=True)) / sum(
        weights
    )


def profile_of(name, normalization):
    """The kernel whose mass a field divides by."""
    return COMPANIONS[name] if normalization == "sharp" else KERNELS[name][2]


def gradient_by_hand(k, x, y, a, z, b, excluded):
    """Of a difference of log-densities, by central differences."""

    def log_density(point, points, weights):
        return np.log(
            sum(w * k(point, p) for p, w in zip(points, weights, strict=True))
        )

    velocity = np.zeros(x.shape)
    step = 1e-5 * np.eye(x.shape[1])
    for i, point in enumerate(x):
        b_i = np.array(b, "float64")
        b_i[i] *= not excluded
        for d, h in enumerate(step):
            for sign in (1, -1):
                at = point + sign * h
                rise = log_density(at, y, a) - log_density(at, z, b_i)
                velocity[i, d] += sign * rise / 2e-5
    return velocity


def row_by_hand(k, x, y, a, z, b, excluded):
    """Section 1.1 of the paper, a sample at a time."""
    velocity = []
    for i, point in enumerate(x):
        near = [w * k(point, p) for p, w in zip(y, a, strict=True)]
        here = [w * k(point, p) for p, w in zip(z, b, strict=True)]
        if excluded:
            here[i] = 0.0
        velocity.append(weighted_mean(y, near) - weighted_mean(z, here))
    return np.array(velocity)


def dual_by_hand(k, x, y, a, z, b, excluded):
    """Algorithm 2 of the paper, with integer weights as repetitions."""
    points = [*y, *z]
    weights = [*a, *b]
    similar = np.array([[k(s, p) for p in points] for s in x])
    if excluded:
        for i in range(len(x)):
            similar[i, len(y) + i] = 0.0
    velocity = []
    for i in range(len(x)):
        row = sum(w * s for w, s in zip(weights, similar[i], strict=True))
        affinity = []
        for j, weight in enumerate(weights):
            column = sum(similar[:, j])
            share = similar[i, j] / np.sqrt(row * column) if column else 0.0
            affinity.append(weight * share)
        attract, repel = affinity[: len(y)], affinity[len(y) :]
        velocity.append(
            sum(repel) * sum(w * p for w, p in zip(attract, y, strict=True))
            - sum(attract) * sum(w * p for w, p in zip(repel, z, strict=True))
        )
    return np.array(velocity)


def mean_distance_by_hand(x, y, a, z, b, excluded):
    """Weighted mean over all pairs of all groups, self-pairs left out."""
    pairs = []
    for g in range(len(x)):
        for i, point in enumerate(x[g]):
            for p, w in zip(y[g], a[g], strict=True):
                pairs.append((w, np.linalg.norm(point - p)))
            for j, (p, w) in enumerate(zip(z[g], b[g], strict=True)):
                if not (excluded and i == j):
                    pairs.append((w, np.linalg.norm(point - p)))
    return sum(w * r for w, r in pairs) / sum(w for w, _ in pairs)


def velocity_by_hand(
    profile,
    normalization,
    x,
    y,
    z=None,
    u=None,
    a=None,
    b=None,
    c=None,
    relative=False,
    unit_rms=False,
    self_interaction="excluded",
):
    """The papers' formulas in float64; shares no code with the layer."""
    excluded = z is None and self_interaction == "excluded"
    groups, _, dim = x.shape
    # Samples that are negatives of weight zero are absent: as if removed.
    present = np.ones(x.shape[:2], bool)
    if z is None and b is not None:
        present = b > 0
    stay = present if z is None else np.ones(z.shape[:2], bool)
    z = x if z is None else z
    a = np.ones(y.shape[:2]) if a is None else a
    b = np.ones(z.shape[:2]) if b is None else b
    if u is not None:
        c = np.ones(u.shape[:2]) if c is None else c
        z, b = np.concatenate([z, u], 1), np.concatenate([b, c], 1)
        stay = np.concatenate([stay, np.ones(u.shape[:2], bool)], 1)
    x, y, z = (cloud.astype("float64") for cloud in (x, y, z))
    z, b = ([v[g][stay[g]] for g in range(groups)] for v in (z, b))
    all_x, x = x, [x[g][present[g]] for g in range(groups)]
    length_scale = 1.0
    if relative:
        length_scale = mean_distance_by_hand(x, y, a, z, b, excluded)
    by_hand = {"row": row_by_hand, "dual": dual_by_hand}
    by_hand = by_hand.get(normalization, gradient_by_hand)
    fields = []
    for bandwidth in BANDWIDTHS:

        def k(p, q, width=bandwidth * length_scale):
            return profile(np.linalg.norm(p - q) / width)

        fields.append(np.zeros_like(all_x))
        for g in range(groups):
            fields[-1][g][present[g]] = by_hand(
                k, x[g], y[g], a[g], z[g], b[g], excluded
            )
        if by_hand is gradient_by_hand:  # in units of a step
            scale = (bandwidth * length_scale) ** 2 * profile(0.0)
            fields[-1] = scale * np.array(fields[-1])
    fields = np.array(fields)
    squares = np.sum(fields**2, axis=(1, 2, 3)) / np.sum(present)
    norm = np.sqrt(squares)
    if unit_rms:
        # To one unit per coordinate, which is `unit / sqrt(dim)` long.
        rms = np.sqrt(squares / dim)[:, None, None, None]
        length = length_scale / np.sqrt(dim) if relative else 1.0
        return np.sum(fields / rms, axis=0) * length, norm
    return np.mean(fields, axis=0), norm

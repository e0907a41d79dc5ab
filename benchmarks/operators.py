"""What the benchmarks time: drifts, their loss and its gradient."""

import math

import checkouts
import measuring
from keras import ops

import keras_drift as kd

BANDWIDTHS = (0.02, 0.05, 0.2)


def dual_drift():
    """The recipe for images, with three bandwidths."""
    kernel = kd.kernels.Laplacian(BANDWIDTHS)
    return kd.drifts.KernelDrift(kernel, normalization="dual")


def _laplacian(**options):
    return kd.drifts.KernelDrift(kd.kernels.Laplacian(4.0), **options)


# What `large_field.py` can measure, for standard normal data.
DRIFTS = {
    "dual": dual_drift,
    "row": _laplacian,
    "sharp": lambda: _laplacian(normalization="sharp"),
    "score": lambda: _laplacian(normalization="score"),
    "bias correction": lambda: _laplacian(**checkouts.bias_correction()),
    "row, Gaussian": lambda: kd.drifts.KernelDrift(
        kd.kernels.Gaussian(4.0), self_interaction="included"
    ),
    "Sinkhorn, 10 steps": lambda: kd.drifts.SinkhornDrift(
        **checkouts.blur(0.32), relative=True, self_interaction="included"
    ),
    "sliced Wasserstein": lambda: kd.drifts.SlicedWassersteinDrift(
        resample=False
    ),
    "MMD": lambda: kd.drifts.MMDDrift(kd.kernels.Gaussian(4.0)),
    "energy distance": kd.drifts.EnergyDistanceDrift,
    "f-divergence": lambda: kd.drifts.FDivergenceDrift(
        kernel=kd.kernels.Gaussian(4.0)
    ),
    "sum of two": lambda: kd.drifts.Sum(
        [kd.drifts.EnergyDistanceDrift(), _laplacian()]
    ),
    "lookahead": lambda: kd.drifts.Lookahead(_laplacian()),
    "variational, MMD": lambda: kd.drifts.VariationalDrift(
        kd.energies.MMD(kd.kernels.Gaussian(4.0))
    ),
}


def ladder(kernel, num_bandwidths):
    """A drift with so many bandwidths, from 2 downward, and their weights."""
    bandwidths = [2.0 * 0.5**k for k in range(num_bandwidths)]
    return kd.drifts.KernelDrift(
        kernel(bandwidths), bandwidth_weights=[1.0] * num_bandwidths
    )


# The kernels of `ladder`, by name.
LADDERS = {"Gaussian": kd.kernels.Gaussian, "Laplacian": kd.kernels.Laplacian}


def loss_and_gradient(drift):
    """The loss of a drifting model and its gradient, in closed form.

    The target `x + V` is frozen, so the gradient of the mean of
    `(V / length_scale)**2` is `-2 V / length_scale**2` over the number of
    coordinates.
    """

    def function(x, positives, unconditional=None):
        options = {}
        if unconditional is not None:
            options["unconditional"] = unconditional
        field = drift.field(x, positives, **options)
        scale = checkouts.length_scale(field)
        step = field.velocity / scale
        gradient = step * (-2.0 / scale / math.prod(x.shape))
        return ops.mean(ops.square(step)), gradient

    return measuring.compiled(function)


def point_sets(groups, generated, positives, unconditional, dim):
    """Samples, positives half a unit away, and unconditional data or None."""
    return (
        measuring.draw(groups, generated, dim),
        measuring.draw(groups, positives, dim, seed=1, shift=0.5),
        measuring.draw(groups, unconditional, dim, seed=2)
        if unconditional
        else None,
    )


def work(groups, generated, positives, unconditional, dim):
    """What `loss_and_gradient` of `dual_drift` cannot do without.

    Distances and one field for each bandwidth are products; samples and points
    are read, and the gradient is written.
    """
    points = generated + positives + unconditional
    pairs = groups * generated * points
    return measuring.Work(
        flops=2 * dim * pairs * (1 + len(BANDWIDTHS)),
        bytes=4 * dim * groups * (generated + points),
        pairs=pairs,
    )


def reductions():
    """Other reductions over the pairs of two sets `(1, n, dim)`, by name."""
    half_square = kd.ops.half_squared_distances

    def plan(x, y):
        pairs = kd.ops.Pairs(x, checkouts.point_cloud(y), half_square)
        return kd.ops.sinkhorn(pairs, 4.0, num_steps=20).means()

    return {
        "row, Gaussian": kd.drifts.KernelDrift(kd.kernels.Gaussian(2.0)),
        "energy distance": lambda x, y: kd.metrics.energy_distance(x[0], y[0]),
        "sliced Wasserstein": lambda x, y: kd.metrics.sliced_wasserstein(
            x[0], y[0]
        ),
        "Sinkhorn, 20 steps": plan,
    }

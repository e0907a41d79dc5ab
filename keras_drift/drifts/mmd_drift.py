"""The drift of the maximum mean discrepancy."""

import keras

from keras_drift.drifts.kernel_based import KernelBased
from keras_drift.ops import in_units_of
from keras_drift.ops import unnormalized_field


@keras.saving.register_keras_serializable("keras_drift")
class MMDDrift(KernelBased):
    """Decreases the maximum mean discrepancy, a distance between distributions.

    The gradient flow of half its square, times `bandwidth**2`:
    `V(x) = bandwidth**2 (mean_j grad_x k(x, y_j) - mean_k grad_x k(x, z_k))`.
    Forces are not divided by the mass around a sample, so the field is the
    gradient of a functional, and a sample beyond the reach of the kernel does
    not move: give several bandwidths, start wide and anneal, or use
    `EnergyDistanceDrift`. It needs large batches.

    Args:
        kernel: a `Kernel` with a `log_slope`, its name or its config. In the
            limit of a large bandwidth the velocity is one full step to the mean
            with a Gaussian, `nu / (nu - 1)` of one with a Matern kernel,
            `2 * exponent` with an inverse multiquadric. Under a Laplacian the
            attraction does not vanish near a point. Defaults to `"gaussian"`.
        relative: bool, whether bandwidths are in units of the mean distance
            between samples and points, rather than in the units of the data.
            Defaults to `False`.
        unit_rms: bool, whether the field of each bandwidth is scaled to a root
            mean square of 1 per coordinate, and the fields are then added,
            rather than averaged. Defaults to `False`.
        self_interaction: which negatives a sample has if none are given:
            `"excluded"`, all samples but itself (the U-statistic, without
            bias); `"included"`, all samples (the V-statistic, never negative);
            `"independent"`, an independent batch that must be given as
            negatives. The first two differ by a factor `n / (n - 1)` of the
            repulsion. Defaults to `"excluded"`.
        block_size: int, or two: how many samples and how many points are
            compared at once. Memory grows with it, results do not change.
            Defaults to `None`: chosen from the shapes.
        **kwargs: passed to `PairwiseDrift`, such as `guidance_mode`.

    Call arguments:
        x: float tensor `(n, d)` or `(groups, n, d)`, the samples to move.
        positives: float tensor `(m, d)` or `(groups, m, d)`, the data.
        negatives: optional float tensor `(k, d)` or `(groups, k, d)`, samples
            of the model. Defaults to `x` itself, see `self_interaction`.
        unconditional: optional float tensor `(u, d)` or `(groups, u, d)`, data
            of all conditions, repulsive as well, for guidance.
        positive_weights: optional float tensor `(m,)` or `(groups, m)`, >= 0.
            An integer weight `c` counts a point `c` times, zero as absent.
        negative_weights: the same for the negatives.
        unconditional_weights: the same for the unconditional points.

    Returns:
        The velocity of each sample, shaped like `x`, float32. Coincident points
        exert no force on each other; an empty cloud exerts none.

    Example:

    >>> from keras_drift import drifts, kernels
    >>> drift = drifts.MMDDrift(kernels.Gaussian(bandwidth=2.0))
    >>> x, data = np.array([[0.0]]), np.array([[2.0]])
    >>> velocity = drift(x, data)  # 2 exp(-1 / 2)
    >>> round(float(velocity[0, 0]), 4)
    1.2131

    Reference:

    - [Gretton et al., 2026](https://arxiv.org/abs/2605.05118)
    """

    takes_segments = True
    measures_signal = True

    def __init__(
        self,
        kernel="gaussian",
        relative=False,
        unit_rms=False,
        self_interaction="excluded",
        block_size=None,
        **kwargs,
    ):
        super().__init__(
            kernel, relative, self_interaction, unit_rms, block_size, **kwargs
        )

    def velocities(self, x, positives, negatives, length_scale):
        length, positives, negatives = in_units_of(
            self.length(x, length_scale), positives, negatives
        )
        log_kernels = self.kernel.log_kernels(length, self.kernel.log_slope)
        return unnormalized_field(log_kernels, positives, negatives)

"""The drift of the energy distance."""

import keras

from keras_drift.drifts.kernel_based import KernelBased
from keras_drift.ops import in_units_of
from keras_drift.ops import log_distance
from keras_drift.ops import unnormalized_field


@keras.saving.register_keras_serializable("keras_drift")
class EnergyDistanceDrift(KernelBased):
    """Decreases the energy distance: a drift without a bandwidth to choose.

    Every positive attracts and every negative repels with the same force,
    however far away:
    `V(x) = mean_j (y_j - x) / |y_j - x| - mean_k (z_k - x) / |z_k - x|`,
    times the mean distance. The gradient flow of half the energy distance, the
    maximum mean discrepancy of the kernel `-r`. Choose it where samples start
    far from the data and no bandwidth is known; fine detail is learned slowly.

    Args:
        relative: bool, whether the velocity is in units of the mean distance
            between samples and points, so that far away one step covers much
            of the way to the data. Otherwise the forces have length 1, in the
            units of the data. Defaults to `True`.
        unit_rms: bool, whether the field is scaled to a root mean square of 1
            per coordinate. Defaults to `False`.
        self_interaction: which negatives a sample has if none are given:
            `"excluded"`, all samples but itself; `"included"`, all samples;
            `"independent"`, an independent batch that must be given as
            negatives. Defaults to `"excluded"`.
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

    >>> from keras_drift import drifts
    >>> drift = drifts.EnergyDistanceDrift(relative=False)
    >>> x, data = np.array([[0.0, 0.0]]), np.array([[300.0, 0.0]])
    >>> velocity = drift(x, data)  # of length 1, wherever the data is
    >>> round(float(velocity[0, 0]), 4)
    1.0

    Reference:

    - [Gretton et al., 2026](https://arxiv.org/abs/2605.05118)
    """

    takes_segments = True
    measures_signal = True

    def __init__(
        self,
        relative=True,
        unit_rms=False,
        self_interaction="excluded",
        block_size=None,
        **kwargs,
    ):
        super().__init__(
            None, relative, self_interaction, unit_rms, block_size, **kwargs
        )

    def velocities(self, x, positives, negatives, length_scale):
        length, positives, negatives = in_units_of(
            self.length(x, length_scale), positives, negatives
        )

        def log_kernel(distance):
            return -log_distance(distance / length)

        return unnormalized_field([log_kernel], positives, negatives)

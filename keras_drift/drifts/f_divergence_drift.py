"""The drift of an f-divergence."""

import math

import keras
from keras import ops

from keras_drift import checks
from keras_drift.drifts.kernel_based import KernelBased
from keras_drift.drifts.outer_smoothing import check_outer_smoothing
from keras_drift.drifts.outer_smoothing import smoothed
from keras_drift.ops import f_divergence
from keras_drift.ops import in_units_of
from keras_drift.ops import ratio_field


@keras.saving.register_keras_serializable("keras_drift")
class FDivergenceDrift(KernelBased):
    """Decreases an f-divergence of the smoothed model from the smoothed data.

    `V(x) = w(u) (mean of the positives near x - mean of the negatives near x)`,
    where `u` is the density of the negatives around `x` over that of the
    positives. `KernelDrift` is the case `w = 1`, the divergence `KL(q | p)` of
    the model q from the data p, which is mode-seeking. `"kl_pq"` weights
    regions where the model has too little mass, so it is mode-covering;
    `"chi2"` weights regions where it has too much, so it stays inside the data.
    The weights of a mixture of divergences add up.

    Args:
        divergence: the divergence, with its weight `w(u)`: `"kl_qp"` (1),
            `"kl_pq"` (1 / u), `"chi2"` (u), `"neyman"` (u**-2), `"hellinger"`
            (1 / (2 sqrt(u))), `"jensen_shannon"` (1 / (2 (1 + u))); a float
            alpha (u**(alpha - 1)); or a dict of shares that sum to 1, such as
            `{"kl_pq": 0.5, "chi2": 0.5}`. Defaults to `"kl_pq"`.
        kernel: a `Kernel`, its name or its config. With a Gaussian the drift is
            `bandwidth**2` times the gradient flow of the divergence, up to the
            outer smoothing. Defaults to `"gaussian"`.
        clip: float >= 1: the weight is clipped to `[1 / clip, clip]`. It is
            unbounded where only one of the two distributions has mass, and a
            step of many mean shifts overshoots. Defaults to `10.0`.
        outer_smoothing: int >= 1: the velocity of a sample is the mean over
            this many copies of it, jittered by a Gaussian of the width of the
            kernel: the exact gradient of the divergence on the samples, at this
            many times the cost. Needs a Gaussian kernel and a
            `self_interaction` other than `"excluded"`. Defaults to `None`: no
            jitter.
        relative: bool, whether bandwidths are in units of the mean distance
            between samples and points, rather than in the units of the data.
            Defaults to `False`.
        unit_rms: bool, whether the field of each bandwidth is scaled to a root
            mean square of 1 per coordinate, and the fields are then added,
            rather than averaged. Defaults to `False`.
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
        The velocity of each sample, shaped like `x`, float32. A single sample
        without negatives is attracted by the positives only, with `u = 0`.

    Example:

    >>> from keras_drift import drifts, kernels
    >>> drift = drifts.FDivergenceDrift("chi2", kernels.Gaussian(2.0))
    >>> x, data, model = np.array([[[0.0]], [[2.0]], [[1.0]]])
    >>> velocity = drift(x, data, model)  # exp(3 / 8) times a step of one
    >>> round(float(velocity[0, 0]), 4)
    1.455

    Reference:

    - [Cao et al., 2026](https://arxiv.org/abs/2603.10592), who call `kl_qp`
      forward and `kl_pq` reverse
    """

    takes_segments = True
    measures_signal = True

    def __init__(
        self,
        divergence="kl_pq",
        kernel="gaussian",
        clip=10.0,
        outer_smoothing=None,
        relative=False,
        unit_rms=False,
        self_interaction="excluded",
        block_size=None,
        **kwargs,
    ):
        super().__init__(
            kernel, relative, self_interaction, unit_rms, block_size, **kwargs
        )
        self._log_weight = f_divergence(divergence).log_weight
        self._config_divergence = divergence
        self.clip = checks.positive_number("clip", clip)
        if clip < 1:
            raise ValueError(
                "Weights are clipped to `[1 / clip, clip]`, so `clip` is "
                f"at least 1. Received: clip={clip!r}"
            )
        check_outer_smoothing(outer_smoothing, self)
        self.outer_smoothing = outer_smoothing

    def velocities(self, x, positives, negatives, length_scale):
        length, positives, negatives = in_units_of(
            self.length(x, length_scale), positives, negatives
        )

        def field(log_kernels, positives, negatives):
            return ratio_field(
                self._clipped_log_weight, log_kernels, positives, negatives
            )

        widths = self.kernel.widths(length)
        field = smoothed(field, self.outer_smoothing, widths)
        return field(self.kernel.log_kernels(length), positives, negatives)

    def _clipped_log_weight(self, log_ratio):
        bound = math.log(self.clip)
        return ops.clip(self._log_weight(log_ratio), -bound, bound)

    def get_config(self):
        return {
            **super().get_config(),
            "divergence": self._config_divergence,
            "clip": self.clip,
            "outer_smoothing": self.outer_smoothing,
        }

"""The kernel drift."""

import math

import keras
from keras import ops

from keras_drift import checks
from keras_drift.drifts.kernel_based import KernelBased
from keras_drift.drifts.outer_smoothing import checked_smoothing
from keras_drift.drifts.outer_smoothing import smoothed
from keras_drift.ops import dual_field
from keras_drift.ops import released_dual_field
from keras_drift.ops import released_mean_distance
from keras_drift.ops import row_field

_RELEASED_UNIT_FLOOR = 1e-3
_RELEASED_MEAN_SQUARE_FLOOR = 1e-8


@keras.saving.register_keras_serializable("keras_drift")
class KernelDrift(KernelBased):
    """Moves samples towards nearby positives and away from nearby negatives.

    The drift to start with. What counts as near is the kernel's to say; both
    pulls balance when positives and negatives have one distribution, and there
    training comes to rest.

    Args:
        kernel: a `Kernel`, its name or its config. Defaults to `"laplacian"`.
        normalization: `"row"`: the mean of the positives around a sample minus
            the mean of the negatives around it. With a Gaussian kernel this is
            `bandwidth**2` times the difference of the scores of the smoothed
            densities; choose it for low dimensions and for theory. `"dual"`:
            the recipe for images (Algorithm 2 of the paper), where a point also
            shares its pull among the samples around it; its velocity is weighed
            by the masses of both sides, at most half a step for sets of one
            size, and made for `unit_rms`. Defaults to `"row"`.
        relative: bool, whether bandwidths are in units of the mean distance
            between samples and points, rather than in the units of the data.
            Defaults to `None`: for `"dual"` only.
        unit_rms: bool, whether the field of each bandwidth is scaled to a root
            mean square of 1 per coordinate, and the fields are then added,
            rather than averaged. The loss is flat then by construction: watch
            the drift norm. Defaults to `None`: for `"dual"` only.
        self_interaction: who repels a sample if no negatives are given:
            `"excluded"`, all samples but itself; `"included"`, all samples;
            `"independent"`, an independent batch that must be given as
            negatives. Defaults to `"excluded"`.
        released_parity: bool, whether to compute, to rounding, what the release
            of the paper does, to continue from its checkpoints: floored
            affinities, a mean distance that counts self-pairs, weights outside
            of the softmaxes. Needs `"dual"`, relative distances, unit fields
            and excluded self-interaction, and keeps all pairs in memory,
            whatever the `block_size`. Defaults to `False`.
        outer_smoothing: int >= 1: the velocity of a sample is the mean over so
            many copies of it, jittered by a Gaussian of the width of the
            kernel. That is the exact gradient of the smoothed KL divergence on
            the samples (its Wasserstein gradient flow), which the plain field
            approximates, at so many times the cost. Needs a Gaussian kernel,
            `"row"`, and another `self_interaction` than `"excluded"`. Defaults
            to `None`: no jitter.
        block_size: int, or two: how many samples and how many points are
            compared at once. Memory grows with it, results do not change.
            Defaults to `None`: chosen from the shapes.
        **kwargs: passed to `keras.layers.Layer`.

    Call arguments:
        x: float tensor `(n, d)` or `(groups, n, d)`, the samples to move.
        positives: float tensor `(m, d)` or `(groups, m, d)`, the data.
        negatives: optional float tensor `(k, d)` or `(groups, k, d)`, samples
            of the model. Defaults to `x` itself, see `self_interaction`.
        unconditional: optional float tensor `(u, d)` or `(groups, u, d)`, data
            of all conditions that repels as well, for guidance.
        positive_weights: optional float tensor `(m,)` or `(groups, m)`, >= 0.
            An integer weight `c` counts a point `c` times, zero as absent.
        negative_weights: the same for the negatives.
        unconditional_weights: the same for the unconditional points.

    Returns:
        The velocity of each sample, shaped like `x`, float32. A lone sample
        without negatives feels the positives only (`"row"`) or nothing at all
        (`"dual"`, where the pull is weighed by the mass of the negatives).

    Example:

    >>> from keras_drift import drifts, kernels
    >>> drift = drifts.KernelDrift(kernels.Gaussian(bandwidth=1.0))
    >>> x, data = np.array([[0.0], [1.0]]), np.array([[3.0], [3.0]])
    >>> velocity = drift(x, data)  # to 3, away from the other sample
    >>> keras.ops.convert_to_numpy(velocity).tolist()
    [[2.0], [3.0]]

    Reference:

    - [Deng et al., 2026](https://arxiv.org/abs/2602.04770)
    - [Turan et al., 2026](https://arxiv.org/abs/2603.09936)
    """

    def __init__(
        self,
        kernel="laplacian",
        normalization="row",
        relative=None,
        unit_rms=None,
        self_interaction="excluded",
        released_parity=False,
        outer_smoothing=None,
        block_size=None,
        **kwargs,
    ):
        dual = checks.choice("normalization", normalization, ("row", "dual"))
        dual = dual == "dual"
        super().__init__(
            kernel,
            dual if relative is None else relative,
            self_interaction,
            dual if unit_rms is None else unit_rms,
            block_size,
            **kwargs,
        )
        self.normalization = normalization
        self.released_parity = bool(released_parity)
        if self.released_parity:
            self.mean_square_floor = _RELEASED_MEAN_SQUARE_FLOOR
        if self.released_parity and not (
            dual
            and self.relative
            and self.unit_rms
            and self_interaction == "excluded"
        ):
            raise ValueError(
                "`released_parity=True` stands for the whole recipe of the "
                "release: normalization='dual', relative=True, unit_rms=True "
                "and self_interaction='excluded'. Received: "
                f"normalization={normalization!r}, relative={self.relative}, "
                f"unit_rms={self.unit_rms}, "
                f"self_interaction={self_interaction!r}"
            )
        if outer_smoothing is not None and dual:
            raise ValueError(
                "Only the field of normalization='row' is a gradient that "
                "outer smoothing makes exact. Received: "
                f"outer_smoothing={outer_smoothing!r}, "
                f"normalization={normalization!r}"
            )
        self.outer_smoothing = checked_smoothing(outer_smoothing, self)

    def unit(self, x, positives, negatives):
        if not self.released_parity:
            return super().unit(x, positives, negatives)
        mean = released_mean_distance(x, positives.cloud, negatives.cloud)
        mean = mean / math.sqrt(x.shape[-1])
        return ops.maximum(mean, _RELEASED_UNIT_FLOOR)

    def velocities(self, x, positives, negatives, unit):
        if self.released_parity:
            return released_dual_field(
                self.kernel.scores(), x, positives.cloud, negatives.cloud
            )
        field = row_field if self.normalization == "row" else dual_field
        length = self.length(x, unit)
        widths = self.kernel.widths(length)
        field = smoothed(field, self.outer_smoothing, widths)
        return field(self.kernel.scores(length), positives, negatives)

    def get_config(self):
        return {
            **super().get_config(),
            "normalization": self.normalization,
            "released_parity": self.released_parity,
            "outer_smoothing": self.outer_smoothing,
        }

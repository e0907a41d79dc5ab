"""The kernel drift."""

import functools
import math

import keras
from keras import ops

from keras_drift import checks
from keras_drift.drifts.drift import Field
from keras_drift.drifts.kernel_based import KernelBased
from keras_drift.drifts.outer_smoothing import checked_smoothing
from keras_drift.drifts.outer_smoothing import smoothed
from keras_drift.ops import curl_free_field
from keras_drift.ops import dual_field
from keras_drift.ops import lengths
from keras_drift.ops import official_dual_field
from keras_drift.ops import official_mean_distance
from keras_drift.ops import row_field
from keras_drift.ops import unit_vectors

NORMALIZATIONS = ("row", "dual", "sharp", "score")

_OFFICIAL_LENGTH_SCALE_FLOOR = 1e-3
_OFFICIAL_MEAN_SQUARE_FLOOR = 1e-8


@keras.saving.register_keras_serializable("keras_drift")
class KernelDrift(KernelBased):
    """Moves samples toward nearby positives and away from nearby negatives.

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
            size, and made for `unit_rms`. `"sharp"` and `"score"` are gradients
            of a difference of log-densities, so that samples do not circle;
            with a Gaussian kernel both are `"row"`. `"sharp"` keeps the pull of
            `"row"` and divides it by the mass of the companion kernel, whose
            densities they are. `"score"` is `bandwidth**2` times the difference
            of the scores of the densities of the kernel itself; it sees finest
            detail best, a Laplacian by unit vectors to its neighbors. In the
            limit of a large bandwidth it takes `2 * exponent` steps with an
            `InverseMultiquadric`, `nu / (nu - 1)` with a `Matern`, and any
            number with a `Laplacian`. Defaults to `"row"`.
        relative: bool, whether bandwidths are in units of the mean distance
            between samples and points, rather than in the units of the data.
            Defaults to `None`: for `"dual"` only.
        unit_rms: bool, whether the field of each bandwidth is scaled to a root
            mean square of 1 per coordinate, and the fields are then added,
            rather than averaged. The loss is flat then by construction: watch
            the drift norm. Defaults to `None`: for `"dual"` only.
        bias_correction: bool, whether means over a few points are corrected for
            the bias of dividing by their own mass, which falls as one over
            their number; what is left falls faster. Choose it for groups of
            eight to fifty points. It does not correct for a sample repelling
            itself. Defaults to `False`.
        self_interaction: who repels a sample if no negatives are given:
            `"excluded"`, all samples but itself; `"included"`, all samples;
            `"independent"`, an independent batch that must be given as
            negatives. Defaults to `"excluded"`.
        official_parity: bool, whether to compute, to rounding, what the release
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
        **kwargs: passed to `Drift`, such as `guidance_mode`, and to
            `keras.layers.Layer`.

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
        guidance_scale: optional float or float tensor `(groups,)`, >= 1, for
            `guidance_mode="velocity"`, see `Drift`.

    Returns:
        The velocity of each sample, shaped like `x`, float32. A lone sample
        without negatives feels the positives only, or nothing at all
        (`"dual"`, where the pull is weighed by the mass of the negatives).

        A `spherical` kernel compares directions. The velocity is that of the
        samples scaled to unit length, along the sphere, times their own
        lengths: `x + velocity` points where the sample should go, so a network
        that scales its output to unit length loses nothing. A sample at the
        origin has no direction and stays.

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
    - [Franz et al., 2026](https://arxiv.org/abs/2604.06333), `"sharp"`
    - [Esteban-Casadevall et al., 2026](https://arxiv.org/abs/2605.10727),
      `"score"`
    - [Zhang et al., 2026](https://arxiv.org/abs/2604.27239), the correction
    - [Cao et al., 2026](https://arxiv.org/abs/2603.10592), the sphere
    """

    on_spheres = True

    def __init__(
        self,
        kernel="laplacian",
        normalization="row",
        relative=None,
        unit_rms=None,
        bias_correction=False,
        self_interaction="excluded",
        official_parity=False,
        outer_smoothing=None,
        block_size=None,
        **kwargs,
    ):
        checks.choice("normalization", normalization, NORMALIZATIONS)
        dual = normalization == "dual"
        super().__init__(
            kernel,
            dual if relative is None else relative,
            self_interaction,
            dual if unit_rms is None else unit_rms,
            block_size,
            **kwargs,
        )
        self.normalization = normalization
        self.bias_correction = bool(bias_correction)
        self.official_parity = bool(official_parity)
        if self.official_parity:
            self.mean_square_floor = _OFFICIAL_MEAN_SQUARE_FLOOR
            self._check_official_recipe()
        if outer_smoothing is not None and normalization != "row":
            raise ValueError(
                "Outer smoothing makes the field of normalization='row' an "
                "exact gradient, and no other. Received: "
                f"outer_smoothing={outer_smoothing!r}, "
                f"normalization={normalization!r}"
            )
        self.outer_smoothing = checked_smoothing(outer_smoothing, self)
        if normalization == "sharp":  # some kernels have no companion
            self.kernel.log_kernels(1.0, self.kernel.log_companion)[0](
                ops.zeros(1)
            )

    def _check_official_recipe(self):
        recipe = {
            "normalization": "dual",
            "relative": True,
            "unit_rms": True,
            "self_interaction": "excluded",
            "guidance_mode": "distribution",
            "bias_correction": False,
        }
        received = {name: getattr(self, name) for name in recipe}
        if received != recipe or self.kernel.spherical:
            raise ValueError(
                "`official_parity=True` stands for the whole recipe of the "
                f"release: {_listed(recipe)}, and a kernel of distances. "
                f"Received: {_listed(received)}, kernel={self.kernel}"
            )

    def length_scale(self, x, positives, negatives):
        if not self.official_parity:
            return super().length_scale(x, positives, negatives)
        mean = official_mean_distance(x, positives.cloud, negatives.cloud)
        mean = mean / math.sqrt(x.shape[-1])
        return ops.maximum(mean, _OFFICIAL_LENGTH_SCALE_FLOOR)

    def origin(self, x):
        # On a sphere, directions count from its center.
        if self.kernel.spherical:
            return ops.zeros_like(x[:, :1])
        return super().origin(x)

    def _field(self, given, *args):
        if not self.kernel.spherical:
            return super()._field(given, *args)
        radius = lengths(given["x"])
        given = {name: unit_vectors(value) for name, value in given.items()}
        field = super()._field(given, *args)
        length = ops.sqrt(ops.mean(ops.square(radius)))
        return Field(
            radius * field.velocity,
            length * field.length_scale,
            length * field.norm,
        )

    def velocities(self, x, positives, negatives, length_scale):
        if self.official_parity:
            return official_dual_field(
                self.kernel.log_kernels(), x, positives.cloud, negatives.cloud
            )
        length = self.length(x, length_scale)
        log_kernels = functools.partial(self.kernel.log_kernels, length)
        clouds = positives, negatives, self.bias_correction
        if self.normalization == "row":
            widths = self.kernel.widths(length)
            field = smoothed(row_field, self.outer_smoothing, widths)
            fields = field(log_kernels(), *clouds)
        elif self.normalization == "dual":
            fields = dual_field(log_kernels(), *clouds)
        elif self.normalization == "sharp":
            companion = log_kernels(self.kernel.log_companion)
            weights = log_kernels(self.kernel.log_companion_weight)
            fields = curl_free_field(companion, weights, *clouds)
        else:
            weights = log_kernels(self.kernel.log_gradient_weight)
            fields = curl_free_field(log_kernels(), weights, *clouds)
        if self.kernel.spherical:
            fields = [_along_the_sphere(field, x) for field in fields]
        return fields

    def get_config(self):
        return {
            **super().get_config(),
            "normalization": self.normalization,
            "bias_correction": self.bias_correction,
            "official_parity": self.official_parity,
            "outer_smoothing": self.outer_smoothing,
        }


def _along_the_sphere(velocity, x):
    """What is left of the velocities without their parts along `x`."""
    return velocity - ops.sum(velocity * x, axis=-1, keepdims=True) * x


def _listed(options):
    return ", ".join(f"{name}={value!r}" for name, value in options.items())

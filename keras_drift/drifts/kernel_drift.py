"""The kernel drift."""

import keras
import numpy as np
from keras import ops

from keras_drift import checks
from keras_drift.drifts import normalizations
from keras_drift.drifts.bandwidth_gradient import bandwidth_gradient
from keras_drift.drifts.field import Field
from keras_drift.drifts.kernel_based import KernelBased
from keras_drift.drifts.signal import GAIN
from keras_drift.ops import Pairs
from keras_drift.ops import in_units_of
from keras_drift.ops import lengths
from keras_drift.ops import unit_vectors


@keras.saving.register_keras_serializable("keras_drift")
class KernelDrift(KernelBased):
    """Moves samples toward nearby positives and away from nearby negatives.

    The drift to start with. The kernel defines what is near; attraction and
    repulsion balance when positives and negatives have one distribution, and
    there training converges.

    Args:
        kernel: a `Kernel`, its name or its config. Defaults to `"laplacian"`.
        normalization: a `drifts.normalizations.Normalization`, its name or its
            config. `"row"`: the difference of two mean shifts, for low
            dimensions and for theory; `"dual"`: the recipe for images, with
            several bandwidths; `"sharp"` and `"score"`: curl-free fields,
            gradients of log-densities, `"score"` for the finest detail;
            `"official_dual"`: the recipe to rounding, for checkpoints of the
            release. Corrections for small groups and outer smoothing are
            options of these objects. Defaults to `"row"`.
        relative: bool, whether bandwidths are in units of the mean distance
            between samples and points, rather than in the units of the data.
            Defaults to `None`: for dual normalization only.
        unit_rms: bool, whether the field of each bandwidth is scaled to a root
            mean square of 1 per coordinate, and the fields are then added,
            rather than averaged. The loss is flat then by construction: watch
            the drift norm. Defaults to `None`: for dual normalization only.
        self_interaction: which negatives a sample has if none are given:
            `"excluded"`, all samples but itself; `"included"`, all samples;
            `"independent"`, an independent batch that must be given as
            negatives. Defaults to `"excluded"`.
        bandwidth_weights: sequence of floats >= 0, one for each bandwidth of
            the kernel: the fields of the bandwidths, each times its weight, are
            added. `spectral.plan_bandwidths` finds them. Defaults to `None`:
            the mean of the fields, or their sum with `unit_rms`.
        signal_share: bool, whether training multiplies the field of each
            bandwidth by its share of signal, see `signal`, averaged over about
            40 steps. Wide bandwidths then lead at first, and vanish once all
            that is left of their fields is sampling noise, which would blur
            what narrow ones resolve: choose it for a ladder of bandwidths. The
            shares are the weight `shares` of the drift, ones at first; only
            training and `flows.ParticleFlow` change them. Needs a normalization
            that moves each sample independently. Defaults to `False`.
        block_size: int, or two: how many samples and how many points are
            compared at once. Memory grows with it, results do not change.
            Defaults to `None`: chosen from the shapes.
        **kwargs: passed to `PairwiseDrift`, such as `guidance_mode`, and to
            `keras.layers.Layer`.

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
        guidance_scale: optional float or float tensor `(groups,)`, >= 1, for
            `guidance_mode="velocity"`, see `Drift`.

    Returns:
        The velocity of each sample, shaped like `x`, float32. A single sample
        without negatives is attracted by the positives only, or has velocity
        zero (`"dual"`, where the attraction is weighted by the mass of the
        negatives).

        A `spherical` kernel compares directions. The velocity is that of the
        samples scaled to unit length, along the sphere, times their own
        lengths: `x + velocity` has the direction of the target, so a network
        that scales its output to unit length loses nothing. A sample at the
        origin has no direction and does not move.

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
    - [Cao et al., 2026](https://arxiv.org/abs/2603.10592), the sphere
    """

    on_spheres = True
    takes_segments = True
    takes_gram = True

    def __init__(
        self,
        kernel="laplacian",
        normalization="row",
        relative=None,
        unit_rms=None,
        self_interaction="excluded",
        block_size=None,
        bandwidth_weights=None,
        signal_share=False,
        **kwargs,
    ):
        normalization = normalizations.get(normalization)
        super().__init__(
            kernel,
            normalization.relative if relative is None else relative,
            self_interaction,
            normalization.unit_rms if unit_rms is None else unit_rms,
            block_size,
            **kwargs,
        )
        self.bandwidth_weights = _checked_weights(
            bandwidth_weights, self.kernel
        )
        self.normalization = normalization
        self.mean_square_floor = normalization.mean_square_floor
        self.length_scale_floor = normalization.length_scale_floor
        normalization.validate(self)
        self.needs_signal = checks.boolean("signal_share", signal_share)
        self._check_measures_signal()
        if signal_share:
            self.shares = self.add_weight(
                name="shares",
                shape=(self.kernel.num_bandwidths,),
                initializer="ones",
                trainable=False,
            )

    def mask(self, inputs):
        if self.normalization.keeps_absent:
            return inputs.with_finite_samples()
        inputs = super().mask(inputs)
        if self.normalization.couples_samples and not self.kernel.spherical:
            inputs = inputs.with_absent_samples_far_away()
        return inputs

    def mean_distance(self, inputs, positives, negatives):
        return self.normalization.mean_distance(inputs, positives, negatives)

    def interaction(self, x, cloud):
        if self.normalization.keeps_absent:
            return Pairs(x, cloud, self.cost, self.block_size)
        return super().interaction(x, cloud)

    def origin(self, inputs):
        # On a sphere, directions count from its center.
        if self.kernel.spherical:
            return ops.zeros_like(inputs.x[:, :1])
        return super().origin(inputs)

    def compute_field(self, inputs):
        if not self.kernel.spherical:
            return super().compute_field(inputs)
        inputs = self.mask(inputs)
        radius = lengths(inputs.x)
        field = super().compute_field(inputs.map_points(unit_vectors))
        length = ops.sqrt(inputs.mean_squares([radius])[0])
        return Field(
            radius * field.velocity,
            length * field.length_scale,
            length[..., None] * field.norm,
        )

    def velocities(self, x, positives, negatives, length_scale):
        length, positives, negatives = self.in_bandwidth_units(
            x, positives, negatives, length_scale
        )
        fields = self.normalization.velocities(
            self.kernel, length, positives, negatives
        )
        if self.kernel.spherical:
            fields = [_tangential(field, x) for field in fields]
        return fields

    def in_bandwidth_units(self, x, positives, negatives, length_scale):
        """The length that bandwidths are multiples of, and pairs in its units.

        Args:
            x: float32 tensor `(groups, n, d)`.
            positives: `keras_drift.ops.Pairs` of the samples with them.
            negatives: `keras_drift.ops.Pairs` of the samples with them.
            length_scale: what `length_scale` returned.

        Returns:
            `(length, positives, negatives)`: a length that is the same for all
            pairs; the costs of both `Pairs` are divided by any other.
        """
        length = self.length(x, length_scale)
        if self.normalization.keeps_absent:  # it divides by itself
            return length, positives, negatives
        return in_units_of(length, positives, negatives)

    @property
    def measures_signal(self):
        return not self.normalization.couples_samples

    def _check_measures_signal(self):
        if self.needs_signal and not self.measures_signal:
            raise ValueError(
                "The share of signal is measured on few samples and points, "
                "whose field must not depend on how many there are. Use "
                "`KernelDrift` with 'row', 'sharp' or 'score' normalization. "
                f"Received: signal_share=True, a {type(self).__name__} with "
                f"normalization={type(self.normalization).__name__}"
            )

    def compute_signal(self, inputs):
        if self.kernel.spherical:
            inputs = self.mask(inputs).map_points(unit_vectors)
        return super().compute_signal(inputs)

    def update_shares(self, signal):
        shares = self.shares + GAIN * signal.share_error(self.shares)
        self.shares.assign(ops.clip(shares, -1.0, 1.0))

    def field_weights(self):
        if not self.needs_signal:
            return self.bandwidth_weights
        count = self.kernel.num_bandwidths
        weights = self.bandwidth_weights
        if weights is None:
            weights = [1.0 if self.unit_rms else 1.0 / count] * count
        shares = ops.maximum(self.shares, 0.0)
        return [weights[k] * shares[k] for k in range(count)]

    def bandwidth_gradient(self, x, positives, negatives=None, **options):
        """The gradient of the temperature loss for the log-bandwidth.

        By descent along it `callbacks.LearnedBandwidth` learns a bandwidth;
        see there. Takes the arguments of `field`.

        Returns:
            float32 scalar, without gradients.
        """
        inputs = self._inputs(x, positives, negatives, **options)
        return bandwidth_gradient(self, inputs.with_all_samples())

    @property
    def shares_fields(self):
        own = vars(type(self.normalization)).get("takes_segments", False)
        return own and super().shares_fields

    def get_config(self):
        serialize = keras.saving.serialize_keras_object
        return {
            **super().get_config(),
            "normalization": serialize(self.normalization),
            "bandwidth_weights": self.bandwidth_weights,
            "signal_share": self.needs_signal,
        }


def _checked_weights(weights, kernel):
    """The weights of the bandwidths as a list of floats, or `None`."""
    if weights is None:
        return None
    values = np.asarray(weights, "float64")
    if (
        values.shape != (kernel.num_bandwidths,)
        or not np.all(np.isfinite(values) & (values >= 0))
        or not np.any(values)
    ):
        raise ValueError(
            "`bandwidth_weights` are finite numbers >= 0, not all zero, one "
            f"for each of the {kernel.num_bandwidths} bandwidths of the "
            f"kernel. Received: bandwidth_weights={weights!r}"
        )
    return values.tolist()


def _tangential(velocity, x):
    """The parts of velocities that are tangential to the unit sphere."""
    return velocity - ops.sum(velocity * x, axis=-1, keepdims=True) * x

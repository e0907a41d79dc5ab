"""The base class of all drifts."""

from typing import Any
from typing import NamedTuple

import keras
from keras import ops

from keras_drift import checks
from keras_drift.annealable import Annealable
from keras_drift.ops import Pairs
from keras_drift.ops import PointCloud
from keras_drift.ops import join
from keras_drift.ops import pairwise_distances

SELF_INTERACTIONS = ("excluded", "included", "independent")
GUIDANCE_MODES = ("distribution", "velocity")


class Field(NamedTuple):
    """What a drift says about a set of samples.

    Attributes:
        velocity: float32 tensor shaped like the samples, in their units.
        length_scale: float32 scalar, the length in which the regression loss
            measures the samples; 1 unless the drift works with relative
            distances.
        norm: float32 tensor `(bandwidths,)`, the root mean square length of the
            raw velocities, in the units of the samples, before any
            normalization. It falls as the samples approach the data.
    """

    velocity: Any
    length_scale: Any
    norm: Any


class Drift(Annealable, keras.layers.Layer):
    """Operator that says in which direction every sample should move.

    A drift compares samples with positives (data) and negatives (samples of the
    model) and returns a velocity for each sample: 0 everywhere once the two
    distributions agree. Unless its operator says otherwise, the velocity in the
    limit of a large bandwidth is one full step, the mean of the positives minus
    the mean of the negatives.

    Subclasses write `velocities`, `length_scale` if they work with relative
    distances, and `cost` if they compare pairs by anything but their distance.
    This class checks shapes, casts to float32, joins the negatives, normalizes
    and adds up the fields of several bandwidths.

    Args:
        self_interaction: who repels a sample if no negatives are given:
            `"excluded"`, all samples but itself; `"included"`, all samples;
            `"independent"`, an independent batch of samples that must be given
            as negatives (`DriftModel` generates one). Excluding removes most of
            the inward bias of a small batch, independent negatives all of it,
            for one more forward pass. Defaults to `"excluded"`.
        unit_rms: bool, whether the field of each bandwidth is scaled to a root
            mean square of 1 per coordinate, in its unit of length, and the
            fields are then added. Otherwise they are averaged. Defaults to
            `False`.
        block_size: int, or two: how many samples and how many points are
            compared at once. Memory grows with it, results do not change.
            Defaults to `None`: chosen from the shapes.
        guidance_mode: the role of unconditional data. `"distribution"`: they
            join the negatives, with their weights, so that training rests at
            `scale * conditional - (scale - 1) * unconditional`; that mixture
            can be negative somewhere, and then training does not come to rest.
            `"velocity"`: samples follow `V(positives, negatives) + (scale - 1)
            V(positives, unconditional)`, which has no such limit but costs a
            third comparison. Defaults to `"distribution"`.
        **kwargs: passed to `keras.layers.Layer`.

    Call arguments:
        x: float tensor `(n, d)` or `(groups, n, d)`, the samples to move.
        positives: float tensor `(m, d)` or `(groups, m, d)`, the data.
        negatives: optional float tensor `(k, d)` or `(groups, k, d)`, samples
            of the model. Defaults to `x` itself, see `self_interaction`.
        unconditional: optional float tensor `(u, d)` or `(groups, u, d)`, data
            of all conditions that repels as well, see `guidance_mode`.
        positive_weights: optional float tensor `(m,)` or `(groups, m)`, >= 0.
            An integer weight `c` counts a point `c` times, zero as absent.
        negative_weights: the same for the negatives.
        unconditional_weights: the same for the unconditional points.
        guidance_scale: optional float or float tensor `(groups,)`, >= 1, where
            1 is no guidance. With `guidance_mode="velocity"` it goes with
            `unconditional`; otherwise their weights take its place.

    Returns:
        The velocity of each sample, shaped like `x`, float32.

    Raises:
        ValueError: if ranks, dimensions or numbers of groups do not fit.

    Reference:

    - [Deng et al., 2026](https://arxiv.org/abs/2602.04770), appendix A.7, for
      guidance of distributions
    - [Han et al., 2026](https://arxiv.org/abs/2605.11755), for guidance of
      velocities
    """

    # A field with a smaller mean square, in its unit of length, is rounding
    # noise, which must not be blown up to unit size.
    mean_square_floor = 1e-12

    # Whether the gradient of the velocity is that of its formula.
    differentiable = True

    def __init__(
        self,
        self_interaction="excluded",
        unit_rms=False,
        block_size=None,
        guidance_mode="distribution",
        **kwargs,
    ):
        # Half precision cannot tell neighbors apart.
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.self_interaction = checks.choice(
            "self_interaction", self_interaction, SELF_INTERACTIONS
        )
        self.unit_rms = bool(unit_rms)
        self.block_size = checks.block_size(block_size)
        self.guidance_mode = checks.choice(
            "guidance_mode", guidance_mode, GUIDANCE_MODES
        )
        self.built = True

    def cost(self, x, y):
        """What a pair is compared by; the points lie around the origin.

        Args:
            x: float32 tensor `(groups, a, d)`.
            y: float32 tensor `(groups, b, d)`.

        Returns:
            float32 tensor `(groups, a, b)`. Defaults to the Euclidean distance.
        """
        return pairwise_distances(x, y, centered=True)

    def velocities(self, x, positives, negatives, length_scale):
        """The raw velocity of each sample, for each bandwidth.

        Args:
            x: float32 tensor `(groups, n, d)`.
            positives: `keras_drift.ops.Pairs` of the samples with them.
            negatives: `keras_drift.ops.Pairs` of the samples with them.
            length_scale: what `length_scale` returned.

        Returns:
            A list of float32 tensors `(groups, n, d)`, one for each bandwidth,
            in the units of `x`.
        """
        raise NotImplementedError(
            f"`{type(self).__name__}` must write `velocities(x, positives, "
            "negatives, unit)`, the raw velocity for each bandwidth."
        )

    def length_scale(self, x, positives, negatives):
        """The unit of length per coordinate. Defaults to 1."""
        del x, positives, negatives  # absolute distances
        return ops.ones((), "float32")

    def call(
        self, x, positives, negatives=None, guidance_scale=None, **options
    ):
        # By name: among options that are tensors Keras takes no plain number.
        options["guidance_scale"] = guidance_scale
        return self.field(x, positives, negatives, **options).velocity

    def field(
        self,
        x,
        positives,
        negatives=None,
        unconditional=None,
        positive_weights=None,
        negative_weights=None,
        unconditional_weights=None,
        guidance_scale=None,
        negatives_are_samples=False,
    ):
        """The velocity with its unit and its raw norm.

        Takes what the layer's call takes, and `negatives_are_samples`: whether
        the first negatives are the samples themselves at other places, so that
        `self_interaction` decides on each pair of a sample with its own.

        Returns:
            A `Field`.
        """
        given = {
            "x": x,
            "positives": positives,
            "negatives": negatives,
            "unconditional": unconditional,
        }
        weights = {
            "positives": positive_weights,
            "negatives": negative_weights,
            "unconditional": unconditional_weights,
        }
        given, weights = (
            {
                name: ops.convert_to_tensor(value, "float32")
                for name, value in tensors.items()
                if value is not None
            }
            for tensors in (given, weights)
        )
        self._check(given, weights)
        scale = self._checked_scale(guidance_scale, given)
        x = given["x"]
        if len(x.shape) == 2:
            given = {name: value[None] for name, value in given.items()}
            weights = {name: value[None] for name, value in weights.items()}
        own = "negatives" not in given or negatives_are_samples
        field = self._field(given, weights, own, scale)
        velocity = ops.reshape(field.velocity, ops.shape(x))
        return field._replace(velocity=velocity)

    def origin(self, x):
        """The point that clouds are moved to zero from, `(groups, 1, d)`."""
        # No drift depends on the origin: around it, float32 is most exact. The
        # samples can be much nearer to each other than to the data.
        return ops.mean(x, axis=-2, keepdims=True)

    def _raw_fields(self, given, weights, own, scale):
        """The unit of length and a list of velocities, one per bandwidth."""
        origin = self.origin(given["x"])
        given = {name: value - origin for name, value in given.items()}
        x = given["x"]
        positives = PointCloud(given["positives"], weights.get("positives"))
        negatives = PointCloud(
            given.get("negatives", x),
            weights.get("negatives"),
            contains_samples=own and self.self_interaction == "excluded",
        )
        extra = None
        if "unconditional" in given:
            extra = PointCloud(
                given["unconditional"], weights.get("unconditional")
            )
        if scale is None:
            negatives = join(negatives, extra)
        # Alike, so that they cancel exactly where they are the same points.
        positives, negatives = (
            Pairs(x, cloud, self.cost, self.block_size)
            for cloud in (positives, negatives)
        )
        length_scale = self.length_scale(x, positives, negatives)
        fields = self.velocities(x, positives, negatives, length_scale)
        if not isinstance(fields, (list, tuple)) or not fields:
            raise ValueError(
                "`velocities` returns a list of fields `(groups, n, d)`, one "
                "for each bandwidth; for one, `[velocity]`. "
                f"Received: {type(fields).__name__} from "
                f"`{type(self).__name__}`"
            )
        if scale is not None:
            extra = Pairs(x, extra, self.cost, self.block_size)
            away = self.velocities(x, positives, extra, length_scale)
            fields = [
                field + (scale - 1.0) * guide
                for field, guide in zip(fields, away, strict=True)
            ]
        return length_scale, fields

    def _field(self, given, *args):
        length_scale, fields = self._raw_fields(given, *args)
        mean_squares = [ops.mean(ops.square(field)) for field in fields]
        norm = ops.sqrt(ops.stack(mean_squares) * given["x"].shape[-1])
        # Added one by one: a stack of them would cost a copy of each.
        if self.unit_rms:
            floor = self.mean_square_floor
            velocity = sum(
                field * ops.rsqrt(ops.maximum(square / length_scale**2, floor))
                for field, square in zip(fields, mean_squares, strict=True)
            )
        else:
            velocity = sum(fields) / len(fields)
        return Field(velocity, length_scale, norm)

    def _check(self, given, weights):
        shapes = {name: tuple(value.shape) for name, value in given.items()}
        received = ", ".join(f"{k}.shape={v}" for k, v in shapes.items())
        checks.sets_of_samples(shapes)
        if self.self_interaction == "independent" and "negatives" not in given:
            raise ValueError(
                "With `self_interaction='independent'` the negatives are an "
                "independent batch of generated samples and must be given. "
                f"Received: negatives=None, {received}"
            )
        self._check_weights(shapes, weights)

    def _checked_scale(self, guidance_scale, given):
        """The scale of every sample, `(groups or 1, 1, 1)`, or `None`."""
        by_velocity = self.guidance_mode == "velocity"
        if guidance_scale is None and not (
            by_velocity and "unconditional" in given
        ):
            return None
        if (
            guidance_scale is None
            or not by_velocity
            or "unconditional" not in given
        ):
            raise ValueError(
                "A guidance scale and unconditional data go together, in a "
                "drift with `guidance_mode='velocity'`; one with "
                "`guidance_mode='distribution'` takes `unconditional_weights` "
                "instead. Received: a drift with "
                f"guidance_mode={self.guidance_mode!r}, "
                f"{'no' if guidance_scale is None else 'a'} scale, "
                f"{'' if 'unconditional' in given else 'no '}unconditional data"
            )
        scale = ops.convert_to_tensor(guidance_scale, "float32")
        groups = tuple(given["x"].shape[:-2])
        shape = tuple(scale.shape)
        if shape and not checks.fits(shape, groups):
            raise ValueError(
                "`guidance_scale` is one number, or one for each group: "
                f"shape () or {groups}. Received: shape {shape}"
            )
        return ops.reshape(scale, (-1, 1, 1))

    def _check_weights(self, shapes, weights):
        shapes = {"negatives": shapes["x"], **shapes}
        for name, value in weights.items():
            if name not in shapes:
                raise ValueError(
                    f"There are weights of the {name} points but no such "
                    f"points. Received: `{name}_weights` without `{name}`"
                )
            checks.weights_of_samples(name, tuple(value.shape), shapes[name])

    def compute_output_shape(self, x_shape, *args, **kwargs):
        """The shape of the samples."""
        return tuple(x_shape)

    def compute_output_spec(self, x, *args, **kwargs):
        """A float32 tensor shaped like the samples."""
        return keras.KerasTensor(x.shape, "float32")

    def get_config(self):
        return {
            **super().get_config(),
            "self_interaction": self.self_interaction,
            "unit_rms": self.unit_rms,
            "block_size": self.block_size,
            "guidance_mode": self.guidance_mode,
        }

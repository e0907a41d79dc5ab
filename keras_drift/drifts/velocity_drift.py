"""The template of drifts that are defined by a velocity."""

from keras import ops

from keras_drift import checks
from keras_drift.drifts.drift import Drift
from keras_drift.drifts.field import Field
from keras_drift.drifts.signal import Signal
from keras_drift.ops import join

SELF_INTERACTIONS = ("excluded", "included", "independent")
GUIDANCE_MODES = ("distribution", "velocity")


class VelocityDrift(Drift):
    """Template of drifts that are defined by a velocity.

    Subclasses write `velocities`, and `length_scale` if they work with relative
    distances. This class joins the negatives with the unconditional points,
    guides, normalizes and adds up the fields of several bandwidths.
    `PairwiseDrift` adds reductions over pairs.

    Args:
        self_interaction: which negatives a sample has if none are given:
            `"excluded"`, all samples but itself; `"included"`, all samples;
            `"independent"`, an independent batch of samples that must be given
            (`DriftModel` generates one). Excluding removes most of the inward
            bias of a small batch, independent negatives all of it, for one more
            forward pass. Defaults to `"excluded"`.
        unit_rms: bool, whether the field of each bandwidth is scaled to a root
            mean square of 1 per coordinate, in units of its length scale, and
            the fields are then added. Otherwise they are averaged. Defaults to
            `False`.
        guidance_mode: the role of unconditional data. `"distribution"`: they
            join the negatives, with their weights, so that training converges
            to `scale * conditional - (scale - 1) * unconditional`; that mixture
            can be negative somewhere, and then training does not converge.
            `"velocity"`: samples follow `V(positives, negatives) + (scale - 1)
            V(positives, unconditional)`, which has no such limit but costs a
            third comparison. Defaults to `"distribution"`.
        **kwargs: passed to `keras.layers.Layer`.

    Call arguments:
        x: float tensor `(n, d)` or `(groups, n, d)`, the samples to move.
        positives: float tensor `(m, d)` or `(groups, m, d)`, the data.
        **options: see `Drift`.

    Returns:
        The velocity of each sample, shaped like `x`, float32.

    Example:

    >>> from keras_drift import drifts
    >>> class ToTheMean(drifts.VelocityDrift):
    ...     def velocities(self, x, positives, negatives, length_scale):
    ...         mean = keras.ops.mean(positives.points, axis=1, keepdims=True)
    ...         return [mean - x]
    >>> x, data = np.array([[0.0], [2.0]]), np.array([[5.0]])
    >>> keras.ops.convert_to_numpy(ToTheMean()(x, data)).tolist()
    [[5.0], [3.0]]

    Reference:

    - [Deng et al., 2026](https://arxiv.org/abs/2602.04770), appendix A.7, for
      guidance of distributions
    - [Han et al., 2026](https://arxiv.org/abs/2605.11755), for guidance of
      velocities
    """

    # A field with a smaller mean square, in units of its length scale, is
    # rounding noise, which must not be amplified to unit size.
    mean_square_floor = 1e-12
    # A lower bound of the length scale of the `Field`.
    length_scale_floor = 0.0
    # List of floats, what the field of each bandwidth is multiplied by.
    bandwidth_weights = None

    def __init__(
        self,
        self_interaction="excluded",
        unit_rms=False,
        guidance_mode="distribution",
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.self_interaction = checks.choice(
            "self_interaction", self_interaction, SELF_INTERACTIONS
        )
        self.unit_rms = checks.boolean("unit_rms", unit_rms)
        self.guidance_mode = checks.choice(
            "guidance_mode", guidance_mode, GUIDANCE_MODES
        )

    def velocities(self, x, positives, negatives, length_scale):
        """Computes the raw velocity of each sample, for each bandwidth.

        Args:
            x: float32 tensor `(groups, n, d)`, around the origin.
            positives: what `interaction` returned for them, with `points`.
            negatives: the same for the negatives.
            length_scale: what `length_scale` returned.

        Returns:
            A list of float32 tensors `(groups, n, d)`, one for each bandwidth,
            in the units of `x`.
        """
        raise NotImplementedError(
            f"`{type(self).__name__}` must write `velocities(x, positives, "
            "negatives, length_scale)`, the raw velocity for each bandwidth."
        )

    def length_scale(self, inputs, positives, negatives):
        """Computes the length scale, per coordinate. Defaults to 1.

        Args:
            inputs: `FieldInputs`; `inputs.mean_cost(positives, negatives)` is
                the mean cost of all pairs in the batch.
            positives: what `interaction` returned for them.
            negatives: the same for the negatives.

        Returns:
            float32 scalar, or `(groups, 1, 1)` where features share the field
            (`takes_segments`), see `FieldInputs.per_group`.
        """
        del inputs, positives, negatives  # absolute distances
        return ops.ones((), "float32")

    def interaction(self, x, cloud):
        """Prepares a `PointCloud` for `velocities`: masks its absent points."""
        del x
        return cloud.masked()

    def origin(self, inputs):
        """The point `(groups, 1, d)` that all points are centered on."""
        # No drift depends on the origin: around it, float32 is most exact. The
        # samples can be much nearer to each other than to the data.
        return inputs.center()

    def mask(self, inputs):
        """Replaces absent samples by the mean of those present."""
        return inputs.masked()

    def compute_field(self, inputs):
        inputs = self.mask(inputs)
        length_scale, fields = self.raw_fields(inputs)
        if self.length_scale_floor:
            length_scale = ops.maximum(length_scale, self.length_scale_floor)
        mean_squares = inputs.mean_squares(fields)
        norm = ops.sqrt(ops.moveaxis(mean_squares, 0, -1) * inputs.x.shape[-1])
        shared_scale = inputs.per_feature(length_scale)
        factors = self.factors(inputs, mean_squares, shared_scale)
        # One by one: a stack of them would cost a copy of each.
        velocity = sum(
            field * factor
            for field, factor in zip(fields, factors, strict=True)
        )
        return Field(inputs.rest_if_absent(velocity), shared_scale, norm)

    def factors(self, inputs, mean_squares, length_scale):
        """What the raw field of each bandwidth is multiplied by: a list.

        Args:
            inputs: `FieldInputs`.
            mean_squares: float32 tensor `(bandwidths,)`, those of the fields
                over the batch, or `(bandwidths, features)`.
            length_scale: float32 scalar, that of the field, or `(features,)`.
        """
        count, weights = mean_squares.shape[0], self.field_weights()
        if not self.unit_rms:
            return weights or [1.0 / count] * count
        floor = self.mean_square_floor
        factors = ops.rsqrt(ops.maximum(mean_squares / length_scale**2, floor))
        factors = [inputs.per_group(factors[k]) for k in range(count)]
        if weights is None:
            return factors
        return [w * f for w, f in zip(weights, factors, strict=True)]

    def field_weights(self):
        """What the field of each bandwidth is multiplied by now, or `None`."""
        return self.bandwidth_weights

    def compute_signal(self, inputs):
        halves = self.mask(inputs).in_halves()
        _, fields = self.raw_fields(halves)
        groups, count = ops.shape(inputs.x)[0], len(fields)
        pairs = [(field[:groups], field[groups:]) for field in fields]
        present = halves.present
        if present is not None:
            present = present[:groups]
        squares = halves._replace(present=present).mean_squares(
            [(one + two) / 2 for one, two in pairs]
            + [(one - two) / 2 for one, two in pairs]
        )
        squares = ops.moveaxis(squares, 0, -1)
        return Signal(squares[..., :count], squares[..., count:])

    def compared(self, inputs):
        """Prepares the comparison of samples with positives and negatives.

        Args:
            inputs: `FieldInputs`, masked.

        Returns:
            `(inputs, positives, negatives)`: the inputs around the origin, and
            what `interaction` returned for both sides.
        """
        origin = self.origin(inputs)
        inputs = inputs.map_points(lambda points: points - origin)
        negatives = inputs.negatives._replace(
            contains_samples=inputs.negatives_are_samples
            and self.self_interaction == "excluded"
        )
        if inputs.guidance_scale is None:
            negatives = join(negatives, inputs.unconditional)
        # Alike, so that they cancel exactly where they are the same points.
        return (
            inputs,
            self.interaction(inputs.x, inputs.positives),
            self.interaction(inputs.x, negatives),
        )

    def raw_fields(self, inputs):
        """Computes the length scale and a list of raw velocities."""
        inputs, positives, negatives = self.compared(inputs)
        x, scale = inputs.x, inputs.guidance_scale
        length_scale = self.length_scale(inputs, positives, negatives)
        fields = self.velocities(x, positives, negatives, length_scale)
        self._check_fields(fields, x)
        if scale is not None:
            unconditional = self.interaction(x, inputs.unconditional)
            guides = self.velocities(x, positives, unconditional, length_scale)
            fields = [
                field + (scale - 1.0) * guide
                for field, guide in zip(fields, guides, strict=True)
            ]
        return length_scale, fields

    def _check_fields(self, fields, x):
        shape, shapes = tuple(x.shape), type(fields).__name__
        if isinstance(fields, (list, tuple)) and fields:
            shapes = [tuple(field.shape) for field in fields]
            if all(checks.fits(each, shape) for each in shapes):
                return
        raise ValueError(
            "`velocities` returns a list of fields `(groups, n, d)`, one for "
            "each bandwidth; for one, `[velocity]`. Here "
            f"(groups, n, d) = {shape}. Received: {shapes} from "
            f"`{type(self).__name__}`"
        )

    def get_config(self):
        return {
            **super().get_config(),
            "self_interaction": self.self_interaction,
            "unit_rms": self.unit_rms,
            "guidance_mode": self.guidance_mode,
        }

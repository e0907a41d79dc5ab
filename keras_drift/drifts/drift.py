"""The interface of all drifts."""

import keras
from keras import ops

from keras_drift import checks
from keras_drift import replaced_parts
from keras_drift.annealable import Annealable
from keras_drift.drifts import field_arguments
from keras_drift.drifts.field import Field
from keras_drift.drifts.signal import ADVICE
from keras_drift.drifts.signal import Signal
from keras_drift.own_arguments import RecordsArguments
from keras_drift.own_arguments import own_arguments


class Drift(RecordsArguments, Annealable, keras.layers.Layer):
    """Operator that assigns a velocity to every generated sample.

    A drift compares samples with positives (data) and negatives (samples of the
    model) and returns a velocity for each sample: 0 everywhere once the two
    distributions agree. Unless its operator says otherwise, the velocity in the
    limit of a large bandwidth is one full step, the mean of the positives minus
    the mean of the negatives.

    This class is the interface: it validates the arguments and hands them over
    in groups, in float32. To write a drift of your own, subclass
    `PairwiseDrift` and write `velocities`; subclass this class, and write
    `compute_field`, for an operator on other drifts.

    Args:
        **kwargs: passed to `keras.layers.Layer`.

    Attributes:
        self_interaction: str, which negatives a sample has if none are given:
            `"excluded"`, all samples but itself; `"included"`, all samples;
            `"independent"`, none: an independent batch of samples must be given
            (`DriftModel` generates one).
        guidance_mode: str, the role of unconditional data: `"distribution"` or
            `"velocity"`, see `VelocityDrift`.
        relative: bool, whether lengths are in units of a mean distance.
        differentiable: bool, whether gradients of the velocity are those of
            its formula.
        takes_negatives: bool, whether negatives may be given.
        measures_signal: bool, whether `signal` can be measured: the velocity of
            a sample must not depend on which others are moved with it.
        needs_signal: bool, whether training is to measure the signal and hand
            it to `update_shares`.
        takes_segments: bool, whether features of one dimension may share a
            field, see `field`. A subclass says so itself: it is not inherited.
        takes_gram: bool, whether the field of few points in many dimensions may
            be computed from their inner products. A subclass says so itself.

    Call arguments:
        x: float tensor `(n, d)` or `(groups, n, d)`, the samples to move.
        positives: float tensor `(m, d)` or `(groups, m, d)`, the data.
        negatives: optional float tensor `(k, d)` or `(groups, k, d)`, samples
            of the model. Defaults to `x` itself, see `self_interaction`.
        unconditional: optional float tensor `(u, d)` or `(groups, u, d)`, data
            of all conditions, repulsive as well, see `guidance_mode`.
        positive_weights: optional float tensor `(m,)` or `(groups, m)`, >= 0.
            An integer weight `c` counts a point `c` times; a point of weight
            zero is absent, whatever its coordinates. A group whose positives
            all have weight zero is absent: its velocity is zero.
        negative_weights: the same for the negatives. Where the samples are the
            negatives, one of weight zero is absent: its velocity is zero.
        unconditional_weights: the same for the unconditional points.
        guidance_scale: optional float or float tensor `(groups,)`, >= 1, where
            1 means no guidance. With `guidance_mode="velocity"` it goes with
            `unconditional`; otherwise their weights take its role.

    Returns:
        The velocity of each sample, shaped like `x`, float32.

    Raises:
        ValueError: if ranks, dimensions or numbers of groups do not fit.

    Example:

    >>> from keras_drift import drifts
    >>> class Half(drifts.Drift):
    ...     def compute_field(self, inputs):
    ...         field = drifts.EnergyDistanceDrift().compute_field(inputs)
    ...         return field._replace(velocity=field.velocity / 2)
    >>> x, data = np.array([[0.0]]), np.array([[2.0]])
    >>> float(Half()(x, data)[0, 0])
    1.0
    """

    self_interaction = "excluded"
    guidance_mode = "distribution"
    relative = False
    differentiable = True
    takes_negatives = True
    takes_segments = False
    takes_gram = False
    measures_signal = False
    needs_signal = False

    def __init__(self, **kwargs):
        # Half precision cannot resolve the distances of neighbors.
        super().__init__(**checks.in_float32(kwargs))
        self.built = True

    def compute_field(self, inputs):
        """Computes the field of validated arguments.

        Args:
            inputs: `FieldInputs`.

        Returns:
            A `Field`, its velocity shaped like `inputs.x`.
        """
        raise NotImplementedError(
            f"`{type(self).__name__}` must write `compute_field(inputs)`, its "
            "velocity, length scale and norm. To write a drift by its "
            "velocities, subclass `PairwiseDrift`."
        )

    def __call__(self, *args, **kwargs):
        names = ("x", "positives", "negatives")
        checks.no_masked_arguments(names, args, kwargs)
        return super().__call__(*args, **kwargs)

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
        placement="local",
        tokens=None,
    ):
        """Computes the velocity with its length scale and its raw norm.

        Takes the call arguments of the layer, and three more. Gradients flow to
        the samples and to the negatives.

        Args:
            x: see the call arguments.
            positives: see the call arguments.
            negatives: see the call arguments.
            unconditional: see the call arguments.
            positive_weights: see the call arguments.
            negative_weights: see the call arguments.
            unconditional_weights: see the call arguments.
            guidance_scale: see the call arguments.
            negatives_are_samples: bool, whether the first negatives are the
                samples themselves at other positions, so that
                `self_interaction` decides on each pair of a sample with its
                own copy. Defaults to `False`.
            placement: str, which axis is distributed over replicas, where
                there are several: `"groups"`, whole groups, or `"samples"`, a
                share of every group. All replicas must call it then, and
                gradients do not pass between them. Defaults to `"local"`: the
                field of the samples and points that are given.
            tokens: sequence of ints, the tokens of each of the features that
                share the field: the groups are all tokens of the first group
                of the batch, then of the second, and so on. Means over the
                batch are then those of each feature. For drifts that
                `shares_fields`. Defaults to `None`: one feature.

        Returns:
            A `Field`; the length scale and the norm of one with `tokens` have
            the features as a first axis.
        """
        inputs = self._inputs(
            x,
            positives,
            negatives,
            unconditional,
            positive_weights,
            negative_weights,
            unconditional_weights,
            guidance_scale,
            negatives_are_samples,
            placement,
            tokens,
        )
        if self.measures_signal:  # each sample moves independently
            field = self.compute_field(inputs.with_all_points())
        else:
            field = self.compute_field(inputs.with_all_samples())
            field = field._replace(velocity=inputs.own_share(field.velocity))
        if len(x.shape) == 3:
            return field
        return Field(field.velocity[0], field.length_scale, field.norm)

    def signal(self, x, positives, negatives=None, **options):
        """Measures how much of the field is signal, and how much is noise.

        The field from finitely many points has a random error. One in 64
        samples, the first ones, is compared with each of two halves of the
        other points, the even and the odd ones, so the cost is a small part of
        that of the field. They must be in random order, as batches of `fit`
        are. Where a bandwidth has only noise left, training at it is over: see
        `callbacks.AdaptiveBandwidth` and `KernelDrift(signal_share=True)`.

        Takes the arguments of `field`. Only drifts with `measures_signal` have
        it.

        Returns:
            A `Signal`, without gradients.

        Raises:
            ValueError: if this drift has no signal to measure, or if a cloud is
                too small to be halved.
        """
        if not self.measures_signal:
            raise ValueError(
                f"The signal of a `{type(self).__name__}` cannot be measured: "
                f"{ADVICE} Received: drift={type(self).__name__}"
            )
        inputs = self._inputs(x, positives, negatives, **options)
        found = self.compute_signal(inputs.with_all_samples())
        return Signal(*map(ops.stop_gradient, found))

    def compute_signal(self, inputs):
        """Computes the `Signal` of validated arguments.

        Args:
            inputs: `FieldInputs`.
        """
        raise NotImplementedError(
            f"`{type(self).__name__}` must write `compute_signal(inputs)`, "
            "since it says `measures_signal`."
        )

    def update_shares(self, signal):
        """Takes the `Signal` of a training step; a drift that `needs_signal`.

        Args:
            signal: `Signal`.
        """
        raise NotImplementedError(
            f"`{type(self).__name__}` must write `update_shares(signal)`, "
            "since it says `needs_signal`."
        )

    def _inputs(
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
        placement="local",
        tokens=None,
    ):
        """The validated arguments of `field` and `signal`."""
        inputs = field_arguments.parse(
            {
                "x": x,
                "positives": positives,
                "negatives": negatives,
                "unconditional": unconditional,
            },
            {
                "positives": positive_weights,
                "negatives": negative_weights,
                "unconditional": unconditional_weights,
            },
            guidance_scale,
            negatives_are_samples,
            placement,
            self.self_interaction,
            self.guidance_mode,
            tokens,
        )
        if tokens is not None and not self.shares_fields:
            raise ValueError(
                f"A `{type(self).__name__}` computes the field of one feature "
                "at a time. Call `field` once for each of them. "
                f"Received: tokens={tuple(tokens)}"
            )
        return inputs

    @property
    def shares_fields(self):
        """Whether `field` takes the `tokens` of several features."""
        # A subclass may take means over the batch of its own.
        return vars(type(self)).get("takes_segments", False)

    def compute_output_shape(self, x_shape, *args, **kwargs):
        """The shape of the samples."""
        return tuple(x_shape)

    def compute_output_spec(self, x, *args, **kwargs):
        """A float32 tensor shaped like the samples."""
        return keras.KerasTensor(x.shape, "float32")

    def get_config(self):
        return {**super().get_config(), **own_arguments(self)}

    def __setattr__(self, name, value):
        old = self._parts().get(name)
        super().__setattr__(name, value)
        parts = self._parts().values()
        if old is not None and all(old is not part for part in parts):
            replaced_parts.untrack(self, old)

    def _parts(self):
        """The layers that are attributes, by name."""
        own = vars(self)
        attributes = {**own, **own.get("_modules", {})}  # those of PyTorch
        return {
            name: value
            for name, value in attributes.items()
            if isinstance(value, keras.layers.Layer)
        }

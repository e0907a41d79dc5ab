"""Several steps along a drift at once."""

import keras

from keras_drift import checks
from keras_drift.drifts.drift import Drift
from keras_drift.drifts.signal import refuse_shares


@keras.saving.register_keras_serializable("keras_drift")
class Lookahead(Drift):
    """Sum of the velocities of a drift along several explicit Euler steps.

    `V = V_0 + V_1 + ...`, where `V_j` is the velocity at the positions after
    `j` steps: `x_(j+1) = x_j + step_size * V_j`. One training step then covers
    the distance of `num_steps + 1`, at the cost of as many fields but of one
    pass through the generator. Choose it where the generator costs more than
    the field; a field that overshoots does so several times.

    Experimental: our reading of the paper, which does not specify how the
    velocities are scaled (`unit_rms` of the drift scales each) and at which
    positions the negatives are.

    Args:
        drift: a `Drift`, its name or its config. Defaults to `"kernel_drift"`.
        num_steps: int >= 0, the number of steps to look ahead; 0 is the drift
            itself. Defaults to `1`.
        step_size: float > 0, the step size between the fields. With that of the
            `DriftModel`, the sum is as many explicit Euler steps. Defaults to
            `1.0`.
        move_negatives: bool, whether samples that are the negatives of each
            other repel from the positions they have moved to, rather than from
            those they started at. Given negatives do not move. Defaults to
            `True`.
        **kwargs: passed to `keras.layers.Layer`.

    Call arguments:
        x: float tensor `(n, d)` or `(groups, n, d)`, the samples to move.
        positives: float tensor `(m, d)` or `(groups, m, d)`, the data.
        **options: other arguments of the drift, see `Drift`.

    Returns:
        The sum of the velocities, shaped like `x`, float32. The length scale
        and the norm of the `Field` are those of `V_0`.

    Example:

    >>> from keras_drift import drifts
    >>> drift = drifts.Lookahead("energy_distance_drift", step_size=0.5)
    >>> x, data = np.array([[0.0]]), np.array([[2.0]])
    >>> float(drift(x, data)[0, 0])  # 2, and 1 from the midpoint on
    3.0

    Reference:

    - [Zhang et al., 2026](https://arxiv.org/abs/2605.04060)
    """

    takes_segments = True

    def __init__(
        self,
        drift="kernel_drift",
        num_steps=1,
        step_size=1.0,
        move_negatives=True,
        **kwargs,
    ):
        # Not above: the package imports this file.
        from keras_drift.drifts import get

        drift = get(drift)
        refuse_shares("Lookahead", drift)
        super().__init__(**kwargs)
        self.drift = drift
        self.self_interaction = drift.self_interaction
        self.guidance_mode = drift.guidance_mode
        self.relative = drift.relative
        self.differentiable = drift.differentiable
        self.takes_negatives = drift.takes_negatives
        self.num_steps = checks.non_negative_integer("num_steps", num_steps)
        self.step_size = checks.positive_number("step_size", step_size)
        self.move_negatives = checks.boolean("move_negatives", move_negatives)
        if not move_negatives:
            self._check_fixed_negatives()

    def _check_fixed_negatives(self):
        if (
            self.num_steps
            and self.takes_negatives
            and self.self_interaction != "independent"
        ):
            return
        raise ValueError(
            "`move_negatives=False` fixes the samples as negatives at the "
            "positions they started at: it needs `num_steps` of at least 1, "
            "and a drift whose negatives are the samples. Received: "
            f"move_negatives=False, num_steps={self.num_steps}, a "
            f"`{type(self.drift).__name__}` with "
            f"self_interaction={self.self_interaction!r}"
        )

    @property
    def bandwidth(self):
        return self.drift.bandwidth

    @property
    def initial_bandwidth(self):
        return self.drift.initial_bandwidth

    def bandwidth_parts(self):
        return self.drift.bandwidth_parts()

    @property
    def bandwidth_unit(self):
        return self.drift.bandwidth_unit

    def anneal(self, bandwidth):
        self.drift.anneal(bandwidth)

    @property
    def shares_fields(self):
        return super().shares_fields and self.drift.shares_fields

    def compute_field(self, inputs):
        first = self.drift.compute_field(inputs)
        velocity = total = first.velocity
        for _ in range(self.num_steps):
            inputs = self._moved(inputs, self.step_size * velocity)
            velocity = self.drift.compute_field(inputs).velocity
            total = total + velocity
        return first._replace(velocity=total)

    def _moved(self, inputs, step):
        x = inputs.x + step
        if inputs.negatives_given:
            return inputs._replace(x=x)
        if self.move_negatives:
            negatives = inputs.negatives._replace(points=x)
            return inputs._replace(x=x, negatives=negatives)
        # The negatives are the samples at the first positions.
        return inputs._replace(x=x, negatives_given=True)

    def get_config(self):
        return {
            **super().get_config(),
            "drift": keras.saving.serialize_keras_object(self.drift),
            "num_steps": self.num_steps,
            "step_size": self.step_size,
            "move_negatives": self.move_negatives,
        }

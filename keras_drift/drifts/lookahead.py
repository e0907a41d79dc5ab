"""The drift of samples that have moved already."""

import keras
from keras import ops

from keras_drift import checks
from keras_drift.drifts.drift import Drift
from keras_drift.drifts.variational_drift import VariationalDrift


@keras.saving.register_keras_serializable("keras_drift")
class Lookahead(Drift):
    """Follows a drift for several steps before the generator does.

    `V = V_0 + V_1 + ...`, where `V_j` is the velocity at the places that the
    steps before have led to: `x_(j+1) = x_j + step_size * V_j`. One training
    step then covers the way of `num_steps + 1`, at the cost of so many fields
    but of one pass through the generator. Choose it where the generator costs
    more than the field; a field that overshoots does so several times.

    Experimental: our reading of the paper, which leaves open how the velocities
    are scaled (`unit_rms` of the drift scales each) and where the negatives
    are.

    Args:
        drift: a `Drift`, its name or its config. Defaults to `"kernel_drift"`.
        num_steps: int >= 0, how many steps to look ahead; 0 is the drift
            itself. Defaults to `1`.
        step_size: float > 0, how far the samples move between the fields. With
            that of the `DriftModel`, the sum is as many explicit Euler steps.
            Defaults to `1.0`.
        move_negatives: bool, whether samples that are the negatives of each
            other are so at the places they have moved to, rather than at those
            they started from. Given negatives stay where they are. Defaults to
            `True`.
        **kwargs: passed to `keras.layers.Layer`.

    Call arguments:
        x: float tensor `(n, d)` or `(groups, n, d)`, the samples to move.
        positives: float tensor `(m, d)` or `(groups, m, d)`, the data.
        **options: what the drift takes beside them.

    Returns:
        The sum of the velocities, shaped like `x`, float32. The unit and the
        norm of the `Field` are those of `V_0`.

    Example:

    >>> from keras_drift import drifts
    >>> drift = drifts.Lookahead("energy_distance_drift", step_size=0.5)
    >>> x, data = np.array([[0.0]]), np.array([[2.0]])
    >>> float(drift(x, data)[0, 0])  # 2, and 1 from half-way on
    3.0

    Reference:

    - [Zhang et al., 2026](https://arxiv.org/abs/2605.04060)
    """

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
        # What it has of its own would be ignored, so it cannot be given.
        super().__init__(
            drift.self_interaction, False, None, drift.guidance_mode, **kwargs
        )
        self.drift = drift
        self.differentiable = drift.differentiable
        if not move_negatives and isinstance(drift, VariationalDrift):
            raise ValueError(
                "A `VariationalDrift` takes no negatives, which "
                "move_negatives=False would hold in place. "
                "Received: move_negatives=False"
            )
        self.num_steps = checks.non_negative_integer("num_steps", num_steps)
        self.step_size = checks.positive_number("step_size", step_size)
        self.move_negatives = bool(move_negatives)

    @property
    def bandwidth(self):
        return self.drift.bandwidth

    @property
    def initial_bandwidth(self):
        return self.drift.initial_bandwidth

    def anneal(self, bandwidth):
        self.drift.anneal(bandwidth)

    def field(self, x, positives, negatives=None, **options):
        x = ops.convert_to_tensor(x, "float32")
        first = self.drift.field(x, positives, negatives, **options)
        velocity = total = first.velocity
        if negatives is None and not self.move_negatives:
            negatives = x
            options["negatives_are_samples"] = True
        for _ in range(self.num_steps):
            x = x + self.step_size * velocity
            velocity = self.drift.field(
                x, positives, negatives, **options
            ).velocity
            total = total + velocity
        return first._replace(velocity=total)

    def get_config(self):
        return {
            **keras.layers.Layer.get_config(self),
            "drift": keras.saving.serialize_keras_object(self.drift),
            "num_steps": self.num_steps,
            "step_size": self.step_size,
            "move_negatives": self.move_negatives,
        }

"""The weighted sum of drifts."""

import keras
import numpy as np
from keras import ops

from keras_drift import checks
from keras_drift.annealable import JointlyAnnealable
from keras_drift.drifts.drift import Drift
from keras_drift.drifts.field import Field
from keras_drift.drifts.signal import refuse_shares


@keras.saving.register_keras_serializable("keras_drift")
class Sum(JointlyAnnealable, Drift):
    """Weighted sum of drifts.

    If each drift lowers an energy, their sum lowers the sum of the energies.
    Choose it to let one drift attract distant samples and another resolve the
    detail.

    Args:
        drifts: sequence of at least one `Drift`, its name or its config, all of
            the same `self_interaction` and `guidance_mode`. Each keeps its own
            `unit_rms`, `relative` and `block_size`.
        weights: sequence of floats, one for each drift. Defaults to `None`:
            ones.
        **kwargs: passed to `keras.layers.Layer`.

    Call arguments:
        x: float tensor `(n, d)` or `(groups, n, d)`, the samples to move.
        positives: float tensor `(m, d)` or `(groups, m, d)`, the data.
        **options: other arguments of the drifts, see `Drift`.

    Returns:
        The velocity of each sample, shaped like `x`, float32. The length scale
        of the `Field` is that of the first drift, its norms are those of all
        drifts one after another, without the weights. A schedule sets the
        largest of all bandwidths, each of which is a length; the others keep
        their ratio to it.

    Example:

    >>> from keras_drift import drifts
    >>> drift = drifts.Sum(
    ...     ["kernel_drift", "energy_distance_drift"], weights=[1.0, 0.5]
    ... )
    >>> x, data = np.array([[0.0]]), np.array([[2.0]])
    >>> keras.ops.convert_to_numpy(drift(x, data)).tolist()  # two full steps
    [[3.0]]
    """

    takes_segments = True

    def __init__(self, drifts, weights=None, **kwargs):
        # Not above: the package imports this file.
        from keras_drift.drifts import get

        if not isinstance(drifts, (list, tuple)) or not drifts:
            raise ValueError(
                "`drifts` is a sequence of at least one drift. "
                f"Received: drifts={drifts!r}"
            )
        drifts = [get(drift) for drift in drifts]
        checks.distinct_variables(
            "drifts",
            drifts,
            "Create a drift, with its kernel, for each; `weights` multiplies.",
        )
        refuse_shares("Sum", *drifts)
        super().__init__(**kwargs)
        self.drifts = drifts
        self.drift_weights = _checked(weights, len(drifts))
        self.self_interaction = self._shared("self_interaction")
        self.guidance_mode = self._shared("guidance_mode")
        self.differentiable = all(drift.differentiable for drift in drifts)
        self.takes_negatives = all(drift.takes_negatives for drift in drifts)

    def _shared(self, name):
        choices = [getattr(drift, name) for drift in self.drifts]
        if len(set(choices)) > 1:
            raise ValueError(
                "All drifts of a sum have the same negatives and "
                f"unconditional data, so they need one `{name}`. "
                f"Received: {choices}"
            )
        return choices[0]

    @property
    def shares_fields(self):
        own = super().shares_fields
        return own and all(drift.shares_fields for drift in self.drifts)

    def compute_field(self, inputs):
        fields = [drift.compute_field(inputs) for drift in self.drifts]
        velocity = sum(
            weight * field.velocity
            for weight, field in zip(self.drift_weights, fields, strict=True)
        )
        norms = ops.concatenate([field.norm for field in fields], axis=-1)
        return Field(velocity, fields[0].length_scale, norms)

    def get_config(self):
        serialize = keras.saving.serialize_keras_object
        return {
            **super().get_config(),
            "drifts": [serialize(drift) for drift in self.drifts],
            "weights": list(self.drift_weights),
        }


def _checked(weights, count):
    if weights is None:
        return [1.0] * count
    if not isinstance(weights, (list, tuple, np.ndarray)):
        raise TypeError(
            "`weights` is a sequence of numbers, one for each drift. "
            f"Received: weights={weights!r}"
        )
    weights = [
        checks.non_negative_number("weights", weight) for weight in weights
    ]
    if len(weights) != count:
        raise ValueError(
            "Each drift needs one weight. "
            f"Received: {count} drifts, weights={weights!r}"
        )
    return weights

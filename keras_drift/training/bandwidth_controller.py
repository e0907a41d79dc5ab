"""Feedback from the signal of the drift to its bandwidth."""

import numpy as np
from keras import ops

from keras_drift import checks
from keras_drift.drifts.signal import GAIN


class BandwidthController:
    """Lowers the bandwidth as the signal at it falls below a threshold.

    Each time the share of signal at the largest bandwidth is measured, see
    `drifts.Drift.signal`, the bandwidth changes by a factor of up to
    `exp(0.1)`: down while the share is below the threshold, up while it is
    above. The bandwidth itself is all the state that there is.

    Args:
        initial: float > 0, the largest bandwidth at step 0, and its upper
            bound.
        final: float > 0, at most `initial`, its lower bound.
        threshold: float in (0, 1), the share of signal.
    """

    def __init__(self, initial, final, threshold):
        self.initial = checks.positive_number("initial", initial)
        self.final = checks.positive_number("final", final)
        if final > initial:
            raise ValueError(
                "The bandwidth stays between `final` and `initial`, so `final` "
                "must not exceed `initial`. "
                f"Received: initial={initial}, final={final}"
            )
        self.threshold = checks.positive_number("threshold", threshold)
        if threshold >= 1:
            raise ValueError(
                "`threshold` is a share of signal, between 0 and 1. "
                f"Received: threshold={threshold}"
            )

    def begin(self, drift, step):
        """Sets the bandwidth at step 0; later it stays within its bounds.

        Args:
            drift: a drift with a bandwidth.
            step: int or int scalar tensor, the optimizer step.
        """
        current = ops.clip(ops.max(drift.bandwidth), self.final, self.initial)
        drift.anneal(ops.where(step == 0, self.initial, current))

    def update(self, drift, parts):
        """Changes the bandwidth after a measurement.

        Args:
            drift: the drift of the model.
            parts: list of pairs: a drift, `drift` itself or that of a feature,
                and its `drifts.Signal` in this step.
        """
        errors = [
            signal.share_error(self.threshold)[
                int(np.argmax(part.initial_bandwidth))
            ]
            for part, signal in parts
            if part.has_bandwidth
        ]
        if not errors:
            names = [type(part).__name__ for part, _ in parts]
            raise ValueError(
                "The bandwidth adapts to the fields of the features, and those "
                "of a drift with a bandwidth have a loss weight of zero. "
                f"Received: fields of {names}"
            )
        factor = ops.exp(GAIN * sum(errors) / len(errors))
        width = ops.max(drift.bandwidth) * factor
        drift.anneal(ops.clip(width, self.final, self.initial))

    def get_config(self):
        """The constructor's arguments."""
        return {
            "initial": self.initial,
            "final": self.final,
            "threshold": self.threshold,
        }

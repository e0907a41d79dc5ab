"""Gradient descent on the bandwidth of a drift, inside a training step."""

from keras import ops

from keras_drift import checks


class BandwidthDescent:
    """Gradient descent on the logarithm of the bandwidth of a drift.

    The bandwidth, a weight of the drift, is its only state.

    Args:
        learning_rate: float > 0.
        smallest: float > 0, a lower bound of the largest bandwidth.
    """

    def __init__(self, learning_rate, smallest):
        self.learning_rate = checks.positive_number(
            "learning_rate", learning_rate
        )
        self.smallest = checks.positive_number("smallest", smallest)

    def update(self, drift, gradients):
        """Takes one step along the mean of the gradients of all fields.

        Args:
            drift: a `Drift` or `FeatureDrifts`, whose bandwidths keep their
                ratios.
            gradients: list of scalars, see `KernelDrift.bandwidth_gradient`.
        """
        # Far from the data a gradient is as large as the distance is in
        # bandwidths: clipped, a step changes the bandwidth by a factor of
        # `exp(learning_rate)` at most.
        gradient = ops.clip(ops.mean(ops.stack(gradients)), -1.0, 1.0)
        factor = ops.exp(-self.learning_rate * gradient)
        width = ops.max(ops.convert_to_tensor(drift.bandwidth)) * factor
        drift.anneal(ops.maximum(width, self.smallest))

    def get_config(self):
        """The constructor's arguments."""
        return {
            "learning_rate": self.learning_rate,
            "smallest": self.smallest,
        }

"""Mixin for objects with a schedulable bandwidth."""

import numpy as np
from keras import ops


def bandwidth_weight(layer, name, value):
    """Adds a non-trainable weight for a bandwidth that schedules set.

    Args:
        layer: the Keras layer that owns it.
        name: string.
        value: float, or a sequence of them, the initial value.
    """
    value = np.asarray(value, "float32")
    return layer.add_weight(
        name=name,
        shape=value.shape,
        initializer=lambda shape, dtype=None: ops.convert_to_tensor(
            value, dtype
        ),
        trainable=False,
    )


class Annealable:
    """Mixin for drifts and energies with a schedulable bandwidth."""

    @property
    def bandwidth(self):
        """The variable that schedules set, or `None`."""
        return None

    @property
    def initial_bandwidth(self):
        """The initial value of the variable: a NumPy array, or `None`."""
        return None

    def anneal(self, bandwidth):
        """Sets the largest bandwidth; several keep their ratios.

        Args:
            bandwidth: float or scalar tensor > 0, also inside compiled code.
                Bounded below by a millionth of the initial bandwidth, since
                the field is undefined at 0.
        """
        if self.bandwidth is None:
            raise ValueError(
                f"`{type(self).__name__}` has no bandwidth that a schedule "
                "could change."
            )
        largest = float(self.initial_bandwidth.max())
        width = ops.maximum(ops.cast(bandwidth, "float32"), 1e-6 * largest)
        ratios = ops.convert_to_tensor(self.initial_bandwidth / largest)
        self.bandwidth.assign(width * ratios)

"""What has a bandwidth that a schedule may change."""

import numpy as np
from keras import ops


def bandwidth_weight(layer, name, value):
    """A weight of a layer that schedules change and training does not.

    Args:
        layer: the Keras layer that owns it.
        name: string.
        value: float, or a sequence of them, to start from.
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
    """Mixin of drifts and energies, whose bandwidth a schedule may change."""

    @property
    def bandwidth(self):
        """The variable that a schedule may change, or `None`."""
        return None

    @property
    def initial_bandwidth(self):
        """The value the variable was made with: a NumPy array, or `None`."""
        return None

    def anneal(self, bandwidth):
        """Sets the bandwidth; several keep their ratios, the largest is set.

        Args:
            bandwidth: float or scalar tensor > 0, also inside compiled code.
                A schedule that runs down to 0 stops at a millionth of the
                initial bandwidth, where the field would vanish.
        """
        if self.bandwidth is None:
            raise ValueError(
                f"`{type(self).__name__}` has no bandwidth that a schedule "
                "could change."
            )
        largest = self.initial_bandwidth.max()
        width = ops.maximum(ops.cast(bandwidth, "float32"), 1e-6 * largest)
        self.bandwidth.assign(width * (self.initial_bandwidth / largest))

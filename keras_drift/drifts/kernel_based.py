"""What drifts that look at distances through a kernel have in common."""

import math

import keras
from keras import ops

from keras_drift import kernels
from keras_drift.drifts.drift import Drift
from keras_drift.ops import mean_cost


class KernelBased(Drift):
    """A drift whose forces are a function of distance, by a kernel or without.

    It owns the kernel, with its bandwidth, and relative distances; subclasses
    write `velocities`.

    Args:
        kernel: a `Kernel`, its name or its config; or `None`: no bandwidth.
        relative: bool, whether lengths are in units of the mean distance
            between samples and points, rather than in the units of the data.
        *args: passed to `Drift`.
        **kwargs: passed to `Drift`.
    """

    # Whether kernels of directions may be given.
    on_spheres = False

    def __init__(self, kernel, relative, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.kernel = None if kernel is None else kernels.get(kernel)
        if getattr(self.kernel, "spherical", False) and not self.on_spheres:
            raise ValueError(
                f"`{type(self).__name__}` compares points by their distance, "
                "not by their direction. Take `KernelDrift`, or a kernel of "
                f"distances. Received: kernel={type(self.kernel).__name__}"
            )
        self.relative = bool(relative)

    @property
    def bandwidth(self):
        return None if self.kernel is None else self.kernel.bandwidth

    @property
    def initial_bandwidth(self):
        return None if self.kernel is None else self.kernel.initial_bandwidth

    def length_scale(self, x, positives, negatives):
        if not self.relative:
            return super().length_scale(x, positives, negatives)
        mean = mean_cost(positives, negatives)
        # Where all points coincide, any unit will do. The mean distance over
        # all coordinates is one.
        return ops.where(mean > 0, mean, 1.0) / math.sqrt(x.shape[-1])

    def length(self, x, length_scale):
        """The length that bandwidths are multiples of."""
        return length_scale * math.sqrt(x.shape[-1]) if self.relative else 1.0

    def get_config(self):
        config = {**super().get_config(), "relative": self.relative}
        if self.kernel is not None:
            config["kernel"] = keras.saving.serialize_keras_object(self.kernel)
        return config

"""The template of drifts whose forces are functions of distance."""

import math

import keras
from keras import ops

from keras_drift import checks
from keras_drift import kernels
from keras_drift.bandwidth_owner import BandwidthPart
from keras_drift.drifts.pairwise_drift import PairwiseDrift
from keras_drift.ops.distances import COINCIDENT


class KernelBased(PairwiseDrift):
    """Template of drifts whose forces are functions of distance.

    It owns the kernel, with its bandwidth, and relative distances; subclasses
    write `velocities`.

    Args:
        kernel: a `Kernel`, its name or its config; or `None`: no bandwidth.
        relative: bool, whether lengths are in units of the mean distance
            between samples and points, rather than in the units of the data.
        *args: passed to `PairwiseDrift`.
        **kwargs: passed to `PairwiseDrift`.
    """

    # Whether spherical kernels may be given.
    on_spheres = False

    def __init__(self, kernel, relative, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.kernel = None if kernel is None else kernels.get(kernel)
        if getattr(self.kernel, "spherical", False) and not self.on_spheres:
            raise ValueError(
                f"`{type(self).__name__}` compares points by their distance, "
                "not by their direction. Use `KernelDrift`, or a kernel of "
                f"distances. Received: kernel={type(self.kernel).__name__}"
            )
        self.relative = checks.boolean("relative", relative)

    @property
    def bandwidth(self):
        return None if self.kernel is None else self.kernel.bandwidth

    @property
    def initial_bandwidth(self):
        return None if self.kernel is None else self.kernel.initial_bandwidth

    def bandwidth_parts(self):
        if self.kernel is None:
            return []
        return [
            BandwidthPart(
                self.kernel,
                self.kernel,
                self.relative,
                weights=self.bandwidth_weights,
            )
        ]

    def length_scale(self, inputs, positives, negatives):
        if not self.relative:
            return super().length_scale(inputs, positives, negatives)
        mean = self.mean_distance(inputs, positives, negatives)
        # Where all points coincide, any length scale will do. The mean distance
        # over all coordinates is one.
        mean = ops.where(mean > COINCIDENT, mean, 1.0)
        return mean / math.sqrt(inputs.x.shape[-1])

    def mean_distance(self, inputs, positives, negatives):
        """The length that relative bandwidths are multiples of."""
        return inputs.mean_cost(positives, negatives)

    def length(self, x, length_scale):
        """The length that bandwidths are multiples of."""
        return length_scale * math.sqrt(x.shape[-1]) if self.relative else 1.0

    def get_config(self):
        config = {**super().get_config(), "relative": self.relative}
        if self.kernel is not None:
            config["kernel"] = keras.saving.serialize_keras_object(self.kernel)
        return config

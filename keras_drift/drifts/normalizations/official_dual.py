"""Dual normalization as the official release computes it."""

import keras

from keras_drift.drifts.normalizations.dual import Dual
from keras_drift.ops import official_distance_sums
from keras_drift.ops import official_dual_field

_RECIPE = {
    "relative": True,
    "unit_rms": True,
    "self_interaction": "excluded",
    "guidance_mode": "distribution",
    "block_size": None,
}


@keras.saving.register_keras_serializable("keras_drift.normalizations")
class OfficialDual(Dual):
    """`Dual` as the release of the paper computes it, to rounding.

    Choose it to continue from checkpoints of the release, and `Dual` for
    everything else. The release floors affinities, lengths and mean squares,
    counts self-pairs in the mean distance, and multiplies by weights outside of
    the softmaxes, so that a finite point of weight zero still takes part in
    them, and a sample of weight zero moves like the others.
    It needs relative distances, unit fields, excluded self-interaction and a
    kernel of distances, and keeps all pairs in memory.

    Example:

    >>> from keras_drift import drifts
    >>> drift = drifts.KernelDrift(normalization="official_dual")
    >>> drift.normalization
    OfficialDual()

    Reference:

    - [Deng et al., 2026](https://arxiv.org/abs/2602.04770)
    """

    takes_segments = True
    keeps_absent = True
    mean_square_floor = 1e-8
    length_scale_floor = 1e-3

    def __init__(self):
        super().__init__()

    def validate(self, drift):
        received = {name: getattr(drift, name) for name in _RECIPE}
        if received != _RECIPE or drift.kernel.spherical:
            raise ValueError(
                "`OfficialDual` stands for the whole recipe of the release: "
                f"{_listed(_RECIPE)}, and a kernel of distances. "
                f"Received: {_listed(received)}, kernel={drift.kernel}"
            )

    def mean_distance(self, inputs, positives, negatives):
        total, mass = official_distance_sums(
            positives.x, positives.cloud, negatives.cloud
        )
        total, mass = inputs.mean(total), inputs.mean(mass)
        return inputs.per_group(inputs.ratio_of_means([total], mass)[0])

    def velocities(self, kernel, length, positives, negatives):
        return official_dual_field(
            kernel.log_kernels(),
            positives.x,
            positives.cloud,
            negatives.cloud,
            length,
        )

    def get_config(self):
        return {}


def _listed(options):
    return ", ".join(f"{name}={value!r}" for name, value in options.items())

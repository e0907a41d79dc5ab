"""The template of drifts that compare samples with points pair by pair."""

from keras_drift import checks
from keras_drift.drifts.velocity_drift import VelocityDrift
from keras_drift.ops import Pairs
from keras_drift.ops import pairwise_distances


class PairwiseDrift(VelocityDrift):
    """Template of drifts that compare samples with points pair by pair.

    Subclass it to write a drift of your own: `velocities` is all that it must
    have, with the reductions of `keras_drift.ops` over `Pairs`. Write `cost` if
    pairs are compared by anything but their distance, and `length_scale` if
    lengths are relative.

    Args:
        self_interaction: which negatives a sample has if none are given, see
            `VelocityDrift`. Defaults to `"excluded"`.
        unit_rms: bool, whether the field of each bandwidth is scaled to a root
            mean square of 1 per coordinate, in units of its length scale, and
            the fields are then added. Otherwise they are averaged. Defaults to
            `False`.
        block_size: int, or two: how many samples and how many points are
            compared at once. Memory grows with it, results do not change.
            Defaults to `None`: chosen from the shapes.
        **kwargs: passed to `VelocityDrift`, such as `guidance_mode`.

    Call arguments:
        x: float tensor `(n, d)` or `(groups, n, d)`, the samples to move.
        positives: float tensor `(m, d)` or `(groups, m, d)`, the data.
        **options: see `Drift`.

    Returns:
        The velocity of each sample, shaped like `x`, float32.

    Example:

    >>> from keras_drift import drifts, ops
    >>> class MeanShift(drifts.PairwiseDrift):
    ...     def velocities(self, x, positives, negatives, length_scale):
    ...         log_kernel = lambda distance: -distance
    ...         return ops.row_field([log_kernel], positives, negatives)
    >>> x, data = np.array([[0.0], [1.0]]), np.array([[3.0], [3.0]])
    >>> keras.ops.convert_to_numpy(MeanShift()(x, data)).tolist()
    [[2.0], [3.0]]
    """

    def __init__(
        self,
        self_interaction="excluded",
        unit_rms=False,
        block_size=None,
        **kwargs,
    ):
        super().__init__(self_interaction, unit_rms, **kwargs)
        self.block_size = checks.block_size(block_size)

    def cost(self, x, y):
        """Computes what pairs are compared by; the origin is their center.

        Args:
            x: float32 tensor `(groups, a, d)`.
            y: float32 tensor `(groups, b, d)`.

        Returns:
            float32 tensor `(groups, a, b)`. Defaults to the Euclidean distance.
        """
        return pairwise_distances(x, y, centered=True)

    def interaction(self, x, cloud):
        """The `keras_drift.ops.Pairs` of the samples with a `PointCloud`."""
        # All points are around the origin.
        cloud = cloud.masked_at_origin()
        return Pairs(x, cloud, self.cost, self.block_size)

    def get_config(self):
        return {**super().get_config(), "block_size": self.block_size}

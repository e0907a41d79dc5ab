"""The kernel drift with local bandwidths."""

import keras
from keras import ops

from keras_drift import checks
from keras_drift.drifts.field_inputs import FAR_AWAY
from keras_drift.drifts.kernel_drift import KernelDrift
from keras_drift.kernels import Gaussian
from keras_drift.ops import Pairs
from keras_drift.ops import neighbor_radii

# The radius of a ball of coincident points is zero; no bandwidth is.
_SMALLEST_RADIUS = 1e-12
# In float32 exponents that are larger in number lose their differences.
_SMALLEST_RATIO = 1e-6
_BANDWIDTHS = (4.0, 0.5)


@keras.saving.register_keras_serializable("keras_drift")
class SelfTuningDrift(KernelDrift):
    """Kernel drift with local bandwidths: multiples of neighbor distances.

    Choose it where no bandwidth is known, where the density of the data varies,
    or where distances have no meaningful scale, as in the features of a
    network. There is nothing to plan or to anneal: far from the data bandwidths
    are wide, and they shrink as the samples approach the data.

    The radius `s(x)` of a sample is that of the smallest ball around it that
    holds at least `num_neighbors` positives and as many negatives. In the
    kernel, distances are in units of this radius: `k(r / (bandwidth * s(x)))`.
    Gradients treat radii as constants.

    Both sides count alike, so exchanging positives and negatives reverses the
    field. With as many independent negatives as positives
    (`self_interaction="independent"`) the expected velocity is therefore
    exactly zero where both have one distribution; a radius among the positives
    alone would contract the samples. The field moves with the points, and
    scales with them: it has no length of its own.

    A radius follows the nearest neighbors only, so a single narrow bandwidth
    does not move mass between distant modes, and loses some of them. Adding a
    wider one avoids this.

    Args:
        kernel: a `Kernel` of distances, its name or its config. Its bandwidths
            are multiples of the radii, so `"auto"` is refused. Defaults to
            `None`: `Gaussian([4.0, 0.5])`, of which the wide one keeps the
            modes and the narrow one sharpens them.
        num_neighbors: int >= 1, positives and negatives in the ball. Few give
            fine detail and a noisy field. A weight `c` above 1 counts `c`
            times, zero as absent, and a smaller one as a whole point. A side of
            fewer points counts with the farthest of them. Defaults to `8`.
        symmetric: bool, whether the unit of a pair is the geometric mean of the
            radii of both of its points, as in self-tuning spectral clustering:
            with a `Gaussian(2**-0.5)` that is `exp(-r**2 / (s(x) s(y)))`.
            Otherwise it is the radius of the sample (k-nearest-neighbor
            kernel). The radii of all points are six comparisons of clouds
            rather than two. A point is the first of its own neighbors, and no
            radius of a point is below a millionth of the largest in its group.
            Defaults to `False`.
        **kwargs: passed to `KernelDrift`, such as `normalization` or
            `self_interaction`. Radii take the place of the unit of bandwidths,
            so `relative` determines only whether the loss, and the fields of
            `unit_rms`, are measured in units of the mean distance. Refused are
            spherical kernels, the `"official_dual"` normalization, outer
            smoothing, and `signal_share`, as the radii of half a cloud differ.

    Call arguments:
        x: float tensor `(n, d)` or `(groups, n, d)`, the samples to move.
        positives: float tensor `(m, d)` or `(groups, m, d)`, the data.
        **options: see `KernelDrift`. With `guidance_mode="velocity"` each of
            the two fields has radii of its own.

    Returns:
        The velocity of each sample, shaped like `x`, float32.

    Example:

    >>> from keras_drift import drifts
    >>> drift = drifts.SelfTuningDrift(num_neighbors=2)
    >>> x = np.array([[0.0], [1.0], [3.0]])
    >>> data = np.array([[2.0], [4.0], [5.0]])
    >>> velocity = keras.ops.convert_to_numpy(drift(x, data))
    >>> scaled = keras.ops.convert_to_numpy(drift(256 * x, 256 * data))
    >>> bool(np.all(scaled == 256 * velocity))
    True

    Reference:

    - [Zelnik-Manor and Perona, 2004](https://papers.nips.cc/paper/2619), the
      symmetric form
    """

    on_spheres = False
    takes_segments = True

    def __init__(self, kernel=None, num_neighbors=8, symmetric=False, **kwargs):
        super().__init__(
            Gaussian(_BANDWIDTHS) if kernel is None else kernel, **kwargs
        )
        self.num_neighbors = checks.positive_integer(
            "num_neighbors", num_neighbors
        )
        self.symmetric = checks.boolean("symmetric", symmetric)
        if self.kernel.needs_adapt:
            raise ValueError(
                "Bandwidths are multiples of neighbor radii here, which data "
                "need not set. Give the kernel numbers, such as 1.0. "
                f"Received: kernel={type(self.kernel).__name__}('auto')"
            )
        if self.normalization.keeps_absent or getattr(
            self.normalization, "outer_smoothing", None
        ):
            raise ValueError(
                "The official recipe and outer smoothing have one bandwidth "
                "for all samples. Use `KernelDrift`, or another normalization."
                f" Received: normalization={self.normalization}"
            )

    @property
    def bandwidth_unit(self):
        return "neighbor radius"

    def bandwidth_parts(self):
        return []  # data cannot set multiples

    @property
    def measures_signal(self):
        return False

    def _check_measures_signal(self):
        if self.needs_signal:
            raise ValueError(
                "The share of signal is measured with half of the points, "
                "whose neighbor radii are others. Use `KernelDrift` with it. "
                f"Received: drift={type(self).__name__}, signal_share=True"
            )

    def in_bandwidth_units(self, x, positives, negatives, length_scale):
        del x, length_scale  # of the loss
        sides = positives, negatives
        radii = self._radii(sides)[..., None]
        if not self.symmetric:
            return 1.0, *(pairs.in_units_of(radii) for pairs in sides)
        roots, of_points = ops.sqrt(radii), self._radii_of_points(sides)
        return 1.0, *(
            pairs.in_units_of(roots, ops.sqrt(of_side))
            for pairs, of_side in zip(sides, of_points, strict=True)
        )

    def _radii(self, sides):
        """The radii `(groups, n)` of balls with enough points of each side."""
        of_each = [neighbor_radii(pairs, self.num_neighbors) for pairs in sides]
        radii = ops.maximum(*of_each)
        # No kernel of an absent sample reaches anything, however large its
        # ball, see `FieldInputs.with_absent_samples_far_away`.
        radii = ops.where(radii > 0.1 * FAR_AWAY, 0.0, radii)
        radii = ops.maximum(radii, _SMALLEST_RADIUS)
        return ops.stop_gradient(radii)

    def _radii_of_points(self, sides):
        """The radii of the points of each side, `(groups, m)`."""
        # So that two copies of a point are one of weight two.
        clouds = [side.cloud._replace(contains_samples=False) for side in sides]
        found = []
        for pairs in sides:
            points = ops.stop_gradient(pairs.points)
            found.append(
                self._radii(
                    [
                        Pairs(points, cloud, self.cost, self.block_size)
                        for cloud in clouds
                    ]
                )
            )
        largest = ops.maximum(
            *(ops.max(radii, axis=-1, keepdims=True) for radii in found)
        )
        return [
            ops.maximum(radii, _SMALLEST_RATIO * largest) for radii in found
        ]

    def get_config(self):
        return {
            **super().get_config(),
            "num_neighbors": self.num_neighbors,
            "symmetric": self.symmetric,
        }

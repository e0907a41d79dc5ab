"""The Sinkhorn drift."""

import keras
from keras import ops

from keras_drift import checks
from keras_drift.bandwidth_owner import BandwidthOwner
from keras_drift.bandwidth_owner import BandwidthPart
from keras_drift.drifts.pairwise_drift import PairwiseDrift
from keras_drift.ops import in_units_of
from keras_drift.ops import sinkhorn
from keras_drift.ops.transport_costs import TRANSPORT_COSTS


@keras.saving.register_keras_serializable("keras_drift")
class SinkhornDrift(BandwidthOwner, PairwiseDrift):
    """Moves samples along the entropic optimal transport to the positives.

    `V = T_qp - T_qq`, the difference of two barycentric projections: that of
    the entropic transport plan between the samples and the positives, and that
    of the plan between the samples and the negatives, which removes the
    entropic bias. As every positive has to receive its mass, none is left out,
    however far it is: the drift to choose when others lose modes or stall far
    from the data. It costs `2 num_steps` passes over the pairs where a
    `KernelDrift` costs one.

    With the squared cost, all samples as negatives and many steps, `V` is the
    gradient flow of the Sinkhorn divergence. A small `blur` approaches the
    optimal assignment, a large one moves all samples by the mean of the
    positives minus that of the negatives.

    Args:
        blur: float > 0, or a sequence of them for several fields: the length
            over which the entropy blurs the transport. The regularization of
            the transport problem is `epsilon = blur**p`, in the units of the
            cost, with `p = 2` for the cost `"squared"` and `p = 1` for
            `"distance"`, as in geomloss. It is the `bandwidth` of this drift,
            which schedules may change during training. Smaller ones need more
            steps. Or `"auto"`: to be set by `adapt(data)`. Defaults to `0.22`:
            for the squared cost, an epsilon of about 0.05.
        cost: the cost of transporting a sample: `"squared"`, half of the
            squared distance, or `"distance"`. Defaults to `"squared"`.
        num_steps: int >= 0, Sinkhorn iterations, each over all samples and all
            points; the samples are normalized once more at the end, so that
            each is mapped to a mean of points even if the iterations have not
            converged, which training does not need. With 0 steps it is the
            `KernelDrift` of the kernel `exp(-cost / epsilon)`. Defaults to
            `10`.
        tolerance: float > 0: iterations end once the points receive their
            masses up to this share of all mass, from 0 to 2, or after
            `num_steps`. PyTorch on an accelerator saves no time by it, as it
            would have to wait for the result. Defaults to `None`: always
            `num_steps`.
        relative: bool, whether `blur` is in units of the root mean square
            distance between samples and points (cost `"squared"`) or of their
            mean distance (cost `"distance"`), rather than in those of the data.
            Defaults to `False`.
        self_interaction: which negatives there are if none are given:
            `"independent"`, an independent batch that must be given
            (`DriftModel` generates one); `"excluded"`, all samples but itself;
            `"included"`, all samples. Only the first is unbiased; the others
            shrink the generated distribution, the last one strongly. Defaults
            to `"independent"`.
        unit_rms: bool, whether the field of each `blur` is scaled to a root
            mean square of 1 per coordinate, in units of its length scale, and
            the fields are then added. Otherwise they are averaged. Defaults to
            `False`.
        block_size: int, or two: how many samples and how many points are
            compared at once. Memory grows with it, results do not change.
            Defaults to `None`: chosen from the shapes.
        **kwargs: passed to `PairwiseDrift`, such as `guidance_mode`.

    Call arguments:
        x: float tensor `(n, d)` or `(groups, n, d)`, the samples to move.
        positives: float tensor `(m, d)` or `(groups, m, d)`, the data.
        negatives: optional float tensor `(k, d)` or `(groups, k, d)`, samples
            of the model. Defaults to `x` itself, see `self_interaction`.
        unconditional: optional float tensor `(u, d)` or `(groups, u, d)`, data
            of all conditions, repulsive as well, for guidance: points of the
            same transport as the negatives.
        positive_weights: optional float tensor `(m,)` or `(groups, m)`, >= 0:
            the mass a point receives, as a share of their sum. An integer
            weight `c` counts a point `c` times, zero as absent.
        negative_weights: the same for the negatives.
        unconditional_weights: the same for the unconditional points.

    Returns:
        The velocity of each sample, shaped like `x`, float32. A single sample
        without negatives is moved by the transport to the positives only.

    Example:

    >>> from keras_drift import drifts
    >>> drift = drifts.SinkhornDrift(blur=0.3, self_interaction="included")
    >>> x, data = np.array([[0.0], [4.0]]), np.array([[5.0], [1.0]])
    >>> velocity = drift(x, data)  # each has a positive of its own
    >>> keras.ops.convert_to_numpy(velocity).round(3).tolist()
    [[1.0], [1.0]]

    Reference:

    - [He et al., 2026](https://arxiv.org/abs/2603.12366)
    - [Han et al., 2026](https://arxiv.org/abs/2605.11755), an independent batch
    - [Feydy et al., 2019](https://arxiv.org/abs/1810.08278), the divergence
    """

    takes_segments = True

    def __init__(
        self,
        blur=0.22,
        cost="squared",
        num_steps=10,
        tolerance=None,
        relative=False,
        self_interaction="independent",
        unit_rms=False,
        block_size=None,
        **kwargs,
    ):
        super().__init__(self_interaction, unit_rms, block_size, **kwargs)
        self.transport_cost = checks.choice(
            "cost", cost, tuple(TRANSPORT_COSTS)
        )
        self.num_steps = checks.non_negative_integer("num_steps", num_steps)
        if tolerance is not None:
            checks.positive_number("tolerance", tolerance)
            if not self.num_steps:
                raise ValueError(
                    "A tolerance ends iterations, so there must be some: "
                    "num_steps >= 1. Received: num_steps=0, "
                    f"tolerance={tolerance!r}"
                )
        self.tolerance = tolerance
        self.relative = checks.boolean("relative", relative)
        self._add_bandwidth(
            "blur",
            blur,
            lambda value: checks.positive_numbers("blur", value, "is a length"),
        )

    @property
    def blur(self):
        """The variable that schedules set, the `bandwidth` of this drift."""
        return self.bandwidth

    def bandwidth_parts(self):
        cost = TRANSPORT_COSTS[self.transport_cost]
        return [BandwidthPart(self, cost.kernel, self.relative, cost.power)]

    def cost(self, x, y):
        return TRANSPORT_COSTS[self.transport_cost].between(x, y)

    def length_scale(self, inputs, positives, negatives):
        if not self.relative:
            return super().length_scale(inputs, positives, negatives)
        mean = inputs.mean_cost(positives, negatives)
        # Where all points coincide, any length scale will do.
        mean = ops.where(mean > 0, mean, 1.0)
        dim = inputs.x.shape[-1]
        if self.transport_cost == "squared":  # half of the mean square distance
            return ops.sqrt(2 * mean / dim)
        return mean / dim**0.5

    def velocities(self, x, positives, negatives, length_scale):
        length = length_scale * x.shape[-1] ** 0.5 if self.relative else 1.0
        power = TRANSPORT_COSTS[self.transport_cost].power
        unit, positives, negatives = in_units_of(
            length**power, positives, negatives
        )
        epsilons = ops.reshape(self.blur, (-1,)) ** power * unit
        return [
            self._means(positives, epsilons[k])
            - self._means(negatives, epsilons[k])
            for k in range(self.initial_bandwidth.size)
        ]

    def _means(self, pairs, epsilon):
        """The barycentric projection of the transport plan to the points."""
        # With self-pairs absent, the symmetric update converges more slowly.
        cloud = pairs.cloud
        itself = cloud.points is pairs.x and cloud.weights is None
        plan = sinkhorn(
            pairs,
            epsilon,
            self.num_steps,
            symmetric=itself and not cloud.contains_samples,
            tolerance=self.tolerance,
        )
        return plan.means()

    def get_config(self):
        return {
            **super().get_config(),
            **self._config_of_bandwidth(),
            "cost": self.transport_cost,
            "num_steps": self.num_steps,
            "tolerance": self.tolerance,
            "relative": self.relative,
        }

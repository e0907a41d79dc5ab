"""The Sinkhorn drift."""

import keras
import numpy as np
from keras import ops

from keras_drift import checks
from keras_drift.annealable import bandwidth_weight
from keras_drift.drifts.drift import Drift
from keras_drift.ops import half_squared_distances
from keras_drift.ops import mean_cost
from keras_drift.ops import pairwise_distances
from keras_drift.ops import sinkhorn

_COSTS = {"squared": half_squared_distances, "distance": pairwise_distances}


@keras.saving.register_keras_serializable("keras_drift")
class SinkhornDrift(Drift):
    """Moves samples along the best transport to the positives.

    Each sample is sent to where the entropic optimal transport between the
    samples and the positives takes it on average, less where the transport to
    the negatives takes it, which undoes the blur: `V = T_qp - T_qq`. As every
    positive has to receive its share, none is left out, however far it is: the
    drift to choose when others lose modes or stall far from the data. It costs
    `2 num_steps` passes over the pairs where a `KernelDrift` costs one.

    With the squared cost, all samples as negatives and many steps, `V` is the
    flow of the Sinkhorn divergence. A small `epsilon` approaches the optimal
    assignment, a large one moves all samples by the mean of the positives minus
    that of the negatives.

    Args:
        epsilon: float > 0, or a sequence of them for several fields, in the
            units of the cost: the entropy blurs the transport over a cost of
            about `epsilon`. The `bandwidth` of this drift, which schedules may
            change during training. Smaller ones need more steps. Defaults to
            `0.05`.
        cost: what it costs to transport a sample: `"squared"`, half of the
            squared distance, or `"distance"`. Defaults to `"squared"`.
        num_steps: int >= 0, Sinkhorn's iterations, each over all samples and
            all points; the samples are normalized once more at the end, so that
            each goes to a mean of points even if the iterations have not
            converged, which training does not need. With 0 steps it is the
            `KernelDrift` of the kernel `exp(-cost / epsilon)`. Defaults to
            `10`.
        tolerance: float > 0: iterations end once the points receive their
            masses up to this share of all mass, from 0 to 2. Never more than
            `num_steps`. PyTorch on an accelerator saves no time by it, as it
            would have to wait for the answer. Defaults to `None`: always
            `num_steps`.
        relative: bool, whether `epsilon` is in units of the mean cost between
            samples and points, rather than in those of the data. Defaults to
            `False`.
        self_interaction: who the negatives are if none are given:
            `"independent"`, an independent batch that must be given
            (`DriftModel` generates one); `"excluded"`, all samples but itself;
            `"included"`, all samples. Only the first is without bias; the
            others shrink the generated distribution, the last one much.
            Defaults to `"independent"`.
        unit_rms: bool, whether the field of each `epsilon` is scaled to a root
            mean square of 1 per coordinate, in its unit of length, and the
            fields are then added. Otherwise they are averaged. Defaults to
            `False`.
        block_size: int, or two: how many samples and how many points are
            compared at once. Memory grows with it, results do not change.
            Defaults to `None`: chosen from the shapes.
        **kwargs: passed to `Drift`, such as `guidance_mode`.

    Call arguments:
        x: float tensor `(n, d)` or `(groups, n, d)`, the samples to move.
        positives: float tensor `(m, d)` or `(groups, m, d)`, the data.
        negatives: optional float tensor `(k, d)` or `(groups, k, d)`, samples
            of the model. Defaults to `x` itself, see `self_interaction`.
        unconditional: optional float tensor `(u, d)` or `(groups, u, d)`, data
            of all conditions that repels as well, for guidance: points of the
            same transport as the negatives.
        positive_weights: optional float tensor `(m,)` or `(groups, m)`, >= 0:
            the mass a point receives, as a share of their sum. An integer
            weight `c` counts a point `c` times, zero as absent.
        negative_weights: the same for the negatives.
        unconditional_weights: the same for the unconditional points.

    Returns:
        The velocity of each sample, shaped like `x`, float32. A lone sample
        without negatives feels the positives only.

    Example:

    >>> from keras_drift import drifts
    >>> drift = drifts.SinkhornDrift(epsilon=0.1, self_interaction="included")
    >>> x, data = np.array([[0.0], [4.0]]), np.array([[5.0], [1.0]])
    >>> velocity = drift(x, data)  # each has a positive of its own
    >>> keras.ops.convert_to_numpy(velocity).round(3).tolist()
    [[1.0], [1.0]]

    Reference:

    - [He et al., 2026](https://arxiv.org/abs/2603.12366)
    - [Han et al., 2026](https://arxiv.org/abs/2605.11755), an independent batch
    - [Feydy et al., 2019](https://arxiv.org/abs/1810.08278), the divergence
    """

    def __init__(
        self,
        epsilon=0.05,
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
        self.transport_cost = checks.choice("cost", cost, tuple(_COSTS))
        self.num_steps = checks.non_negative_integer("num_steps", num_steps)
        if tolerance is not None:
            checks.positive_number("tolerance", tolerance)
        self.tolerance = tolerance
        self.relative = bool(relative)
        self._config_epsilon = checks.positive_numbers(
            "epsilon", epsilon, "is a cost"
        )
        self.epsilon = bandwidth_weight(self, "epsilon", self._config_epsilon)

    @property
    def bandwidth(self):
        return self.epsilon

    @property
    def initial_bandwidth(self):
        return np.asarray(self._config_epsilon, "float32")

    def cost(self, x, y):
        return _COSTS[self.transport_cost](x, y, centered=True)

    def length_scale(self, x, positives, negatives):
        if not self.relative:
            return ops.ones((), "float32")
        mean = mean_cost(positives, negatives)
        # Where all points coincide, any unit will do.
        mean = ops.where(mean > 0, mean, 1.0)
        if self.transport_cost == "squared":
            return ops.sqrt(2 * mean / x.shape[-1])
        return mean / x.shape[-1] ** 0.5

    def velocities(self, x, positives, negatives, length_scale):
        mean = 1.0
        if self.relative and self.transport_cost == "squared":
            mean = ops.square(length_scale) * (0.5 * x.shape[-1])
        elif self.relative:
            mean = length_scale * x.shape[-1] ** 0.5
        epsilons = ops.reshape(self.epsilon, (-1,)) * mean
        return [
            self._means(positives, epsilons[k])
            - self._means(negatives, epsilons[k])
            for k in range(self.initial_bandwidth.size)
        ]

    def _means(self, pairs, epsilon):
        """Where the transport to the points sends each sample on average."""
        # With self-pairs absent, the symmetric update would be the slower one.
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
            "epsilon": self._config_epsilon,
            "cost": self.transport_cost,
            "num_steps": self.num_steps,
            "tolerance": self.tolerance,
            "relative": self.relative,
        }

"""Entropic optimal transport between samples and points."""

from typing import Any
from typing import NamedTuple

from keras import ops

from keras_drift import backend
from keras_drift import checks
from keras_drift.ops.pairs import Pairs
from keras_drift.ops.reductions import log_sum_over_points
from keras_drift.ops.reductions import log_sum_over_samples
from keras_drift.ops.reductions import weighted_sums


class SinkhornPlan(NamedTuple):
    """An entropic transport plan, kept as its two potentials.

    The plan moves the share `exp((f_i + g_j - C_ij) / epsilon) w_j / (n W)`
    from sample `i` to point `j`, with the costs `C` and the weights `w` of the
    pairs, `n` samples and the total weight `W` of the points.

    Attributes:
        pairs: `Pairs`, with their costs.
        epsilon: float, the strength of the entropy, in the units of the cost.
        sample_potential: float tensor `(groups, n)`, `f`.
        point_potential: float tensor `(groups, m)`, `g`.
    """

    pairs: Pairs
    epsilon: Any
    sample_potential: Any
    point_potential: Any

    def means(self):
        """Where the plan sends each sample on average: `(groups, n, d)`.

        A sample stays where it is if no point of its group has any weight.
        """
        ((sums, mass),) = weighted_sums(
            self.pairs,
            [lambda cost: -cost / self.epsilon],
            [self.sample_potential / self.epsilon],
            [self.point_potential / self.epsilon],
        )
        mass = mass[..., None]
        means = sums / ops.where(mass == 0, 1.0, mass)
        return ops.where(mass == 0, self.pairs.x, means)


def sinkhorn(pairs, epsilon, num_steps=100):
    """Transport plan of samples to points by Sinkhorn's iterations, in logs.

    Every sample holds the same mass, every point a mass in proportion to its
    weight. Each step costs two passes over the pairs; none of them is stored.

    Args:
        pairs: `Pairs`, with the cost of the transport, such as
            `half_squared_distances`.
        epsilon: float or scalar tensor > 0, in the units of the cost: the
            entropy blurs the plan over a cost of about `epsilon`. Smaller ones
            need more steps.
        num_steps: int >= 1. Defaults to `100`.

    Returns:
        A `SinkhornPlan`. The samples give away all of their mass exactly; what
        the points receive is right up to convergence.

    Example:

    >>> from keras_drift import ops
    >>> x, y = np.array([[[0.0], [1.0]]]), np.array([[[7.0], [5.0]]])
    >>> x, y = (keras.ops.cast(v, "float32") for v in (x, y))
    >>> pairs = ops.Pairs(x, ops.Cloud(y), ops.half_squared_distances)
    >>> means = ops.sinkhorn(pairs, epsilon=0.1).means()
    >>> keras.ops.convert_to_numpy(means).round().tolist()
    [[[5.0], [7.0]]]

    Reference:

    - [Cuturi, 2013](https://arxiv.org/abs/1306.0895)
    - [Feydy et al., 2019](https://arxiv.org/abs/1810.08278), in logarithms
    """
    checks.positive_integer("num_steps", num_steps)
    if checks.is_number(epsilon):
        checks.positive_number("epsilon", epsilon)

    def score(cost):
        return -cost / epsilon

    weights = pairs.cloud.dense_weights()
    total = ops.sum(weights, axis=1, keepdims=True)
    log_total = ops.log(ops.where(total == 0, 1.0, total))
    log_n = ops.log(ops.cast(ops.shape(pairs.x)[1], "float32"))

    def sample_potential(point_potential):
        logs = log_sum_over_points(pairs, score, point_potential / epsilon)
        return epsilon * (log_total - logs)

    def step(point_potential, _):
        rows = sample_potential(point_potential) / epsilon
        logs = log_sum_over_samples(pairs, score, rows)
        return epsilon * (log_n - logs), ()

    start = ops.zeros_like(weights)
    point_potential, _ = backend.scan(step, start, ops.arange(num_steps))
    return SinkhornPlan(
        pairs, epsilon, sample_potential(point_potential), point_potential
    )

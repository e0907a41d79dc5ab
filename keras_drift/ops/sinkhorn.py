"""Entropic optimal transport between samples and points."""

from typing import Any
from typing import NamedTuple

from keras import ops

from keras_drift import backend
from keras_drift import checks
from keras_drift.ops.log_kernel import LogKernel
from keras_drift.ops.means import barycenters
from keras_drift.ops.pairs import Pairs
from keras_drift.ops.reductions import log_sum_over_points
from keras_drift.ops.reductions import log_sums


class SinkhornPlan(NamedTuple):
    """An entropic transport plan, represented by the potential of the points.

    The plan moves the mass `exp((f_i + g_j - C_ij) / epsilon) w_j / (n W)` from
    sample `i` to point `j`, with the costs `C` and the weights `w` of the
    pairs, `n` samples and the total weight `W` of the points. The potential `f`
    of the samples follows from `g` by the marginal constraint of the samples.

    Attributes:
        pairs: `Pairs`, with their costs.
        epsilon: float, the strength of the entropy, in the units of the cost.
        point_potential: float tensor `(groups, m)`, `g`.
    """

    pairs: Pairs
    epsilon: Any
    point_potential: Any

    @property
    def log_kernel(self):
        """`-cost / epsilon`, an `ops.LogKernel`."""
        return _log_kernel(self.epsilon)

    @property
    def sample_potential(self):
        """`f`, float tensor `(groups, n)`: one pass over the pairs."""
        logs = log_sum_over_points(
            self.pairs,
            self.log_kernel,
            self.point_potential / self.epsilon,
        )
        return self.epsilon * (_log_total(self.pairs) - logs)

    def means(self):
        """Barycentric projection of the plan: `(groups, n, d)`.

        A convex combination of the points, converged or not. A sample stays
        where it is if no point of its group has any weight.
        """
        ((means, log_mass),) = barycenters(
            self.pairs,
            [self.log_kernel],
            [self.point_potential / self.epsilon],
        )
        empty = log_mass[..., None] == float("-inf")
        return ops.where(empty, self.pairs.x, means)

    def value(self):
        """The entropic transport cost of each group: `(groups,)`.

        `sum_ij P_ij C_ij + epsilon KL(P | product of the marginals)` of the
        converged plan `P`, by its dual, the mean of the potentials, which
        approaches it from below. 0 for a group without points.
        """
        weights = self.pairs.cloud.dense_weights()
        total = ops.sum(weights, axis=1)
        by_point = weights * _finite(self.point_potential)
        received = ops.sum(by_point, axis=1) / ops.where(total == 0, 1.0, total)
        return ops.mean(_finite(self.sample_potential), axis=1) + received


def sinkhorn(
    pairs, epsilon, num_steps=100, symmetric=False, tolerance=None, start=None
):
    """Entropic transport plan by Sinkhorn's algorithm in log space.

    Every sample holds the same mass, every point a mass in proportion to its
    weight. Each step costs two passes over the pairs; none of them is stored.

    Args:
        pairs: `Pairs`, with the cost of the transport, such as
            `half_squared_distances`.
        epsilon: float or scalar tensor > 0, in the units of the cost: the
            entropy blurs the plan over a cost of about `epsilon`. Smaller ones
            need more steps.
        num_steps: int >= 0, each of which ends by satisfying the marginal of
            the points. 0 leaves the kernel `exp(-cost / epsilon)`, with rows
            that sum to one. Defaults to `100`.
        symmetric: bool, whether the points are the samples, which then hold the
            masses of the points: both share one potential, which is averaged
            with its update. That takes one pass a step and, unless self-pairs
            are absent, far fewer steps. Defaults to `False`.
        tolerance: float > 0: iterations of a group stop once the error of the
            marginal of the points, in total variation from 0 to 2, is below
            it; once all groups have stopped, further steps are skipped. PyTorch
            on an accelerator computes them nevertheless, to avoid a
            synchronization. Defaults to `None`: all steps are taken.
        start: float tensor `(groups, m)`, a point potential to start from, such
            as that of a plan between similar clouds. Defaults to `None`: zeros.

    Returns:
        A `SinkhornPlan`. The marginal of the samples is exact, that of the
        points up to convergence.

    Example:

    >>> from keras_drift import ops
    >>> x, y = np.array([[[0.0], [1.0]]]), np.array([[[7.0], [5.0]]])
    >>> x, y = (keras.ops.cast(v, "float32") for v in (x, y))
    >>> pairs = ops.Pairs(x, ops.PointCloud(y), ops.half_squared_distances)
    >>> means = ops.sinkhorn(pairs, epsilon=0.1).means()
    >>> keras.ops.convert_to_numpy(means).round().tolist()
    [[[5.0], [7.0]]]

    Reference:

    - [Cuturi, 2013](https://arxiv.org/abs/1306.0895)
    - [Feydy et al., 2019](https://arxiv.org/abs/1810.08278), in logarithms, and
      the symmetric update
    """
    checks.non_negative_integer("num_steps", num_steps)
    if checks.is_number(epsilon):
        checks.positive_number("epsilon", epsilon)
    if tolerance is not None:
        checks.positive_number("tolerance", tolerance)
    weights = pairs.cloud.dense_weights()
    if symmetric and pairs.cloud.weights is not None:
        pairs = pairs.of(pairs.points)  # as samples, too, the absent are masked
    if start is None:
        start = ops.zeros_like(weights)
    if num_steps == 0:
        return SinkhornPlan(pairs, epsilon, start)
    over_points, over_samples = log_sums(pairs, _log_kernel(epsilon))
    log_n = ops.log(ops.cast(ops.shape(pairs.x)[1], "float32"))
    log_total = _log_total(pairs)

    def update(potential):
        """The next potential, and the one that satisfies the marginal."""
        rows = log_total - over_points(potential / epsilon)
        if symmetric:
            rows = epsilon * rows
            return 0.5 * (potential + rows), rows
        columns = epsilon * (log_n - over_samples(rows))
        return columns, columns

    def step(index, state, _):
        del index
        return (update(state[0])[0],), ()

    def step_or_rest(index, state, _):
        del index

        def unsettled(state):
            potential, settled = state
            after, right = update(potential)
            # The relative excess of the mass that a point receives.
            excess = ops.abs(ops.expm1(_finite((potential - right) / epsilon)))
            error = ops.sum(ops.where(weights > 0, weights * excess, 0.0), 1)
            near = error <= tolerance * ops.sum(weights, axis=1)
            settled = ops.logical_or(settled, near)
            return ops.where(settled[:, None], potential, after), settled

        return backend.unless(ops.all(state[1]), unsettled, state), ()

    if tolerance is None:
        state, function = (start,), step
    else:
        state, function = (start, start[:, 0] != start[:, 0]), step_or_rest
    state, _ = backend.scan(
        function, state, ops.arange(num_steps, dtype="int32")
    )
    return SinkhornPlan(pairs, epsilon, state[0])


def _log_kernel(epsilon):
    rate = 1.0 / epsilon
    return LogKernel(
        "gibbs", "value", (), rate, lambda rate, cost: cost * -rate
    )


def _log_total(pairs):
    """Logarithm of the total weight of the points: `(groups, 1)`, or 0."""
    total = ops.sum(pairs.cloud.dense_weights(), axis=1, keepdims=True)
    return ops.log(ops.where(total == 0, 1.0, total))


def _finite(potential):
    """0 for potentials of points without mass, which are infinite."""
    return ops.where(ops.isfinite(potential), potential, 0.0)

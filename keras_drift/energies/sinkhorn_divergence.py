"""The Sinkhorn divergence."""

import functools

import keras
import numpy as np
from keras import ops

from keras_drift import checks
from keras_drift.annealable import bandwidth_weight
from keras_drift.energies.energy import Energy
from keras_drift.ops import Pairs
from keras_drift.ops import PointCloud
from keras_drift.ops import half_squared_distances
from keras_drift.ops import pairwise_distances
from keras_drift.ops import sinkhorn

_COSTS = {
    "squared": functools.partial(half_squared_distances, centered=True),
    "distance": functools.partial(pairwise_distances, centered=True),
}


@keras.saving.register_keras_serializable("keras_drift.energies")
class SinkhornDivergence(Energy):
    """Entropic optimal transport cost without its bias.

    `S(x, y) = OT(x, y) - OT(x, x) / 2 - OT(y, y) / 2`, where
    `OT = <plan, cost> + epsilon KL(plan | product of the marginals)`. It sees
    far modes and missing mass, which a kernel of one bandwidth does not:
    choose it where samples start far from the data, or classes are uneven.

    Args:
        epsilon: float > 0, the strength of the entropy, in the units of the
            cost: transport is blurred over a cost of about `epsilon`. It is the
            bandwidth that schedules may change. Small ones need many steps.
            Defaults to `0.1`.
        cost: `"squared"`, half the squared distance, or `"distance"`. Defaults
            to `"squared"`.
        num_steps: int >= 1, steps of Sinkhorn's algorithm. The gradient is that
            of converged plans. Defaults to `100`.
        **kwargs: passed to `keras.layers.Layer`.

    Call arguments:
        x: float tensor `(n, d)` or `(groups, n, d)`, the samples.
        positives: float tensor `(m, d)` or `(groups, m, d)`, the data.
        positive_weights: optional float tensor `(m,)` or `(groups, m)`, >= 0.

    Returns:
        float32 tensor, a scalar or `(groups,)`, in the units of the cost. With
        `"squared"`, the velocity in the limit of a large `epsilon` is one full
        step; that of a small one leads to the point transport assigns.

    Example:

    >>> from keras_drift import energies
    >>> energy = energies.SinkhornDivergence(epsilon=0.01)
    >>> x = np.array([[0.0], [1.0]])
    >>> round(float(energy(x, x + 2)), 3)  # 2**2 / 2
    2.0

    Reference:

    - [Feydy et al., 2019](https://arxiv.org/abs/1810.08278)
    - [Han et al., 2026](https://arxiv.org/abs/2605.11755)
    """

    def __init__(self, epsilon=0.1, cost="squared", num_steps=100, **kwargs):
        super().__init__(**kwargs)
        self._config_epsilon = checks.positive_number("epsilon", epsilon)
        self.cost = checks.choice("cost", cost, tuple(_COSTS))
        self.num_steps = checks.positive_integer("num_steps", num_steps)
        self.epsilon = bandwidth_weight(self, "epsilon", self._config_epsilon)

    @property
    def bandwidth(self):
        return self.epsilon

    @property
    def initial_bandwidth(self):
        return np.asarray(self._config_epsilon, "float32")

    def value(self, x, positives):
        shares = positives.dense_weights()
        shares = shares / ops.sum(shares, axis=-1, keepdims=True)
        plan = self._plan(x, positives)
        of_samples = (
            plan.sample_potential
            - self._own_plan(PointCloud(x)).point_potential
        )
        of_points = (
            plan.point_potential - self._own_plan(positives).point_potential
        )
        return ops.mean(of_samples, axis=-1) + ops.sum(
            shares * of_points, axis=-1
        )

    def first_variation(self, x, positives):
        # By the envelope theorem converged potentials are as good as fixed. One
        # last step extends them to the samples, wherever these move.
        fixed = ops.stop_gradient(x)
        plans = self._plan(fixed, positives), self._own_plan(PointCloud(fixed))
        near, here = (
            plan._replace(pairs=plan.pairs.of(x)).sample_potential
            for plan in plans
        )
        return near - here

    def get_config(self):
        return {
            **super().get_config(),
            "epsilon": self._config_epsilon,
            "cost": self.cost,
            "num_steps": self.num_steps,
        }

    def _plan(self, x, cloud, symmetric=False):
        pairs = Pairs(x, cloud, _COSTS[self.cost])
        epsilon = ops.convert_to_tensor(self.epsilon)
        return sinkhorn(pairs, epsilon, self.num_steps, symmetric)

    def _own_plan(self, cloud):
        return self._plan(cloud.points, cloud, symmetric=True)

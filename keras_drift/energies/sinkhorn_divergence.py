"""The Sinkhorn divergence."""

import keras
from keras import ops

from keras_drift import checks
from keras_drift.bandwidth_owner import BandwidthOwner
from keras_drift.bandwidth_owner import BandwidthPart
from keras_drift.energies.energy import Energy
from keras_drift.ops import Pairs
from keras_drift.ops import PointCloud
from keras_drift.ops import sinkhorn
from keras_drift.ops.transport_costs import TRANSPORT_COSTS


@keras.saving.register_keras_serializable("keras_drift.energies")
class SinkhornDivergence(BandwidthOwner, Energy):
    """Sinkhorn divergence: entropic optimal transport without its bias.

    `S(x, y) = OT(x, y) - OT(x, x) / 2 - OT(y, y) / 2`, where
    `OT = <plan, cost> + epsilon KL(plan | product of the marginals)`. It is
    sensitive to distant modes and missing mass, unlike a kernel of a single
    bandwidth: choose it where samples start far from the data, or classes are
    imbalanced.

    Args:
        blur: float > 0, the length over which the entropy blurs the transport,
            in the units of the samples, as in geomloss: `epsilon` is `blur**2`
            with the squared cost and `blur` with the distance. It is the
            bandwidth that schedules may change. Small ones need many steps. Or
            `"auto"`: to be set by `adapt(data)` of the drift. Defaults to
            `0.3`.
        cost: `"squared"`, half the squared distance, or `"distance"`. Defaults
            to `"squared"`.
        num_steps: int >= 1, Sinkhorn iterations. The gradient is that of
            converged plans. Defaults to `100`.
        **kwargs: passed to `keras.layers.Layer`.

    Call arguments:
        x: float tensor `(n, d)` or `(groups, n, d)`, the samples.
        positives: float tensor `(m, d)` or `(groups, m, d)`, the data.
        positive_weights: optional float tensor `(m,)` or `(groups, m)`, >= 0.

    Returns:
        float32 tensor, a scalar or `(groups,)`, in the units of the cost. With
        `"squared"`, the velocity in the limit of a large `blur` is one full
        step to the mean; that of a small one leads to the assigned data point.

    Example:

    >>> from keras_drift import energies
    >>> energy = energies.SinkhornDivergence(blur=0.1)
    >>> x = np.array([[0.0], [1.0]])
    >>> round(float(energy(x, x + 2)), 3)  # 2**2 / 2
    2.0

    Reference:

    - [Feydy et al., 2019](https://arxiv.org/abs/1810.08278)
    - [geomloss](https://www.kernel-operations.io/geomloss), whose `SamplesLoss`
      has the same `blur`
    - [Han et al., 2026](https://arxiv.org/abs/2605.11755)
    """

    def __init__(self, blur=0.3, cost="squared", num_steps=100, **kwargs):
        super().__init__(**kwargs)
        self.cost = checks.choice("cost", cost, tuple(TRANSPORT_COSTS))
        self.num_steps = checks.positive_integer("num_steps", num_steps)
        self._add_bandwidth(
            "blur", blur, lambda value: checks.positive_number("blur", value)
        )

    @property
    def blur(self):
        """The variable that schedules set, the `bandwidth`."""
        return self.bandwidth

    def bandwidth_parts(self):
        return [BandwidthPart(self, TRANSPORT_COSTS[self.cost].kernel)]

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
            **self._config_of_bandwidth(),
            "cost": self.cost,
            "num_steps": self.num_steps,
        }

    def _plan(self, x, cloud, symmetric=False):
        cost = TRANSPORT_COSTS[self.cost]
        pairs = Pairs(x, cloud, cost.between)
        epsilon = ops.convert_to_tensor(self.blur) ** cost.power
        return sinkhorn(pairs, epsilon, self.num_steps, symmetric)

    def _own_plan(self, cloud):
        return self._plan(cloud.points, cloud, symmetric=True)

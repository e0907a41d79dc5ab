"""f-divergences of smoothed distributions."""

import functools

import keras
from keras import ops

from keras_drift import checks
from keras_drift.bandwidth_owner import BandwidthOwner
from keras_drift.bandwidth_owner import BandwidthPart
from keras_drift.energies.energy import Energy
from keras_drift.ops import LogKernel
from keras_drift.ops import Pairs
from keras_drift.ops import PointCloud
from keras_drift.ops import f_divergence
from keras_drift.ops import gaussian_nodes
from keras_drift.ops import half_squared_distances
from keras_drift.ops import log_sum_over_points
from keras_drift.ops.divergences import LARGEST_EXPONENT


@keras.saving.register_keras_serializable("keras_drift.energies")
class SmoothedFDivergence(BandwidthOwner, Energy):
    """f-divergence of samples and data, both smoothed by a Gaussian.

    `F[q] = bandwidth**2 * E_p[f(q/p)]` for the smoothed densities `q` of the
    samples and `p` of the data. The velocities of all divergences are along the
    difference of the scores; they differ by the weight `w(r)`, a function of
    the density ratio `r = q/p`.

    Args:
        divergence: a name, a float alpha or a dict of shares, see
            `ops.f_divergence`: `"kl_qp"`, `w = 1`, plain drifting; `"kl_pq"`,
            `w = 1/r`, which is large where data lack samples and so covers all
            modes; `"chi2"`, `w = r`, which is large where there are too many
            samples; `"hellinger"`, `"neyman"`; `"jensen_shannon"`, whose `w` is
            bounded. Defaults to `"kl_qp"`.
        bandwidth: float > 0, the standard deviation of the smoothing, in the
            units of the samples. Schedules may change it. Or `"auto"`: to be
            set by `adapt(data)` of the drift. Defaults to `1.0`.
        num_nodes: int >= 1, quadrature nodes of the Gaussian around each
            sample: see `ops.gaussian_nodes`. Time and memory grow with it. A
            single node evaluates the field at the sample itself, as a
            `KernelDrift` does. Defaults to `16`.
        seed: int, of the nodes beyond two dimensions. Defaults to `0`.
        **kwargs: passed to `keras.layers.Layer`.

    Call arguments:
        x: float tensor `(n, d)` or `(groups, n, d)`, the samples.
        positives: float tensor `(m, d)` or `(groups, m, d)`, the data.
        positive_weights: optional float tensor `(m,)` or `(groups, m)`, >= 0.

    Returns:
        float32 tensor, a scalar or `(groups,)`, in squared units of length. It
        is an average over nodes around samples and data; its gradient averages
        the exact velocity over the nodes of a sample, and is zero where samples
        and data agree, however few the nodes are.

    Example:

    >>> from keras_drift import energies
    >>> energy = energies.SmoothedFDivergence("jensen_shannon")
    >>> x = np.array([[0.0], [1.0]])
    >>> float(energy(x, x))
    0.0
    >>> round(float(energy(x, x + 100)), 4)  # log(2), its largest value
    0.6931

    Reference:

    - [Cao et al., 2026](https://arxiv.org/abs/2603.10592)
    """

    def __init__(
        self, divergence="kl_qp", bandwidth=1.0, num_nodes=16, seed=0, **kwargs
    ):
        super().__init__(**kwargs)
        self._divergence = f_divergence(divergence)
        self._config_divergence = divergence
        self.num_nodes = checks.positive_integer("num_nodes", num_nodes)
        self.seed = checks.non_negative_integer("seed", seed)
        self._add_bandwidth(
            "bandwidth",
            bandwidth,
            lambda value: checks.positive_number("bandwidth", value),
        )

    def bandwidth_parts(self):
        return [BandwidthPart(self, "gaussian")]

    def value(self, x, positives):
        def around(centers):
            log_ratios, weights = self._log_ratios(centers, x, positives)
            parts = self._divergence.integrand(log_ratios)
            return ops.sum(weights * parts, axis=-1)

        # Importance sampling from the mean of both densities.
        masses = positives.dense_weights()
        masses = masses / ops.sum(masses, axis=-1, keepdims=True)
        of_data = ops.sum(around(positives.points) * masses, axis=-1)
        of_samples = ops.mean(around(x), axis=-1)
        return ops.square(self.bandwidth) * (of_samples + of_data)

    def first_variation(self, x, positives):
        fixed = ops.stop_gradient(x)
        log_ratios, weights = self._log_ratios(x, fixed, positives)
        # The gradient of f'(r), without the overflow that f' itself may have.
        slope = self._divergence.log_weight(ops.stop_gradient(log_ratios))
        slope = ops.exp(ops.minimum(slope, LARGEST_EXPONENT))
        variation = ops.sum(weights * slope * log_ratios, axis=-1)
        return ops.square(self.bandwidth) * variation

    def get_config(self):
        return {
            **super().get_config(),
            "divergence": self._config_divergence,
            **self._config_of_bandwidth(),
            "num_nodes": self.num_nodes,
            "seed": self.seed,
        }

    def _log_ratios(self, centers, x, positives):
        """`log(q/p)` at nodes around points, `(groups, n, k)`; weights."""
        nodes, weights = gaussian_nodes(self.num_nodes, x.shape[-1], self.seed)
        width = ops.convert_to_tensor(self.bandwidth)
        at = centers[:, :, None, :] + width * ops.cast(nodes, "float32")
        shape = ops.shape(at)
        at = ops.reshape(at, (shape[0], -1, x.shape[-1]))
        ratios = self._log_density(at, PointCloud(x)) - self._log_density(
            at, positives
        )
        ratios = ops.reshape(ratios, (shape[0], -1, len(weights)))
        return ratios, ops.cast(weights, "float32")

    def _log_density(self, at, cloud):
        """Log-density up to a constant, which cancels in a ratio."""
        rate = 1 / ops.square(self.bandwidth)
        cost = functools.partial(half_squared_distances, centered=True)
        pairs = Pairs(at, cloud, cost)
        weights = cloud.dense_weights()
        logs = log_sum_over_points(
            pairs,
            LogKernel(
                "gibbs", "value", (), rate, lambda rate, cost: cost * -rate
            ),
            ops.zeros_like(weights),
        )
        return logs - ops.log(ops.sum(weights, axis=-1, keepdims=True))

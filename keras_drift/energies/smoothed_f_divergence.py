"""f-divergences of smoothed distributions."""

import functools
import math

import keras
import numpy as np
from keras import ops

from keras_drift import checks
from keras_drift.energies.energy import Energy
from keras_drift.ops import Cloud
from keras_drift.ops import Pairs
from keras_drift.ops import gaussian_nodes
from keras_drift.ops import half_squared_distances
from keras_drift.ops import log_sum_over_points

# The power of the density ratio that weighs the velocity, plus 1, and a factor.
_ALPHAS = {
    "kl_qp": (1.0, 1.0),
    "kl_pq": (0.0, 1.0),
    "chi2": (2.0, 1.0),
    "hellinger": (0.5, 0.5),
    "neyman": (-1.0, 1.0),
}
_NAMES = (*_ALPHAS, "jensen_shannon")
# Beyond, an exponential overflows float32.
_LARGEST_EXPONENT = 60.0


@keras.saving.register_keras_serializable("keras_drift.energies")
class SmoothedFDivergence(Energy):
    """f-divergence of samples and data, both blurred by a Gaussian.

    `F[q] = bandwidth**2 * E_p[f(q/p)]` for the blurred densities `q` of the
    samples and `p` of the data. All divergences pull along the same field,
    the difference of the scores; they differ in where they pull hard, by the
    weight `w(r)` with `r = q/p`.

    Args:
        divergence: str, or a float `alpha` for `w = r**(alpha - 1)`:
            `"kl_qp"`, `w = 1`, plain drifting; `"kl_pq"`, `w = 1/r`, which
            pulls hard where data lack samples and so covers all modes;
            `"chi2"`, `w = r`, which pulls hard where there are too many;
            `"hellinger"`, `w = 1 / (2 sqrt(r))`; `"neyman"`, `w = 1 / r**2`;
            `"jensen_shannon"`, `w = 1 / (2 + 2 r)`, bounded from above.
            `alpha` 1, 0, 2 and -1 are four of these.
        bandwidth: float > 0, the standard deviation of the blur, in the units
            of the samples. Schedules may change it. Defaults to `1.0`.
        num_nodes: int >= 1, how many points stand for the Gaussian around each
            sample: see `ops.gaussian_nodes`. Time and memory grow with it.
            One takes the field at the sample itself, as a `KernelDrift` does.
            Defaults to `16`.
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
        if not checks.is_number(divergence):
            checks.choice("divergence", divergence, _NAMES)
        elif not math.isfinite(divergence):
            raise ValueError(
                "`divergence` is a name or a finite number. "
                f"Received: divergence={divergence!r}"
            )
        self.divergence = divergence
        self._config_bandwidth = checks.positive_number("bandwidth", bandwidth)
        self.num_nodes = checks.positive_integer("num_nodes", num_nodes)
        self.seed = seed
        self._bandwidth = self.add_weight(
            name="bandwidth",
            shape=(),
            initializer=keras.initializers.Constant(bandwidth),
            trainable=False,
        )

    @property
    def bandwidth(self):
        return self._bandwidth

    @property
    def initial_bandwidth(self):
        return np.asarray(self._config_bandwidth, "float32")

    def value(self, x, positives):
        # Half of the nodes lie where the samples are, half where the data are:
        # f / (1 + r) is then bounded wherever a divergence can be.
        masses = positives.dense_weights()
        masses = masses / ops.sum(masses, axis=-1, keepdims=True)
        around_x, weights = self._log_ratios(x, x, positives)
        around_data, _ = self._log_ratios(positives.points, x, positives)
        of_samples = ops.mean(
            ops.sum(self._integrand(around_x) * weights, axis=-1), axis=-1
        )
        of_data = ops.sum(
            ops.sum(self._integrand(around_data) * weights, axis=-1) * masses,
            axis=-1,
        )
        return self._scale() * (of_samples + of_data)

    def first_variation(self, x, positives):
        fixed = ops.stop_gradient(x)
        log_ratios, weights = self._log_ratios(x, fixed, positives)
        # The gradient of f'(r), without the overflow that f' itself may have.
        slope = ops.stop_gradient(self._slope(log_ratios))
        return self._scale() * ops.sum(weights * slope * log_ratios, axis=-1)

    def get_config(self):
        return {
            **super().get_config(),
            "divergence": self.divergence,
            "bandwidth": self._config_bandwidth,
            "num_nodes": self.num_nodes,
            "seed": self.seed,
        }

    def _log_ratios(self, centres, x, positives):
        """`log(q/p)` at nodes around points, `(groups, n, k)`; weights."""
        nodes, weights = gaussian_nodes(self.num_nodes, x.shape[-1], self.seed)
        width = ops.convert_to_tensor(self.bandwidth)
        places = centres[:, :, None, :] + width * ops.cast(nodes, "float32")
        shape = ops.shape(places)
        places = ops.reshape(places, (shape[0], -1, x.shape[-1]))
        ratios = self._log_density(places, Cloud(x)) - self._log_density(
            places, positives
        )
        ratios = ops.reshape(ratios, (shape[0], -1, len(weights)))
        return ratios, ops.cast(weights, "float32")

    def _log_density(self, places, cloud):
        """Up to a constant, which cancels in a ratio."""
        rate = -1 / ops.square(self.bandwidth)
        cost = functools.partial(half_squared_distances, centred=True)
        pairs = Pairs(places, cloud, cost)
        weights = cloud.dense_weights()
        logs = log_sum_over_points(
            pairs, lambda cost: rate * cost, ops.zeros_like(weights)
        )
        return logs - ops.log(ops.sum(weights, axis=-1, keepdims=True))

    def _scale(self):
        factor = _ALPHAS.get(self.divergence, (None, 1.0))[1]
        return factor * ops.square(self.bandwidth)

    def _alpha(self):
        return _ALPHAS.get(self.divergence, (self.divergence,))[0]

    def _slope(self, log_ratio):
        """`r f''(r)`, the weight of the velocity."""
        if self.divergence == "jensen_shannon":
            return 0.5 * ops.sigmoid(-log_ratio)
        return _exp((self._alpha() - 1) * log_ratio)

    def _integrand(self, log_ratio):
        """`f(r) / (1 + r)`, with the `f` that is zero and flat at 1."""
        # The shares of q and of p in their mixture.
        of_q, of_p = ops.sigmoid(log_ratio), ops.sigmoid(-log_ratio)
        if self.divergence == "jensen_shannon":
            entropy = of_q * ops.softplus(-log_ratio)
            entropy = entropy + of_p * ops.softplus(log_ratio)
            return 0.5 * (math.log(2) - entropy)
        alpha = self._alpha()
        if alpha == 1:
            return of_q * (log_ratio - 1) + of_p
        if alpha == 0:
            return of_p * (-log_ratio - 1) + of_q
        power = _exp(alpha * log_ratio - ops.softplus(log_ratio))
        total = power - alpha * of_q + (alpha - 1) * of_p
        return total / (alpha * (alpha - 1))


def _exp(exponent):
    return ops.exp(ops.minimum(exponent, _LARGEST_EXPONENT))

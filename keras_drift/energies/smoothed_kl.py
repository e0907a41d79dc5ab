"""Smoothed KL divergence, whose gradient flow Gaussian drifting discretizes."""

import keras

from keras_drift.energies.smoothed_f_divergence import SmoothedFDivergence


@keras.saving.register_keras_serializable("keras_drift.energies")
class SmoothedKL(SmoothedFDivergence):
    """Kullback-Leibler divergence of Gaussian-smoothed samples and data.

    `F[q] = bandwidth**2 * KL(q || p)` for the smoothed densities of samples and
    data: the energy that a `KernelDrift` with a Gaussian kernel descends. The
    exact velocity is that drift averaged over a Gaussian around each sample; a
    single node gives the drift itself, with self-interaction included.

    Args:
        bandwidth: float > 0, the standard deviation of the smoothing, in the
            units of the samples. Schedules may change it. Or `"auto"`: to be
            set by `adapt(data)` of the drift. Defaults to `1.0`.
        num_nodes: int >= 1, quadrature nodes of the Gaussian around each
            sample: see `ops.gaussian_nodes`. Defaults to `16`.
        seed: int, of the nodes beyond two dimensions. Defaults to `0`.
        **kwargs: passed to `keras.layers.Layer`.

    Call arguments:
        x: float tensor `(n, d)` or `(groups, n, d)`, the samples.
        positives: float tensor `(m, d)` or `(groups, m, d)`, the data.
        positive_weights: optional float tensor `(m,)` or `(groups, m)`, >= 0.

    Returns:
        float32 tensor, a scalar or `(groups,)`, in squared units of length. The
        velocity in the limit of a large bandwidth is one full step.

    Example:

    >>> from keras_drift import energies
    >>> energy = energies.SmoothedKL(bandwidth=2.0)
    >>> x, data = np.array([[0.0]]), np.array([[3.0]])  # N(0, 4) and N(3, 4)
    >>> round(float(energy(x, data)), 3)  # 3**2 / 2
    4.5

    Reference:

    - [Turan et al., 2026](https://arxiv.org/abs/2603.09936)
    """

    def __init__(self, bandwidth=1.0, num_nodes=16, seed=0, **kwargs):
        super().__init__("kl_qp", bandwidth, num_nodes, seed, **kwargs)

    def get_config(self):
        config = super().get_config()
        del config["divergence"]  # fixed
        return config

"""Learning of the bandwidth during `fit`."""

import keras

from keras_drift.callbacks.attach import require_drift_model
from keras_drift.training import bandwidth_schedule
from keras_drift.training.bandwidth_descent import BandwidthDescent


class LearnedBandwidth(keras.callbacks.Callback):
    """Learns the bandwidth of a `KernelDrift` during one `fit`.

    In every training step the logarithm of the bandwidth takes one step of
    gradient descent on the temperature loss

    `L = - mean_groups max_i log sum_{j in positives} softmax_j(log k_ij)`,

    where the softmax is over the positives and negatives of sample `i`, and
    `k_ij` is the kernel: how likely a neighbor of the best sample of a group is
    a positive. With a `Laplacian` that is the published loss. The step is taken
    after the field is computed, inside the compiled training step; the
    generator and its optimizer take no part in it. The bandwidth appears in the
    logs, and is the only state: a resumed run continues with it.

    Choose it for many small groups, such as one positive for each condition:
    for one positive and 16 samples of the spirals the minimum is at a bandwidth
    of about 0.2. In large groups the loss is degenerate, since one of many
    samples always has a positive as its nearest neighbor: for 1,024 of each
    it is 0.69 at a bandwidth of 10, 0.35 at 0.1 and 0.0002 at 0.01, and nearly
    the same for samples blurred by 0.1. In training (three toys, batches of
    1,024, 1,500 steps from a bandwidth of 1) it fell below 0.02 within 400
    steps and on to 0.006 to 0.01: nearly the field of the nearest points.
    Samples were as crisp as the data, but the masses of the modes were wrong
    and some modes of 25 Gaussians lost. Without classes prefer
    `spectral.plan_training`.

    The softmax over both sides is for the loss only. As a field,
    `w_0 (y - x) - sum_k w_k (z_k - x)` has `1 - 2 w_0` as the coefficient of
    `x`, so that samples diverge where the positives have less than half of the
    mass. In the row and dual fields of `KernelDrift` that coefficient is 0.

    Args:
        learning_rate: float > 0. The gradient is clipped to 1, so that a step
            changes the bandwidth by a factor of `exp(learning_rate)` at most.
            Defaults to `0.3`.
        smallest: float > 0, a lower bound of the largest bandwidth, in the
            units of the drift. Several bandwidths keep their ratios. Defaults
            to `1e-3`, as published for relative distances.

    Example:

    >>> import keras_drift as kd
    >>> model = kd.DriftModel(kd.generators.MLP(output_dim=2), seed=0)
    >>> model.compile("adam")
    >>> history = model.fit(
    ...     kd.datasets.two_moons(512, seed=0),
    ...     epochs=2,
    ...     verbose=0,
    ...     callbacks=[kd.callbacks.LearnedBandwidth(0.1)],
    ... )
    >>> [width > 0 for width in history.history["bandwidth"]]
    [True, True]

    Reference:

    - [Kyutai, 2026](https://github.com/kyutai-labs/pocket-tts), Pocket TTS
    """

    def __init__(self, learning_rate=0.3, smallest=1e-3):
        super().__init__()
        self._descent = BandwidthDescent(learning_rate, smallest)

    def set_model(self, model):
        require_drift_model(self, model)
        super().set_model(model)
        bandwidth_schedule.check_learnable(model.drift)
        if not model.stop_gradient:
            raise ValueError(
                "The bandwidth is learned between steps of a regression: its "
                "targets must be constants, as with `stop_gradient=True`. "
                "Received: a model with stop_gradient=False"
            )
        bandwidth_schedule.attach(self._descent, model)

"""The drift of an energy."""

import keras
from keras import ops

from keras_drift import backend
from keras_drift import energies
from keras_drift.drifts.drift import Drift


@keras.saving.register_keras_serializable("keras_drift")
class VariationalDrift(Drift):
    """Moves samples down an energy, as steeply as it falls.

    The velocity of sample `i` of `n` is `-n dF/dx_i`, the Wasserstein gradient
    flow of the energy `F`, by the backend's own automatic differentiation. It
    makes a drift of any functional that can be differentiated. Where a drift of
    its own exists, that one is faster and takes negatives; choose this one for
    the exact gradient, for an energy of your own, and to polish a trained
    generator (`energies.FrechetDistance`).

    Args:
        energy: an `energies.Energy`, its name or its config. Its bandwidth, if
            it has one, is that of the drift.
        unit_rms: bool, whether the field is scaled to a root mean square of 1
            per coordinate. Defaults to `False`.
        **kwargs: passed to `Drift`, such as `guidance_mode`.

    Call arguments:
        x: float tensor `(n, d)` or `(groups, n, d)`, the samples to move.
        positives: float tensor `(m, d)` or `(groups, m, d)`, the data.
        positive_weights: optional float tensor `(m,)` or `(groups, m)`, >= 0.
            An integer weight `c` counts a point `c` times, zero as absent.

    Returns:
        The velocity of each sample, shaped like `x`, float32. Every group feels
        its own energy only; without any data it rests.

    Raises:
        ValueError: if negatives or unconditional data are given. An energy is
            one of the samples themselves.

    Example:

    >>> from keras_drift import drifts, energies
    >>> drift = drifts.VariationalDrift(energies.MMD("negative_distance"))
    >>> velocity = drift(np.array([[0.0, 0.0]]), np.array([[0.0, 8.0]]))
    >>> keras.ops.convert_to_numpy(velocity).tolist()
    [[0.0, 1.0]]

    Reference:

    - [Cao et al., 2026](https://arxiv.org/abs/2603.10592)
    """

    # An energy's gradient holds still what does not change it to first order.
    differentiable = False

    def __init__(self, energy, unit_rms=False, **kwargs):
        super().__init__("included", unit_rms, **kwargs)
        self.energy = energies.get(energy)

    @property
    def bandwidth(self):
        return self.energy.bandwidth

    @property
    def initial_bandwidth(self):
        return self.energy.initial_bandwidth

    def get_config(self):
        config = super().get_config()
        for fixed in ("self_interaction", "block_size"):
            del config[fixed]
        energy = keras.saving.serialize_keras_object(self.energy)
        return {**config, "energy": energy}

    def _raw_fields(self, given, weights, own, scale):
        refused = (
            ["negatives"]
            if self.guidance_mode == "velocity"
            else ["negatives", "unconditional"]
        )
        for name in refused:
            if name in given:
                raise ValueError(
                    "An energy compares the samples with the positives only: a "
                    f"`VariationalDrift` takes no `{name}`. Use a `KernelDrift`"
                    " for them, or guidance_mode='velocity' for unconditional "
                    "data. "
                    f"Received: {name}.shape={tuple(given[name].shape)}"
                )
        velocity = self._descent(given, weights, "positives")
        if scale is not None:
            other = self._descent(given, weights, "unconditional")
            velocity = velocity + (scale - 1.0) * (velocity - other)
        return ops.ones((), "float32"), [velocity]

    def _descent(self, given, weights, toward):
        """The velocity down the energy toward a set of data."""
        x = given["x"]

        def total(x):
            # The groups do not feel each other, so neither do the terms.
            return ops.sum(
                self.energy.potential(x, given[toward], weights.get(toward))
            )

        return -ops.cast(ops.shape(x)[1], "float32") * backend.gradient(
            total, x
        )

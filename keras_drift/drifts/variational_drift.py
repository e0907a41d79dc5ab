"""The drift along the gradient flow of an energy."""

import keras
from keras import ops

from keras_drift import backend
from keras_drift import energies
from keras_drift.drifts.velocity_drift import VelocityDrift


@keras.saving.register_keras_serializable("keras_drift")
class VariationalDrift(VelocityDrift):
    """Moves samples along the Wasserstein gradient flow of an energy.

    The velocity of sample `i` of `n` is `-n dF/dx_i` for the energy `F`, by the
    backend's own automatic differentiation. It turns any differentiable
    functional into a drift. Where a dedicated drift exists, that one is faster
    and takes negatives; choose this one for the exact gradient, for an energy
    of your own, and to fine-tune a trained generator
    (`energies.FrechetDistance`).

    Args:
        energy: an `energies.Energy`, its name or its config. Its bandwidth, if
            it has one, is that of the drift.
        unit_rms: bool, whether the field is scaled to a root mean square of 1
            per coordinate. Defaults to `False`.
        guidance_mode: the role of unconditional data: an energy takes them with
            `"velocity"` only, see `VelocityDrift`. Defaults to
            `"distribution"`: no guidance.
        **kwargs: passed to `keras.layers.Layer`.

    Call arguments:
        x: float tensor `(n, d)` or `(groups, n, d)`, the samples to move.
        positives: float tensor `(m, d)` or `(groups, m, d)`, the data.
        positive_weights: optional float tensor `(m,)` or `(groups, m)`, >= 0.
            An integer weight `c` counts a point `c` times, zero as absent.

    Returns:
        The velocity of each sample, shaped like `x`, float32. Each group has an
        energy of its own; without any data its velocity is zero.

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

    # Energies stop gradients where they do not change the first derivative.
    differentiable = False
    takes_negatives = False

    def __init__(
        self, energy, unit_rms=False, guidance_mode="distribution", **kwargs
    ):
        super().__init__("included", unit_rms, guidance_mode, **kwargs)
        self.energy = energies.get(energy)

    @property
    def bandwidth(self):
        return self.energy.bandwidth

    @property
    def initial_bandwidth(self):
        return self.energy.initial_bandwidth

    def bandwidth_parts(self):
        return self.energy.bandwidth_parts()

    def get_config(self):
        config = super().get_config()
        del config["self_interaction"]  # fixed
        energy = keras.saving.serialize_keras_object(self.energy)
        return {**config, "energy": energy}

    def raw_fields(self, inputs):
        self._refuse_negatives(inputs)
        # The energy chooses the origin: encoders and directions have their own.
        velocity = self._descent(inputs.x, inputs.positives)
        if inputs.guidance_scale is not None:
            other = self._descent(inputs.x, inputs.unconditional)
            guide = velocity - other
            velocity = velocity + (inputs.guidance_scale - 1.0) * guide
        return ops.ones((), "float32"), [velocity]

    def _refuse_negatives(self, inputs):
        refused = {}
        if inputs.negatives_given:
            refused["negatives"] = inputs.negatives.points
        if inputs.unconditional is not None and inputs.guidance_scale is None:
            refused["unconditional"] = inputs.unconditional.points
        if inputs.negatives.weights is not None:
            refused["negative_weights"] = inputs.negatives.weights
        for name, value in refused.items():
            raise ValueError(
                "An energy compares the samples with the positives only: a "
                f"`VariationalDrift` takes no `{name}`. Use a `KernelDrift`"
                " for them, or guidance_mode='velocity' for unconditional "
                f"data. Received: {name}.shape={tuple(value.shape)}"
            )

    def _descent(self, x, cloud):
        """The velocity along the negative gradient of the energy."""

        def total(x):
            # Groups do not interact, so neither do the terms.
            return ops.sum(
                self.energy.potential(x, cloud.points, cloud.weights)
            )

        num_samples = ops.cast(ops.shape(x)[1], "float32")
        return -num_samples * backend.gradient(total, x)

"""Multilayer perceptron as a generator of vectors."""

import keras
from keras import layers
from keras import ops

from keras_drift import checks
from keras_drift.generators.condition_embedding import ConditionEmbedding
from keras_drift.generators.generator import Generator
from keras_drift.generators.generator import condition_inputs
from keras_drift.global_policy import global_policy


@keras.saving.register_keras_serializable("keras_drift")
class MLP(Generator):
    """Generator of vectors: a stack of dense layers.

    For points in a few dimensions, tables and features. For images, use `DiT`.

    Args:
        output_dim: int >= 1, the dimension of a sample.
        noise_dim: int >= 1, the dimension of the Gaussian noise. Defaults to
            `None`: that of a sample, but at least 8, because a map from few
            noise dimensions has to fold them.
        hidden_dims: ints >= 1, the width of each hidden layer. Defaults to
            `(256, 256, 256)`.
        activation: any activation that Keras accepts. Defaults to `"silu"`.
        num_classes: int or `None`. With classes, samples are conditional on a
            label and a guidance scale. Defaults to `None`.
        num_codes: int >= 0, at most `noise_dim`: how many binary codes a sample
            is given beside its noise, the signs of its first coordinates. A
            continuous network maps connected noise to connected samples, with
            spurious samples between modes; with codes their support has up to
            `2**num_codes` components. Six are recommended for data with
            clusters, holes or thin curves; the samples are then not a
            continuous function of the noise. Defaults to `0`.
        dtype: the dtype policy of the layers, such as `"mixed_bfloat16"`; the
            samples are float32 whatever it is. Defaults to `None`: the global
            policy.
        **kwargs: `name` and `trainable`, as for `keras.Model`.

    Example:

    >>> from keras_drift import generators
    >>> generator = generators.MLP(output_dim=2)
    >>> generator(generator.sample_noise(5, seed=0)).shape == (5, 2)
    True
    """

    def __init__(
        self,
        output_dim,
        noise_dim=None,
        hidden_dims=(256, 256, 256),
        activation="silu",
        num_classes=None,
        num_codes=0,
        dtype=None,
        **kwargs,
    ):
        checks.positive_integer("output_dim", output_dim)
        noise_dim = max(8, output_dim) if noise_dim is None else noise_dim
        checks.positive_integer("noise_dim", noise_dim)
        checks.non_negative_integer("num_codes", num_codes)
        if num_codes > noise_dim:
            raise ValueError(
                "Codes are signs of coordinates of the noise, so there are at "
                f"most `noise_dim` of them. Received: num_codes={num_codes}, "
                f"noise_dim={noise_dim}"
            )
        if not isinstance(hidden_dims, (tuple, list)) or not hidden_dims:
            raise ValueError(
                "`hidden_dims` lists the width of each hidden layer, and there "
                f"is at least one. Received: hidden_dims={hidden_dims!r}"
            )
        for width in hidden_dims:
            checks.positive_integer("hidden_dims", width)

        # === Functional graph ===
        noise = keras.Input((noise_dim,), name="noise")
        conditions = condition_inputs(num_classes)
        with global_policy(dtype):
            x = noise
            if num_codes:
                codes = ops.sign(noise[:, :num_codes])
                x = layers.Concatenate()([x, codes])
            if num_classes is not None:
                embed = ConditionEmbedding(
                    hidden_dims[0], num_classes, name="condition_embedding"
                )
                x = layers.Concatenate()([x, embed(conditions)])
            for i, width in enumerate(hidden_dims):
                x = layers.Dense(width, activation, name=f"dense_{i}")(x)
            last = f"dense_{len(hidden_dims)}"
            outputs = layers.Dense(output_dim, dtype="float32", name=last)(x)
            super().__init__(
                {"noise": noise, **conditions}, outputs, num_classes, **kwargs
            )

        # === Config ===
        self.output_dim = output_dim
        self.noise_dim = noise_dim
        self.hidden_dims = tuple(hidden_dims)
        self.activation = activation
        self.num_codes = num_codes

    def get_config(self):
        return {
            "output_dim": self.output_dim,
            "noise_dim": self.noise_dim,
            "hidden_dims": list(self.hidden_dims),
            "activation": keras.activations.serialize(
                keras.activations.get(self.activation)
            ),
            "num_classes": self.num_classes,
            "num_codes": self.num_codes,
            **self.base_config(),
        }

"""Drifts assigned to features by name."""

import fnmatch

import keras

from keras_drift import checks
from keras_drift import drifts
from keras_drift.annealable import JointlyAnnealable
from keras_drift.spectral.bandwidth_adaptation import adapt_features


def drifts_of_features(drift):
    """The drifts of the features of a model: a list.

    Args:
        drift: that of the model, a `Drift` or `FeatureDrifts`.
    """
    return drift.drifts if isinstance(drift, FeatureDrifts) else [drift]


@keras.saving.register_keras_serializable("keras_drift")
class FeatureDrifts(JointlyAnnealable, keras.layers.Layer):
    """Assigns drifts to the features of an encoder by patterns of names.

    `DriftModel(drift={...})` creates one. Choose different drifts for features
    of different kinds, for instance wide bandwidths for coarse stages.

    Args:
        feature_drifts: dict from patterns such as `"layer4*"` to a `Drift`,
            its name or its config. The first pattern that matches the name of
            a feature decides, so put `"*"` last.
        **kwargs: passed to `keras.layers.Layer`.

    Raises:
        ValueError: if there are no drifts, or if they differ in
            `self_interaction` or `guidance_mode`: all features are compared
            with the same negatives.

    Example:

    >>> from keras_drift.training import FeatureDrifts
    >>> chosen = FeatureDrifts({"stage4*": "mmd_drift", "*": "kernel_drift"})
    >>> type(chosen.drift_of("stage4_mean")).__name__
    'MMDDrift'
    """

    def __init__(self, feature_drifts, **kwargs):
        super().__init__(**checks.in_float32(kwargs))
        if not isinstance(feature_drifts, dict) or not feature_drifts:
            raise ValueError(
                "Drifts by feature are a dict from patterns such as 'layer4*' "
                f"to drifts, at least one. Received: {feature_drifts!r}"
            )
        self.patterns = [str(pattern) for pattern in feature_drifts]
        checks.patterns_in_order("drift", self.patterns)
        self.drifts = [drifts.get(drift) for drift in feature_drifts.values()]
        checks.distinct_variables(
            "drift",
            self.drifts,
            "Create a drift, with its kernel, for each pattern; or join the "
            "patterns, as in 'layer[12]*'.",
        )
        for name in ("self_interaction", "guidance_mode"):
            choices = {getattr(drift, name) for drift in self.drifts}
            if len(choices) > 1:
                raise ValueError(
                    "All features are compared with the same negatives and "
                    f"unconditional data, so their drifts need one `{name}`. "
                    f"Received: {sorted(choices)}"
                )
        self.self_interaction = self.drifts[0].self_interaction
        self.guidance_mode = self.drifts[0].guidance_mode
        self.differentiable = all(d.differentiable for d in self.drifts)
        self.built = True

    def drift_of(self, name):
        """Returns the drift of the feature called `name`."""
        for pattern, drift in zip(self.patterns, self.drifts, strict=True):
            if fnmatch.fnmatchcase(name, pattern):
                return drift
        raise ValueError(
            f"No drift is given for the feature {name!r}. Add a last pattern "
            f"'*' for all others. Received: patterns {self.patterns}"
            f"{checks.did_you_mean(name, self.patterns)}"
        )

    def adapt(self, data, labels=None, seed=0, verbose=True):
        """Sets the bandwidths from features, see `Drift.adapt`.

        Args:
            data: dict from names of features to float arrays `(n, tokens,
                dim)`, as an encoder returns them.
            labels: int array `(n,)`, the class of each sample. Defaults to
                `None`: one class.
            seed: int, of the random subset and directions.
            verbose: bool, whether to print what was chosen and why.
        """
        if not isinstance(data, dict) or not data:
            raise TypeError(
                "Drifts by feature adapt to a dict from names of features to "
                "arrays `(n, tokens, dim)`; `DriftModel.adapt` encodes samples "
                f"for them. Received: data of type {type(data).__name__}"
            )
        adapt_features(self.drift_of, data, labels, seed, verbose)

    def get_config(self):
        serialize = keras.saving.serialize_keras_object
        return {
            **keras.layers.Layer.get_config(self),
            "feature_drifts": dict(
                zip(
                    self.patterns,
                    map(serialize, self.drifts),
                    strict=True,
                )
            ),
        }

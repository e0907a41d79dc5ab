"""The regression objective of a drifting model."""

import fnmatch

import keras
from keras import ops

from keras_drift import backend
from keras_drift import checks
from keras_drift.drifts.segments import Segments
from keras_drift.drifts.signal import Signal
from keras_drift.training import shares
from keras_drift.training.feature_drifts import FeatureDrifts
from keras_drift.training.micro_batches import common_parts
from keras_drift.training.micro_batches import in_parts
from keras_drift.training.target import Target

FIELD_SCOPES = ("global", "local")


class DriftObjective:
    """Regression of generated samples onto targets along the drift.

    Samples and data are encoded. In each feature space the target of a
    generated sample is its own feature moved one step along the drift, and the
    loss is the mean squared difference of features and targets, summed over
    the features. Each token of a feature, such as a position in an image, is
    compared with the same token of the other samples of its group.

    Args:
        encoder: an `encoders.Encoder`.
        drift: a `drifts.Drift`, or `FeatureDrifts`.
        loss_weights: dict from patterns of feature names, such as `"layer4*"`,
            to floats >= 0, the weights of the features in the loss. The first
            match decides, and features without a match have weight 1. Defaults
            to `None`: ones.
        stop_gradient: bool, whether targets are constants of the regression.
            Defaults to `True`.
        num_generated: int, generated samples per group. Defaults to `None`: as
            many as the group has positives.
        field_scope: `"global"` or `"local"`, see `DriftModel`. Defaults to
            `"global"`.
        micro_batches: int >= 1, the parts that are encoded one after another,
            see `DriftModel`. Defaults to `1`.

    Reference:

    - [Deng et al., 2026](https://arxiv.org/abs/2602.04770)
    """

    def __init__(
        self,
        encoder,
        drift,
        loss_weights=None,
        stop_gradient=True,
        num_generated=None,
        field_scope="global",
        micro_batches=1,
    ):
        self.encoder = encoder
        self.drift = drift
        self.loss_weights = checked_loss_weights(loss_weights)
        self.stop_gradient = stop_gradient
        self.num_generated = num_generated
        self.field_scope = checked_scope(field_scope)
        self.micro_batches = micro_batches

    def features(self, samples):
        """Encodes samples: a dict of features `(n, tokens, dim)`, float32."""
        return self._features(samples, self.micro_batches)

    def _features(self, samples, num_parts):
        if num_parts > 1 and not self.encoder.variables:
            num_parts = 1  # it keeps no activations
        return {
            name: ops.cast(feature, "float32")
            for name, feature in in_parts(
                self.encoder, samples, num_parts
            ).items()
        }

    def targets(self, features, batch, negatives=None, learn_bandwidth=False):
        """Computes the regression target of each feature.

        Args:
            features: dict, the features of the generated samples, each
                `(groups * generated, tokens, dim)`.
            batch: `TrainingBatch`.
            negatives: tensor `(groups * generated, *sample_shape)`, generated
                samples that replace the negatives of the batch. Defaults to
                `None`.
            learn_bandwidth: bool, whether to compute the gradients by which
                the bandwidth is learned, see `KernelDrift.bandwidth_gradient`.
                Defaults to `False`.

        Returns:
            A dict from the name of the first feature of each field to the
            `Target` of the features that share it, see `shared_fields`.
        """
        groups = ops.shape(batch.positives)[0]
        count = self._count(batch)
        point_sets = self._encoded_sets(batch, negatives, count)
        if self.stop_gradient:
            features = keras.tree.map_structure(ops.stop_gradient, features)
        point_sets = {"x": (count, features), **point_sets}
        return {
            names[0]: self._target(
                names,
                {
                    key: _side_by_side(encoded, names, groups, size)
                    for key, (size, encoded) in point_sets.items()
                },
                batch,
                count,
                features,
                learn_bandwidth,
            )
            for names in self.shared_fields(features)
        }

    def shared_fields(self, features):
        """Which features share a field: those of one dimension and one drift.

        A field costs a program of its own to trace and to compile, and a
        recipe for images has many features of few dimensions.

        Args:
            features: dict, see `targets`.

        Returns:
            A list of lists of names. Features of weight zero have no field; a
            drift that does not share fields has one for each feature.
        """
        fields = {}
        for name, feature in features.items():
            if not self.weight_of(name):
                continue
            drift = self.drift_of(name)
            shared = "" if drift.shares_fields else name
            key = id(drift), feature.shape[-1], shared
            fields.setdefault(key, []).append(name)
        if not fields:
            raise ValueError(
                "At least one feature needs a loss weight above zero. Received:"
                f" loss_weights={self.loss_weights}, for the features "
                f"{sorted(features)}"
            )
        # Features with as many tokens are reduced together. The order is not
        # that of the dict, which compiled code may change.
        return [
            sorted(names, key=lambda name: (features[name].shape[1], name))
            for names in fields.values()
        ]

    def drift_of(self, name):
        """The drift of the feature called `name`."""
        if isinstance(self.drift, FeatureDrifts):
            return self.drift.drift_of(name)
        return self.drift

    def weight_of(self, name):
        """The weight of the feature called `name` in the loss."""
        for pattern, weight in self.loss_weights.items():
            if fnmatch.fnmatchcase(name, pattern):
                return weight
        return 1.0

    def loss(self, features, targets, features_moved=True):
        """Weighted sum of the mean squared errors of all features.

        Args:
            features: dict, see `targets`.
            targets: what `targets` returned.
            features_moved: bool, whether these may be other features than those
                that the targets were computed from. If not, the errors are the
                steps along the drift, which are exact and need no further pass.
                Defaults to `True`.
        """
        total = 0.0
        for names in self.shared_fields(features):
            target = targets[names[0]]
            _, count, _ = ops.shape(target.step)
            groups = ops.shape(features[names[0]])[0] // count
            samples = _side_by_side(features, names, groups, count)
            segments = Segments(_token_counts(features, names))
            if features_moved:
                errors = samples - target.start - target.step
                errors = segments.means(ops.square(errors))
            elif self.stop_gradient:
                errors = squared_steps(samples, target.step, segments)
            else:
                errors = segments.means(ops.square(target.step))
            weights = [self.weight_of(name) for name in names]
            total += ops.sum(
                ops.convert_to_tensor(weights, "float32")
                * errors
                / ops.square(target.length_scale)
            )
        return total

    def _target(
        self, names, point_sets, batch, count, features, learn_bandwidth
    ):
        tokens = _token_counts(features, names)
        drift = self.drift_of(names[0])
        arguments = {
            **point_sets,
            "positive_weights": _repeat_for_tokens(batch.weights, sum(tokens)),
            "placement": self._placement(batch),
            "tokens": tokens if len(tokens) > 1 else None,
            **{
                key: _repeat_for_tokens(value, sum(tokens))
                for key, value in self._guidance(batch, count).items()
            },
        }
        field = drift.field(**arguments)
        norm = ops.stop_gradient(field.norm)
        signal = _signal(drift, arguments, norm, batch.measure_signal)
        gradient = None
        if learn_bandwidth:
            gradient = drift.bandwidth_gradient(**arguments)
        if arguments["placement"] == "local":
            # What is logged, and what the bandwidth follows, is one number.
            norm, signal, gradient = keras.tree.map_structure(
                lambda x: None if x is None else backend.global_mean(x),
                (norm, signal, gradient),
            )
        return Target(
            point_sets["x"],
            batch.step_size * field.velocity,
            # One that is not shared has no axis of features.
            ops.reshape(ops.stop_gradient(field.length_scale), (-1,)),
            ops.reshape(norm, (len(names), norm.shape[-1])),
            signal,
            gradient,
        )

    def _placement(self, batch):
        """What the field exchanges with those of other replicas."""
        return "local" if self.field_scope == "local" else batch.placement

    def _encoded_sets(self, batch, negatives, count):
        """Points per group and features of positives and negatives."""
        sets = {
            "positives": (
                batch.positives.shape[1],
                self._encode_data(batch.positives),
            )
        }
        if batch.unconditional is not None:
            sets["unconditional"] = (
                batch.unconditional.shape[1],
                self._encode_data(batch.unconditional),
            )
        negatives = batch.negatives if negatives is None else negatives
        if negatives is not None:
            encoded = self.features(negatives)
            if self.stop_gradient:
                encoded = keras.tree.map_structure(ops.stop_gradient, encoded)
            sets["negatives"] = (count, encoded)
        return sets

    def _encode_data(self, samples):
        """Features of `(groups, n, *sample_shape)` samples, as constants."""
        flat = ops.reshape(samples, (-1, *samples.shape[2:]))
        # Of groups that the devices do not divide, each holds all: it encodes
        # its share.
        flat = backend.spread(flat)
        num_parts = common_parts(flat.shape[0], self.micro_batches)
        return {
            name: ops.stop_gradient(feature)
            for name, feature in self._features(flat, num_parts).items()
        }

    def _guidance(self, batch, count):
        """The guidance arguments of the drift, if there is guidance."""
        if batch.unconditional is None:
            return {}
        if self.drift.guidance_mode == "velocity":
            return {"guidance_scale": batch.guidance_scale}
        count = batch_count(batch) if count is None else count
        num_points = ops.shape(batch.unconditional)[1]
        placement = self._placement(batch)
        weights = unconditional_weights(
            batch.guidance_scale,
            shares.whole_group(count, placement),
            shares.whole_group(num_points, placement),
            self.drift.self_interaction,
        )
        return {"unconditional_weights": weights[:, :num_points]}

    def _count(self, batch):
        """Generated samples per group; `None` if it is not static."""
        return shares.generated_per_group(
            self.num_generated, batch.positives.shape[1], batch.divided
        )


def _signal(drift, arguments, norm, measure):
    """The signal of a field, zero where it is not measured, or `None`."""
    if measure is None or not drift.measures_signal:
        return None
    nothing = ops.zeros_like(norm)

    def measured(signal):
        del signal
        # Some backends measure nevertheless, see `backend.unless`.
        return tuple(
            ops.where(measure, value, 0.0)
            for value in drift.signal(**arguments)
        )

    unmeasured = ops.logical_not(measure)
    return Signal(*backend.unless(unmeasured, measured, (nothing, nothing)))


def squared_steps(samples, step, segments):
    """Mean squares of `samples - (samples + step)`, the latter held fixed.

    Args:
        samples: float tensor `(groups, n, d)`.
        step: float tensor `(groups, n, d)`, a constant of the gradient.
        segments: `Segments`.

    Returns:
        A tensor `(features,)`. Its gradient with respect to the samples is that
        of a regression.
    """
    step = ops.stop_gradient(step)

    @ops.custom_gradient
    def mean_squares(samples):
        def gradient(*args, upstream=None):
            upstream = args[0] if upstream is None else upstream
            groups, size, dim = ops.shape(step)
            batch = ops.cast(groups // segments.total * size * dim, "float32")
            factors = -2.0 * upstream / (segments.sizes() * batch)
            return step * segments.per_group(factors, groups)

        del samples  # they cancel
        return segments.means(ops.square(step)), gradient

    return mean_squares(samples)


def batch_count(batch):
    """Generated samples per group, from dynamic shapes."""
    return ops.shape(batch.inputs["noise"])[0] // ops.shape(batch.positives)[0]


def unconditional_weights(scale, count, num_unconditional, self_interaction):
    """Weights with which unconditional data have the fraction `1 - 1 / scale`.

    Args:
        scale: float32 tensor `(groups,)`, guidance scales.
        count: int or int scalar tensor, generated samples per group.
        num_unconditional: the same, for the unconditional points.
        self_interaction: that of the drift.

    Returns:
        float32 tensor `(groups, num_unconditional)`.
    """
    num_negatives = count - 1 if self_interaction == "excluded" else count
    ratio = ops.cast(num_negatives, "float32") / ops.cast(
        num_unconditional, "float32"
    )
    weights = (scale[:, None] - 1.0) * ratio
    return ops.repeat(weights, num_unconditional, axis=1)


def _group_by_token(feature, groups, count):
    """Reshapes `(groups * n, tokens, dim)` to `(groups * tokens, n, dim)`."""
    _, tokens, dim = feature.shape
    # The size of a group may be static where the number of groups is not.
    sizes = (groups, -1) if count is None else (-1, count)
    feature = ops.reshape(feature, (*sizes, tokens, dim))
    feature = ops.transpose(feature, (0, 2, 1, 3))
    sizes = (groups * tokens, -1) if count is None else (-1, count)
    return ops.reshape(feature, (*sizes, dim))


def _side_by_side(features, names, groups, count):
    """The features that share a field: `(groups * tokens, n, dim)`."""
    joined = features[names[0]]
    if len(names) > 1:
        joined = ops.concatenate([features[name] for name in names], axis=1)
    return _group_by_token(joined, groups, count)


def _token_counts(features, names):
    return [features[name].shape[1] for name in names]


def _repeat_for_tokens(values, tokens):
    """Repeats rows of groups: one row for each group and token."""
    return None if values is None else ops.repeat(values, tokens, axis=0)


def checked_scope(field_scope):
    """Validates `field_scope`."""
    return checks.choice("field_scope", field_scope, FIELD_SCOPES)


def checked_loss_weights(loss_weights):
    """Validates `loss_weights`: a dict from patterns to floats."""
    if loss_weights is None:
        return {}
    if not isinstance(loss_weights, dict):
        raise TypeError(
            "`loss_weights` is a dict from patterns such as 'layer4*' to "
            f"numbers. Received: loss_weights={loss_weights!r}"
        )
    checks.patterns_in_order("loss_weights", list(map(str, loss_weights)))
    return {
        str(pattern): checks.non_negative_number(
            f"loss_weights[{pattern!r}]", weight
        )
        for pattern, weight in loss_weights.items()
    }

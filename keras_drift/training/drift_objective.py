"""The regression objective of a drifting model."""

import fnmatch

import keras
from keras import ops

from keras_drift import backend
from keras_drift import checks
from keras_drift.drifts import gram_field
from keras_drift.drifts.gram_field import gram_points
from keras_drift.drifts.signal import Signal
from keras_drift.training import shares
from keras_drift.training import side_by_side
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
            A dict from the names of the features that share a field, a tuple,
            to their `Target`, see `shared_fields`.
        """
        count = self._count(batch)
        sets = self._encoded_sets(batch, negatives, count)
        if self.stop_gradient:
            features = keras.tree.map_structure(ops.stop_gradient, features)
        sets = {"x": (count, features), **sets}
        by_gram = set()
        if self.stop_gradient and not learn_bandwidth and batch.weights is None:
            by_gram = self._by_gram(sets, batch)
        return {
            names: self._target(
                _of_features(sets, names),
                batch,
                self.drift_of(names[0]),
                names[0] in by_gram,
                learn_bandwidth,
            )
            for names in self.shared_fields(features, by_gram)
        }

    def shared_fields(self, features, by_gram=()):
        """Which features share a field: those of one drift.

        They have one dimension, unless Gram matrices compare them.

        A field costs a program of its own to trace and to compile, and a
        recipe for images has many features of few dimensions.

        Args:
            features: dict, see `targets`.
            by_gram: set of the names of features that are compared by Gram
                matrices, where the dimension may be any. Defaults to none.

        Returns:
            A list of tuples of names. Features of weight zero have no field; a
            drift that does not share fields has one for each feature.
        """
        fields = {}
        for name, feature in features.items():
            if not self.weight_of(name):
                continue
            drift = self.drift_of(name)
            shared = "" if drift.shares_fields else name
            dim = "any" if name in by_gram else feature.shape[-1]
            fields.setdefault((id(drift), dim, shared), []).append(name)
        if not fields:
            raise ValueError(
                "At least one feature needs a loss weight above zero. Received:"
                f" loss_weights={self.loss_weights}, for the features "
                f"{sorted(features)}"
            )
        # Features with as many tokens are reduced together. The order is not
        # that of the dict, which compiled code may change.
        return [
            tuple(
                sorted(
                    names, key=lambda name: (*features[name].shape[1:], name)
                )
            )
            for names in fields.values()
        ]

    def _by_gram(self, sets, batch):
        """The names of features whose field is faster by Gram matrices."""
        guidance, placement = self._guidance(batch), self._placement(batch)
        return {
            name
            for name in sets["x"][1]
            if self.weight_of(name)
            and gram_field.suits(
                self.drift_of(name),
                gram_points(**_of_features(sets, [name]), **guidance),
                placement,
            )
        }

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
        for names, target in targets.items():
            samples = [features[name] for name in names]
            if features_moved:
                errors = _mean_squares(
                    sample - start - step
                    for sample, start, step in zip(
                        samples, target.starts, target.steps, strict=True
                    )
                )
            elif self.stop_gradient:
                errors = squared_steps(
                    samples, target.steps, target.mean_squares
                )
            else:
                errors = target.mean_squares
            weights = [self.weight_of(name) for name in names]
            total += ops.sum(
                ops.convert_to_tensor(weights, "float32")
                * errors
                / ops.square(target.length_scale)
            )
        return total

    def _target(self, point_sets, batch, drift, by_gram, learn_bandwidth):
        """The `Target` of features that share a field.

        Args:
            point_sets: dict of `"x"` and the arguments of `Drift.field`: each
                the points per group, and a list of the features.
            batch: `TrainingBatch`.
            drift: `Drift` of these features.
            by_gram: bool, whether Gram matrices compute their field.
            learn_bandwidth: see `targets`.
        """
        _, features = point_sets["x"]
        placement = self._placement(batch)
        signal = gradient = None
        if by_gram:
            points = gram_points(**point_sets, **self._guidance(batch))
            field, mean_squares = gram_field.gram_field(
                drift, points, placement
            )
            velocity = field.velocity
        else:
            arguments = self._joined(point_sets, batch)
            field = drift.field(**arguments)
            velocity = side_by_side.split(field.velocity, features)
            mean_squares = _mean_squares(velocity)
            signal = _signal(drift, arguments, field.norm, batch.measure_signal)
            if learn_bandwidth:
                gradient = drift.bandwidth_gradient(**arguments)
        norm = ops.stop_gradient(field.norm)
        if placement == "local":
            # What is logged, and what the bandwidth follows, is one number.
            norm, signal, gradient = keras.tree.map_structure(
                lambda x: None if x is None else backend.global_mean(x),
                (norm, signal, gradient),
            )
        return Target(
            features,
            [batch.step_size * each for each in velocity],
            ops.reshape(mean_squares * batch.step_size**2, (-1,)),
            # One that is not shared has no axis of features.
            ops.reshape(ops.stop_gradient(field.length_scale), (-1,)),
            ops.reshape(norm, (len(features), norm.shape[-1])),
            signal,
            gradient,
        )

    def _joined(self, point_sets, batch):
        """The arguments of `Drift.field`, of features side by side."""
        groups = ops.shape(batch.positives)[0]
        tokens = [feature.shape[1] for feature in point_sets["x"][1]]
        return {
            **{
                key: side_by_side.join(features, groups, count)
                for key, (count, features) in point_sets.items()
            },
            "positive_weights": _repeat_for_tokens(batch.weights, sum(tokens)),
            "placement": self._placement(batch),
            "tokens": tokens if len(tokens) > 1 else None,
            **{
                key: _repeat_for_tokens(value, sum(tokens))
                for key, value in self._guidance(batch).items()
            },
        }

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

    def _guidance(self, batch):
        """The guidance arguments of the drift, if there is guidance."""
        if batch.unconditional is None:
            return {}
        if self.drift.guidance_mode == "velocity":
            return {"guidance_scale": batch.guidance_scale}
        count = self._count(batch)
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


def _of_features(sets, names):
    """Points per group and lists of features, from dicts of all features."""
    return {
        key: (size, [encoded[name] for name in names])
        for key, (size, encoded) in sets.items()
    }


def _signal(drift, arguments, norm, measure):
    """The signal of a field, zero where it is not measured, or `None`."""
    if measure is None or not drift.measures_signal:
        return None
    nothing = ops.zeros_like(ops.stop_gradient(norm))

    def measured(signal):
        del signal
        # Some backends measure nevertheless, see `backend.unless`.
        return tuple(
            ops.where(measure, value, 0.0)
            for value in drift.signal(**arguments)
        )

    unmeasured = ops.logical_not(measure)
    return Signal(*backend.unless(unmeasured, measured, (nothing, nothing)))


def squared_steps(samples, steps, mean_squares):
    """Mean squares of `samples - (samples + step)`, the latter held fixed.

    Args:
        samples: list of float tensors, one of each feature.
        steps: list of float tensors of their shapes, constants of the gradient.
        mean_squares: float tensor `(features,)`, those of the steps.

    Returns:
        A tensor `(features,)`. Its gradient with respect to the samples is that
        of a regression.
    """
    steps = [ops.stop_gradient(step) for step in steps]

    @ops.custom_gradient
    def errors(*samples):
        def gradient(*args, upstream=None):
            upstream = args[0] if upstream is None else upstream
            factors = -2.0 * upstream
            found = tuple(
                factors[number] / ops.cast(ops.size(step), "float32") * step
                for number, step in enumerate(steps)
            )
            return found if len(found) > 1 else found[0]

        del samples  # they cancel
        return 1.0 * ops.stop_gradient(mean_squares), gradient

    return errors(*samples)


def _mean_squares(tensors):
    """The mean square of each tensor: `(tensors,)`."""
    return ops.stack([ops.mean(ops.square(each)) for each in tensors])


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

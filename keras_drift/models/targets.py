"""Where the drift wants each feature of the generated samples to be."""

import keras
from keras import ops


def find(model, features, x, y, weights):
    """One step along the drift, for each feature.

    A drift compares like with like: each token of a feature, a place in an
    image for example, with the same token of the other samples of its group.

    Args:
        model: the `DriftModel`.
        features: dict of the features of the generated samples, each
            `(groups * n, tokens, dim)`.
        x: the inputs of the generator; the samples `"negatives"` and
            `"unconditional"`, and the `"step_size"` of a schedule, may be
            beside them.
        y: the positives, `(groups, positives, *sample_shape)`.
        weights: `(groups, positives)`, or `None` for ones.

    Returns:
        A dict from the name of each feature to a dict: `"place"`, shaped like
        the feature, `"unit"` and `"norm"` as in a `drifts.Field`.
    """
    groups = ops.shape(y)[0]
    count = model.num_generated or y.shape[1]
    # How many there are of each in a group, and their features.
    sets = {"positives": (y.shape[1], _encode(model, y))}
    if "negatives" in x:
        negatives = model.encoder(x["negatives"])
        if model.stop_gradient:
            negatives = keras.tree.map_structure(ops.stop_gradient, negatives)
        sets["negatives"] = (count, negatives)
    if "unconditional" in x:
        extra = x["unconditional"]
        sets["unconditional"] = (extra.shape[1], _encode(model, extra))
    guidance = _guidance(model.drift, x, groups)
    targets = {}
    for name, feature in features.items():
        feature = ops.cast(feature, "float32")
        if model.stop_gradient:
            feature = ops.stop_gradient(feature)
        tokens = feature.shape[1]
        grouped = {
            key: _group_by_place(value[name], groups, size)
            for key, (size, value) in sets.items()
        }
        field = model.drift.field(
            _group_by_place(feature, groups, count),
            **grouped,
            positive_weights=_for_places(weights, tokens),
            **{
                key: _for_places(value, tokens)
                for key, value in guidance.items()
            },
        )
        step = x.get("step_size", model.step_size) * field.velocity
        targets[name] = {
            "place": feature + _ungroup(step, feature),
            "unit": ops.stop_gradient(field.length_scale),
            "norm": ops.stop_gradient(field.norm),
        }
    return targets


def _guidance(drift, x, groups):
    """What the drift takes beside unconditional data, if there are any."""
    if "unconditional" not in x:
        return {}
    if drift.guidance_mode == "velocity":
        return {
            "guidance_scale": ops.reshape(x["guidance"], (groups, -1))[:, 0]
        }
    return {"unconditional_weights": unconditional_weights(drift, x, groups)}


def unconditional_weights(drift, x, groups):
    """Weights that give unconditional data the share `1 - 1/guidance`."""
    scales = ops.reshape(x["guidance"], (groups, -1))
    count = ops.shape(x["unconditional"])[1]
    negatives = ops.shape(scales)[1]
    if drift.self_interaction == "excluded":
        negatives = negatives - 1
    ratio = ops.cast(negatives, "float32") / ops.cast(count, "float32")
    weights = (scales[:, :1] - 1.0) * ratio
    return ops.repeat(weights, count, axis=1)


def _encode(model, samples):
    """Features of `(groups, n, *sample_shape)` samples, held fixed."""
    flat = ops.reshape(samples, (-1, *model.generator.sample_shape))
    features = model.encoder(flat)
    return {name: ops.stop_gradient(f) for name, f in features.items()}


def _group_by_place(feature, groups, count):
    """`(groups * n, tokens, dim)` to `(groups * tokens, n, dim)`."""
    _, tokens, dim = feature.shape
    # A program may know the size of a group, but not the number of groups.
    sizes = (groups, -1) if count is None else (-1, count)
    feature = ops.reshape(feature, (*sizes, tokens, dim))
    feature = ops.transpose(feature, (0, 2, 1, 3))
    sizes = (groups * tokens, -1) if count is None else (-1, count)
    return ops.reshape(feature, (*sizes, dim))


def _ungroup(velocity, like):
    """The inverse of `_group_by_place`."""
    _, tokens, dim = like.shape
    count = ops.shape(velocity)[1]
    velocity = ops.reshape(velocity, (-1, tokens, count, dim))
    velocity = ops.transpose(velocity, (0, 2, 1, 3))
    return ops.reshape(velocity, (-1, tokens, dim))


def _for_places(weights, tokens):
    """Weights of a group, for each of its tokens: `(groups * tokens, n)`."""
    return None if weights is None else ops.repeat(weights, tokens, axis=0)

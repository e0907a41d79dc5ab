"""Features of one dimension side by side, in the groups of one field."""

from keras import ops


def join(features, groups, count):
    """Puts the tokens of all features side by side.

    Each token becomes a group of its own: all of the first group of the batch,
    then those of the second, and so on, as `Segments` expects them.

    Args:
        features: list of float tensors `(groups * n, tokens, dim)`.
        groups: int or scalar tensor, the groups of the batch.
        count: int, `n`; `None` if it is not static.

    Returns:
        A tensor `(groups * tokens of all features, n, dim)`.
    """
    joined = features[0]
    if len(features) > 1:
        joined = ops.concatenate(features, axis=1)
    _, tokens, dim = joined.shape
    # The size of a group may be static where the number of groups is not.
    sizes = (groups, -1) if count is None else (-1, count)
    joined = ops.reshape(joined, (*sizes, tokens, dim))
    joined = ops.transpose(joined, (0, 2, 1, 3))
    sizes = (groups * tokens, -1) if count is None else (-1, count)
    return ops.reshape(joined, (*sizes, dim))


def split(joined, features):
    """The inverse of `join`.

    Args:
        joined: float tensor `(groups * tokens of all features, n, dim)`.
        features: list of float tensors `(groups * n, tokens, dim)`, whose
            shapes the results have.

    Returns:
        A list of tensors.
    """
    total = sum(feature.shape[1] for feature in features)
    _, count, dim = ops.shape(joined)
    joined = ops.reshape(joined, (-1, total, count, dim))
    found, start = [], 0
    for feature in features:
        end = start + feature.shape[1]
        part = ops.transpose(joined[:, start:end], (0, 2, 1, 3))
        found.append(ops.reshape(part, ops.shape(feature)))
        start = end
    return found

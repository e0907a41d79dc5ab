"""Validates the arguments of `Drift.field`."""

from keras import ops

from keras_drift import backend
from keras_drift import checks
from keras_drift.byte_order import native
from keras_drift.drifts.field_inputs import FieldInputs
from keras_drift.drifts.segments import Segments
from keras_drift.ops import PointCloud


def parse(
    points,
    weights,
    guidance_scale,
    negatives_are_samples,
    placement,
    self_interaction,
    guidance_mode,
    tokens=None,
):
    """Validates the arguments of `Drift.field`.

    Args:
        points: dict of `"x"`, `"positives"`, `"negatives"`, `"unconditional"`;
            the last two may be `None`.
        weights: dict with the weights of the last three, or `None`.
        guidance_scale: see `Drift.field`.
        negatives_are_samples: see `Drift.field`.
        placement: see `Drift.field`.
        self_interaction: that of the drift.
        guidance_mode: that of the drift.
        tokens: see `Drift.field`.

    Returns:
        `FieldInputs`.
    """
    points, weights = _as_tensors(points), _as_tensors(weights)
    checks.choice("placement", placement, backend.PLACEMENTS)
    _check_points(points, self_interaction, negatives_are_samples)
    _check_weights(points, weights)
    scale = _checked_scale(guidance_scale, points, guidance_mode)
    if len(points["x"].shape) == 2:
        points = {name: value[None] for name, value in points.items()}
        weights = {name: value[None] for name, value in weights.items()}
    positives, negatives, unconditional = (
        _cloud(points.get(name), weights.get(name))
        for name in ("positives", "negatives", "unconditional")
    )
    if negatives is None:
        negatives = _cloud(points["x"], weights.get("negatives"))
    return FieldInputs(
        points["x"],
        positives,
        negatives,
        unconditional,
        scale,
        "negatives" in points,
        negatives_are_samples or "negatives" not in points,
        placement=placement,
        segments=None if tokens is None else _segments(tokens, points["x"]),
    )


def _segments(tokens, x):
    segments, groups = Segments(tokens), x.shape[0]
    if groups is not None and groups % segments.total:
        raise ValueError(
            "`tokens` are those of the features that share a field, whose "
            "groups are a multiple of their sum. "
            f"Received: tokens={segments.tokens}, x.shape={tuple(x.shape)}"
        )
    return segments


def _as_tensors(values):
    values = {k: value for k, value in values.items() if value is not None}
    for name, value in values.items():
        checks.no_masked_entries(name, value)
    return {
        name: ops.convert_to_tensor(native(value), "float32")
        for name, value in values.items()
    }


def _cloud(points, weights):
    return None if points is None else PointCloud(points, weights)


def _check_points(points, self_interaction, negatives_are_samples):
    shapes = {name: tuple(value.shape) for name, value in points.items()}
    checks.sets_of_samples(shapes)
    received = ", ".join(f"{k}.shape={v}" for k, v in shapes.items())
    if "negatives" in points:
        return
    if self_interaction == "independent":
        raise ValueError(
            "With `self_interaction='independent'` the negatives are an "
            "independent batch of generated samples and must be given. "
            f"Received: negatives=None, {received}"
        )
    if negatives_are_samples:
        raise ValueError(
            "`negatives_are_samples` says that the given negatives are earlier "
            "positions of the samples, so there must be negatives. Received: "
            f"negatives_are_samples=True, negatives=None, {received}"
        )


def _check_weights(points, weights):
    shapes = {name: tuple(value.shape) for name, value in points.items()}
    shapes = {"negatives": shapes["x"], **shapes}
    for name, value in weights.items():
        if name not in shapes:
            raise ValueError(
                f"There are weights of the {name} points but no such "
                f"points. Received: `{name}_weights` without `{name}`"
            )
        checks.weights_of_samples(name, tuple(value.shape), shapes[name])


def _checked_scale(guidance_scale, points, guidance_mode):
    """The scale of every sample, `(groups or 1, 1, 1)`, or `None`."""
    by_velocity = guidance_mode == "velocity"
    unconditional = "unconditional" in points
    if guidance_scale is None and not (by_velocity and unconditional):
        return None
    if guidance_scale is None or not by_velocity or not unconditional:
        raise ValueError(
            "A guidance scale and unconditional data go together, in a "
            "drift with `guidance_mode='velocity'`; one with "
            "`guidance_mode='distribution'` takes `unconditional_weights` "
            "instead. Received: a drift with "
            f"guidance_mode={guidance_mode!r}, "
            f"{'no' if guidance_scale is None else 'a'} scale, "
            f"{'' if unconditional else 'no '}unconditional data"
        )
    scale = ops.convert_to_tensor(guidance_scale, "float32")
    groups = tuple(points["x"].shape[:-2])
    shape = tuple(scale.shape)
    if shape and not checks.fits(shape, groups):
        raise ValueError(
            "`guidance_scale` is one number, or one for each group: "
            f"shape () or {groups}. Received: shape {shape}"
        )
    return ops.reshape(scale, (-1, 1, 1))

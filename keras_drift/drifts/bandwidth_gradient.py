"""The gradient by which a bandwidth is learned."""

from keras import ops

from keras_drift.ops import in_units_of
from keras_drift.ops import positive_shares
from keras_drift.ops import unit_vectors


def check_learnable(drift):
    """Refuses a drift whose kernel has another derivative.

    Args:
        drift: a `KernelDrift`.
    """
    if not drift.kernel.scales_distances:
        raise ValueError(
            "A bandwidth is learned by the derivative of a kernel of `distance "
            "/ bandwidth`, and the formula of this one depends on the "
            "bandwidth in another way as well. On a sphere take "
            "`kernels.VonMisesFisher`. Received: "
            f"kernel={type(drift.kernel).__name__}"
        )


def bandwidth_gradient(drift, inputs):
    """Gradient of the temperature loss with respect to a log-bandwidth.

    The loss is `-mean_groups max_i log(P_i / (P_i + Q_i))`, for the kernel
    masses `P` and `Q` of positives and negatives around a sample. Of several
    bandwidths it is the mean, and they are scaled together.

    Args:
        drift: a `KernelDrift`.
        inputs: `FieldInputs`.

    Returns:
        float32 scalar, without gradients.
    """
    check_learnable(drift)
    inputs = drift.mask(inputs)
    kernel = drift.kernel
    if kernel.spherical:
        inputs = inputs.map_points(unit_vectors)
    inputs, *sides = drift.compared(inputs)
    length_scale = drift.length_scale(inputs, *sides)
    length, *sides = in_units_of(
        *drift.in_bandwidth_units(inputs.x, *sides, length_scale)
    )
    shares = positive_shares(
        *sides,
        kernel.log_kernels(length),
        kernel.log_kernels(length, kernel.log_gradient_weight),
    )
    slopes = [_slope_of_the_best(inputs, *share) for share in shares]
    return ops.stop_gradient(-ops.mean(ops.stack(slopes)))


def _slope_of_the_best(inputs, log_share, slope):
    """Mean over the groups of the slope of the largest share in each."""
    present = ops.ones_like(slope, dtype="bool")
    if inputs.present is not None:
        present = ops.logical_and(present, inputs.present[..., 0])
    best = ops.argmax(
        ops.where(present, log_share, float("-inf")), axis=-1, keepdims=True
    )
    slope = ops.take_along_axis(slope, best, axis=-1)[:, 0]
    present = ops.any(present, axis=-1)
    total = inputs.mean(ops.where(present, slope, 0.0))
    count = inputs.mean(ops.cast(present, "float32"))
    return inputs.ratio_of_means([total], count)[0]

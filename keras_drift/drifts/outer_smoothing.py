"""Outer smoothing: the mean of a field over jittered copies of the samples.

The gradient flow of a divergence of smoothed densities smooths twice: the
densities, and the velocity that follows from them.
"""

from keras import ops

from keras_drift import checks
from keras_drift.kernels import Gaussian
from keras_drift.ops import gaussian_nodes


def check_outer_smoothing(num_copies, drift):
    """Refuses a number of copies that does not go with a drift.

    Args:
        num_copies: int, or `None`: no smoothing.
        drift: `KernelBased`.
    """
    if num_copies is None:
        return
    if not isinstance(drift.kernel, Gaussian):
        raise ValueError(
            "Outer smoothing jitters samples by the kernel, which must be a "
            f"`Gaussian`. Received: outer_smoothing={num_copies!r}, "
            f"kernel={type(drift.kernel).__name__}"
        )
    if drift.self_interaction == "excluded":
        raise ValueError(
            "A jittered copy of a sample is not a sample, so there is nothing "
            "to exclude: outer smoothing needs self_interaction='included' or "
            f"'independent'. Received: outer_smoothing={num_copies!r}, "
            "self_interaction='excluded'"
        )
    checks.positive_integer("outer_smoothing", num_copies)


def smoothed(field, num_copies, widths):
    """A field that is the mean of another over jittered copies of the samples.

    Args:
        field: callable `(log_kernels, positives, negatives, *options)`, see
            `keras_drift.ops.fields`.
        num_copies: int, how many copies; `None` returns the field itself.
        widths: for each kernel the standard deviation of the jitter.
    """
    if num_copies is None:
        return field

    def mean_field(log_kernels, positives, negatives, *options):
        # All copies of a sample, one after another, beside the other samples.
        x = positives.x
        groups, num_samples, dim = ops.shape(x)
        nodes, weights = gaussian_nodes(num_copies, dim)
        count = len(nodes)
        nodes, weights = (
            ops.convert_to_tensor(values, "float32")
            for values in (nodes, weights)
        )
        means = []
        for log_kernel, width in zip(log_kernels, widths, strict=True):
            if positives.unit is not None:
                width = width * positives.unit[..., None]
            copies = x[:, :, None] + width * nodes
            copies = ops.reshape(copies, (groups, num_samples * count, dim))
            (velocity,) = field(
                [log_kernel],
                positives.of(copies),
                negatives.of(copies),
                *options,
            )
            velocity = ops.reshape(velocity, (groups, num_samples, count, dim))
            means.append(ops.sum(velocity * weights[:, None], axis=2))
        return means

    return mean_field

"""Samples in `[-1, 1]` as the bytes of images."""

import numpy as np

from keras_drift import checks

ROUNDINGS = ("nearest", "floor")


def to_uint8(images, rounding="nearest"):
    """Quantizes images as published evaluations do.

    Features are extracted from bytes, since the reference images are bytes, and
    how samples become bytes changes the FID.

    Args:
        images: float array `(n, height, width, channels)` in `[-1, 1]`. Values
            outside are clipped.
        rounding: str. `"nearest"` is `clip(round(127.5 * x + 127.5), 0, 255)`,
            that of most published numbers (EDM, DiT). `"floor"` truncates
            `127.5 * x + 127.5`, as do ADM and the official release of drifting
            models: images are half a gray level darker. Halves are rounded up
            by `"nearest"`. Defaults to `"nearest"`.

    Returns:
        uint8 array of the same shape.

    Raises:
        ValueError: if an image has values that are not finite.
    """
    checks.choice("rounding", rounding, ROUNDINGS)
    images = np.asarray(images, "float32")
    finite = np.isfinite(images).all(axis=tuple(range(1, images.ndim)))
    if not finite.all():
        raise ValueError(
            "Images have finite values. Samples with NaN or infinity are those "
            "of a model whose training diverged, or that overflows in half "
            f"precision. Received: {np.sum(~finite)} of {len(images)} images "
            "with values that are not finite"
        )
    half = 0.5 if rounding == "nearest" else 0.0
    # Clipped ahead of the conversion, in which other values wrap around.
    return np.clip(images * 127.5 + (127.5 + half), 0, 255).astype("uint8")

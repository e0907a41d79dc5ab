"""Decodes an image file of any kind to the standard center crop or another."""

import math

import numpy as np

from keras_drift import extras

# Content decides, not the suffix. Others stay closed: that of PostScript, for
# example, starts another program.
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP")
_ORIENTATION = 0x0112  # the tag of EXIF
_WITH_EXIF = {"exif", "xmp", "Raw profile type exif", "XML:com.adobe.xmp"}
# Enlarged further, an image is a blur, and a narrow one needs much memory.
_MAX_ENLARGEMENT = 16
# By the names of Keras: the filter of Pillow, and how many pixels it reaches to
# either side at scale 1.
INTERPOLATIONS = {
    "bilinear": ("BILINEAR", 1),
    "bicubic": ("BICUBIC", 2),
    "lanczos3": ("LANCZOS", 3),
}


class UnreadableImageError(Exception):
    """An image file that cannot be used; its text is the reason."""


def library():
    """The module `PIL.Image`."""
    return extras.load("PIL.Image", "Folders of images", "Pillow", "examples")


def read_image(
    path,
    shape,
    draft=False,
    mirrored=False,
    crop=None,
    seed=(),
    interpolation="bicubic",
):
    """Decodes an image file to the standard center crop, or to a random one.

    Args:
        path: str, the path of the file.
        shape: `(height, width, channels)` of the crop, one or three channels.
        draft: bool, whether JPEG files may be decoded at half, a quarter or an
            eighth of their size. Defaults to `False`.
        mirrored: bool, whether left and right are exchanged. Defaults to
            `False`.
        crop: `RandomCrop`, or `None` for the center crop. Defaults to `None`.
        seed: tuple of ints >= 0, which decides the random crop.
        interpolation: str, a key of `INTERPOLATIONS`. Defaults to `"bicubic"`.

    Returns:
        uint8 array of this shape.

    Raises:
        UnreadableImageError: with the reason, if the file cannot be used.
    """
    pil = library()
    height, width, channels = shape
    mode = "RGB" if channels == 3 else "L"
    try:
        with open(path, "rb") as file:
            side = max(width, height)
            if crop is not None:
                side = crop.sufficient_side(side)
            image = _decoded(
                pil, file, (width, height), mode, side if draft else None
            )
    except (UnreadableImageError, MemoryError):
        raise
    # A damaged file may make a decoder raise an error of any type.
    except Exception as error:
        raise UnreadableImageError(_reason(pil, error)) from error
    if crop is None:
        image = center_crop(image, height, width, interpolation)
    else:
        # Cut first: a filter of `resize(box=...)` reaches beyond the box.
        image = image.crop(crop.box(*image.size, seed))
        image = image.resize((width, height), _filter(interpolation)[0])
    if mirrored:  # faster than NumPy
        image = image.transpose(pil.Transpose.FLIP_LEFT_RIGHT)
    return np.asarray(image).reshape(shape)


def center_crop(image, height, width, interpolation="bicubic"):
    """The center crop of ADM and of the published models.

    The image is halved by a box filter as long as it is at least twice as large
    as the crop, then resized by a bicubic filter until it covers the crop, and
    cropped. Only what the crop needs is resized, so a pixel in a thousand
    may differ by one level, of 255, from resizing the whole image. Of images
    more than three times as high as wide, Pillow resizes the rows first, and
    here they are last: one pixel in fifty differs by several levels.

    Args:
        image: `PIL.Image.Image` of mode `"RGB"` or `"L"`.
        height: int, of the crop.
        width: int, of the crop.
        interpolation: str, the last filter, a key of `INTERPOLATIONS`. Defaults
            to `"bicubic"`.

    Returns:
        `PIL.Image.Image` of the size of the crop.
    """
    resample, support = _filter(interpolation)
    # Pixels beyond the edge of the crop that the filter reaches, rounded up:
    # the image is less than twice as large as the crop, along one axis.
    margin = math.ceil(2 * support + 2)
    while image.width >= 2 * width and image.height >= 2 * height:
        halves = image.width // 2, image.height // 2
        image = image.resize(halves, library().Resampling.BOX)
    scale = max(width / image.width, height / image.height)
    columns, rows = round(image.width * scale), round(image.height * scale)
    left, right = _interval(image.width, columns, width)
    top, bottom = _interval(image.height, rows, height)
    # Pillow rounds to 8 bits between the two directions, and which it takes
    # first depends on the box, so each is a call of its own: columns first.
    first = max(int(top) - margin, 0)
    last = min(int(bottom) + margin, image.height)
    if last - first < image.height:
        image = image.crop((0, first, image.width, last))
    image = image.resize(
        (width, image.height), resample, (left, 0, right, image.height)
    )
    box = (0, top - first, width, min(bottom - first, image.height))
    return image.resize((width, height), resample, box)


def _filter(interpolation):
    name, support = INTERPOLATIONS[interpolation]
    return library().Resampling[name], support


def _interval(size, resized, cropped):
    """Of `size` pixels, those that the crop of the resized image shows."""
    start = (resized - cropped) // 2
    ratio = size / resized
    return start * ratio, min((start + cropped) * ratio, size)


def _decoded(pil, file, size, mode, draft_side):
    if not file.read(1):
        raise UnreadableImageError("the file is empty")
    file.seek(0)
    image = pil.open(file, formats=_FORMATS)
    _check_size(pil, image, size)
    if draft_side is not None and image.format in ("JPEG", "MPO"):
        # The crop may be of the upright image: both sides fit the longer one.
        image.draft(mode, (draft_side, draft_side))
    # The first frame of an animation.
    image.load()
    return _in_mode(pil, _upright(pil, image), mode)


def _check_size(pil, image, size):
    limit = pil.MAX_IMAGE_PIXELS
    if limit is not None and image.width * image.height > limit:
        raise UnreadableImageError(
            f"{image.width} x {image.height} pixels are more than the "
            f"{limit} of `PIL.Image.MAX_IMAGE_PIXELS`, which guards against "
            "files made to exhaust the memory"
        )
    # Whichever side is up.
    enlargement = min(
        max(size[0] / width, size[1] / height)
        for width, height in (image.size, image.size[::-1])
    )
    if enlargement >= _MAX_ENLARGEMENT:
        raise UnreadableImageError(
            f"{image.width} x {image.height} pixels are too few: they would "
            f"be enlarged {_MAX_ENLARGEMENT} times or more"
        )


def _upright(pil, image):
    """Turns an image as its EXIF data say that it was taken."""
    if not _WITH_EXIF & image.info.keys():
        return image
    try:
        orientation = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # damaged EXIF data do not damage the image
        return image
    turn = pil.Transpose
    method = {
        2: turn.FLIP_LEFT_RIGHT,
        3: turn.ROTATE_180,
        4: turn.FLIP_TOP_BOTTOM,
        5: turn.TRANSPOSE,
        6: turn.ROTATE_270,
        7: turn.TRANSVERSE,
        8: turn.ROTATE_90,
    }.get(orientation)
    return image if method is None else image.transpose(method)


def _in_mode(pil, image, mode):
    """Converts to 8 bits, without transparency."""
    if image.mode == mode and "transparency" not in image.info:
        return image
    if image.mode.startswith("I"):
        # 16 bits; `convert` cuts values above 255 off instead of scaling them.
        levels = np.clip(np.asarray(image), 0, 65535).astype("uint32")
        image = pil.fromarray(((levels + 128) // 257).astype("uint8"))
    elif "A" in image.getbands() or "transparency" in image.info:
        image = image.convert("RGBA")
        white = pil.new("RGBA", image.size, "white")
        image = pil.alpha_composite(white, image)
    return image.convert(mode)


def _reason(pil, error):
    """A short text, without the path."""
    if isinstance(error, pil.UnidentifiedImageError):
        return f"not an image, or not of the formats {', '.join(_FORMATS)}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__

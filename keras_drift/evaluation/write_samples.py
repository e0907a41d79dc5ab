"""Generated images as files."""

import functools

import keras

from keras_drift import checks
from keras_drift import extras
from keras_drift.atomic_files import write_atomically
from keras_drift.evaluation.run_directory import RunDirectory
from keras_drift.evaluation.sample_blocks import SampleBlocks


def write_samples(
    model,
    directory,
    num_samples,
    guidance=1.0,
    labels=None,
    seed=0,
    batch_size=64,
    rounding="nearest",
    verbose=1,
):
    """Writes generated images to PNG files as they are generated.

    For programs that evaluate folders of images, and for visual inspection.
    Images are not kept in memory, and an interrupted call can be continued:
    images that exist are not generated again. They are those that `evaluate`
    measures with the same arguments.

    Needs Pillow: `pip install "keras-drift[eval]"`.

    Args:
        model: `DriftModel` that generates images, of one or three channels.
            With `use_ema=True` its averaged weights are used.
        directory: path of an empty folder, or of one to continue. The images
            are `000000.png`, `000001.png`, ...; `samples.json` holds the
            arguments. Another model, seed, scale or `labels` are refused;
            without `labels`, a larger `num_samples` adds images.
        num_samples: int >= 1, number of images.
        guidance: float >= 1, the guidance scale. Defaults to `1.0`.
        labels: ints `(num_samples,)`, the class of each image. Defaults to
            `None`: the classes in order, cyclically.
        seed: int >= 0; the images are the same whatever the `batch_size`.
            Defaults to `0`.
        batch_size: int >= 1, images in one forward pass, no more than 256.
            Defaults to `64`.
        rounding: str, see `evaluate`. Defaults to `"nearest"`.
        verbose: int, `0` without a progress bar. Defaults to `1`.

    Returns:
        The list of the `pathlib.Path`s of the images.

    Example:

    >>> import tempfile
    >>> import keras_drift as kd
    >>> model = kd.DriftModel.from_preset("digits_dit")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     paths = kd.evaluation.write_samples(model, folder, 3, verbose=0)
    >>> [path.name for path in paths]
    ['000000.png', '000001.png', '000002.png']
    """
    image = extras.load("PIL.Image", "Images in files", "Pillow", "eval")
    checks.non_negative_integer("verbose", verbose)
    samples = SampleBlocks(
        model, num_samples, guidance, labels, seed, batch_size, rounding
    )
    progress = keras.utils.Progbar(
        num_samples, verbose=verbose, unit_name="image"
    )
    written = []
    with model.averaged_weights():
        run = RunDirectory(directory, "samples.json", samples.arguments())
        for block in range(len(samples)):
            start, stop = samples.bounds(block)
            paths = [run.path / f"{i:06d}.png" for i in range(start, stop)]
            written += paths
            if not all(path.exists() for path in paths):
                _write(image, samples.block(block), paths)
            progress.update(stop)
    return written


def _write(module, images, paths):
    """Writes uint8 images `(n, height, width, channels)` as PNG files."""
    for pixels, path in zip(images, paths, strict=True):
        if path.exists():
            continue
        gray = pixels.shape[-1] == 1
        picture = module.fromarray(pixels[..., 0] if gray else pixels)
        write_atomically(path, functools.partial(picture.save, format="png"))

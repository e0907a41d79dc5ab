"""Generate samples of a preset, in one forward pass each."""

import argparse
import itertools
import pathlib

HELP = "generate samples of a preset"
EXAMPLES = """\
Examples:
  keras-drift draw digits_dit --out digits.png
  keras-drift draw digits_dit --labels 3 1 4 --rows 1 --out pi.png
  keras-drift draw mnist_mlp --labels 0-9 --rows 4 --seed 7 --out mnist.png
  keras-drift draw my_folder --number 10000 --out samples/
  keras-drift draw my_folder --number 10000 --out samples.npy

In Python:
  model = keras_drift.DriftModel.from_preset("digits_dit")
  samples = model.generate(labels=[3, 1, 4], seed=0)
"""


def add_arguments(parser):
    """Adds the options of this command."""
    parser.add_argument("preset", metavar="PRESET")
    parser.add_argument(
        "--out",
        required=True,
        type=pathlib.Path,
        help="a .png file for a grid of images; a folder for one PNG file "
        "each, of which those that are there are kept; or an .npy file for an "
        "array, which serves samples of any kind",
    )
    parser.add_argument(
        "--labels",
        nargs="+",
        type=label_range,
        metavar="CLASS",
        help="numbers of classes, or ranges such as 0-9: those of the columns "
        "of a grid, or of the samples one after the other, cyclically. All "
        "classes by default",
    )
    parser.add_argument(
        "--number",
        type=int,
        metavar="N",
        help="samples in a folder or array: one for each of --labels by "
        "default, or 64",
    )
    parser.add_argument("--rows", type=int, help="rows of a grid (default: 8)")
    parser.add_argument(
        "--guidance",
        type=float,
        default=1.0,
        help="guidance scale, from 1, no guidance, to the largest that the "
        "model was trained for (default: 1)",
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=0,
        help="of the noise; the same seed gives the same noise on every "
        "backend, but not for each form of --out (default: 0)",
    )


def run(options):
    """Generates the samples and writes them."""
    _check(options)
    import keras_drift as kd

    model = kd.DriftModel.from_preset(options.preset, load_encoder=False)
    labels = options.labels and [*itertools.chain(*options.labels)]
    if options.out.suffix == ".png":
        _write_grid(model, labels, options)
    else:
        _write_samples(model, labels, options)
    print(options.out)


def _check(options):
    """Refuses options before a preset is fetched."""
    kind = options.out.suffix
    if kind not in ("", ".npy", ".png"):
        raise ValueError(
            "--out is a .png file, an .npy file, or a folder. "
            f"Received: --out {options.out}"
        )
    if kind == ".png" and options.number is not None:
        raise ValueError(
            "A grid has --rows rows, and a column for each class. Leave "
            f"--number out. Received: --number {options.number}"
        )
    if kind != ".png" and options.rows is not None:
        raise ValueError(
            "--rows is for a grid, a .png file. Give --number instead. "
            f"Received: --rows {options.rows}"
        )
    for name in ("rows", "number"):
        value = getattr(options, name)
        if value is not None and value < 1:
            raise ValueError(
                f"--{name} must be at least 1. Received: --{name} {value}"
            )


def label_range(text):
    """Parses `"7"` or `"0-9"` to a list of ints."""
    first, dash, last = text.partition("-")
    try:
        first = int(first)
        last = int(last) if dash else first
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no number of a class, and no range such as 0-9"
        ) from None
    if last < first:
        raise argparse.ArgumentTypeError(
            f"{text!r} is empty: write {last}-{first}"
        )
    return list(range(first, last + 1))


def _write_grid(model, labels, options):
    from keras_drift import images

    picture = images.sample_grid(
        model,
        options.rows or 8,
        guidance=options.guidance,
        seed=options.seed,
        labels=labels,
    )
    images.write_png(options.out, picture)


def _write_samples(model, labels, options):
    import numpy as np

    from keras_drift import atomic_files
    from keras_drift import evaluation

    number = options.number
    if number is None:
        number = 64 if labels is None else len(labels)
    if labels is not None:
        labels = np.resize(labels, number)
    if options.out.suffix == ".npy":
        samples = model.generate(
            number, labels, options.guidance, seed=options.seed
        )
        options.out.parent.mkdir(parents=True, exist_ok=True)

        def write(path):
            with open(path, "wb") as file:
                np.save(file, samples)

        atomic_files.write_atomically(options.out, write)
        return
    evaluation.write_samples(
        model,
        options.out,
        number,
        options.guidance,
        labels,
        options.seed,
        verbose=0,
    )

"""Measure the FID and other metrics of a preset with torch-fidelity."""

import json
import pathlib

HELP = "measure the FID and other metrics of a preset"
EXAMPLES = """\
Examples:
  keras-drift evaluate my_folder imagenet/val_256
  keras-drift evaluate my_folder reference.npz --guidance 1 1.5 2
  keras-drift evaluate my_folder images/ --num-samples 10000 --directory run

With several guidance scales the one with the lowest FID is named. With
--directory an evaluation that was interrupted goes on, and further scales can
be added. Published numbers are those of 50,000 samples; fewer give a higher
FID. Needs pip install "keras-drift[eval]".

In Python:
  keras_drift.evaluation.evaluate(model, reference)
  keras_drift.evaluation.sweep_guidance(model, reference, scales)
"""


def add_arguments(parser):
    """Adds the options of this command."""
    parser.add_argument("preset", metavar="PRESET")
    parser.add_argument(
        "reference",
        metavar="REFERENCE",
        help="a folder of images, or an .npz file with images (arr_0) or "
        "statistics (mu, sigma)",
    )
    parser.add_argument(
        "--guidance",
        nargs="+",
        type=float,
        default=[1.0],
        metavar="SCALE",
        help="guidance scales (default: 1)",
    )
    parser.add_argument(
        "--num-samples",
        type=int,
        default=50_000,
        metavar="N",
        help="generated images (default: 50000)",
    )
    parser.add_argument(
        "--batch-size",
        type=int,
        default=64,
        metavar="N",
        help="images in one forward pass (default: 64)",
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="of the noise (default: 0)"
    )
    parser.add_argument(
        "--features",
        default="inception",
        help="what maps images to features: inception, the network of "
        "published numbers, or the preset of an encoder or a .keras file "
        "(default: inception)",
    )
    parser.add_argument(
        "--inception-weights",
        metavar="FILE",
        help="weights of the Inception network; those in the cache by default",
    )
    parser.add_argument(
        "--directory",
        type=pathlib.Path,
        help="folder for features and results; nothing is written by default",
    )


def run(options):
    """Evaluates the preset and prints the metrics as JSON."""
    import keras_drift as kd

    model = kd.DriftModel.from_preset(options.preset, load_encoder=False)
    shared = {
        "num_samples": options.num_samples,
        "seed": options.seed,
        "batch_size": options.batch_size,
        "features": options.features,
        "inception_weights": options.inception_weights,
        "directory": options.directory,
    }
    if len(options.guidance) == 1:
        (scale,) = options.guidance
        found = kd.evaluation.evaluate(
            model, options.reference, guidance=scale, **shared
        )
    else:
        found = kd.evaluation.sweep_guidance(
            model, options.reference, options.guidance, **shared
        )
    print(json.dumps(found, indent=2))

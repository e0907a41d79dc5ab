"""Trains a one-step generator of images, from a folder to a preset.

    python examples/train_images.py folder --data FOLDER
    python examples/train_images.py latent_l2 --data imagenet/train
    python examples/train_images.py imagenet_smoke

The command `keras-drift train` from a clone of the repository: the stages are
in `keras_drift_cli/image_training`, the configurations in its `configs`, and
`--help` describes both.
"""

import sys

from keras_drift_cli import main

if __name__ == "__main__":
    raise SystemExit(main.main(["train", *sys.argv[1:]]))

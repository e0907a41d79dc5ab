"""What the examples on MNIST and CIFAR-10 share."""

import argparse
import json
import pathlib

import keras
import numpy as np
from scipy import linalg

import keras_drift as kd
from keras_drift.images import image_grid
from keras_drift.images import write_png


def arguments(description, steps, classifier_epochs, output):
    """A parser of the command line, and what all examples have in it."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--data", type=pathlib.Path)
    parser.add_argument("--steps", type=int, default=steps)
    parser.add_argument(
        "--classifier-epochs", type=int, default=classifier_epochs
    )
    parser.add_argument(
        "--dtype",
        default="float32",
        help="mixed_bfloat16 is faster on CPUs with AMX",
    )
    parser.add_argument(
        "--output", type=pathlib.Path, default=pathlib.Path(output)
    )
    return parser


def parsed(parser):
    """Parses the command line, and makes the folder of the run.

    A run of other arguments in it is not continued: its classifiers and backups
    would be used, and the card would name the new arguments.
    """
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    given = {name: str(value) for name, value in vars(args).items()}
    path = args.output / "arguments.json"
    if path.exists() and json.loads(path.read_text()) != given:
        parser.error(
            f"{args.output} holds a run with other arguments, see {path}: "
            "choose another folder by --output, or delete this one"
        )
    path.write_text(json.dumps(given, indent=2))
    return args


def warmed_up(num_steps, alpha, warmup_divisor):
    """A learning rate that rises to 3e-3, and falls along a cosine."""
    return keras.optimizers.schedules.CosineDecay(
        0.0,
        num_steps,
        alpha=alpha,
        warmup_target=3e-3,
        warmup_steps=max(1, num_steps // warmup_divisor),
    )


# === Classifiers ===


def train_classifier(model, images, labels, epochs, augment=None, seed=0):
    """Trains for `epochs`, on `augment(images, rng)` where that is given."""
    learning_rate = warmed_up(
        epochs * -(-len(images) // 128), alpha=0.01, warmup_divisor=10
    )
    model.compile(
        keras.optimizers.AdamW(learning_rate, weight_decay=0.02),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    rng = np.random.default_rng(seed)
    for _ in range(epochs):
        order = rng.permutation(len(images))
        x = images[order] if augment is None else augment(images[order], rng)
        model.fit(x, labels[order], batch_size=128, verbose=0)
    return model


def accuracy(model, images, labels):
    return float(np.mean(model.predict(images, 500, 0).argmax(-1) == labels))


def vectors(model):
    """The network from images to the layer `vector` of a classifier."""
    return keras.Model(model.input, model.get_layer("vector").output)


def shifted(images, rng, pixels, **padding):
    """Each image moved by up to `pixels` along each axis, and padded."""
    sides = [(0, 0), (pixels, pixels), (pixels, pixels), (0, 0)]
    padded = np.pad(images, sides, **padding)
    windows = np.lib.stride_tricks.sliding_window_view(
        padded, images.shape[1:3], (1, 2)
    )
    rows, columns = rng.integers(2 * pixels + 1, size=(2, len(images)))
    chosen = windows[np.arange(len(images)), rows, columns]
    return np.moveaxis(chosen, 1, -1)


# === Training ===


def principal_components(images, count):
    """Directions of largest variance times its root, and the mean image."""
    x = images.reshape(len(images), -1)
    dim = x.shape[1]
    variances, directions = linalg.eigh(
        np.cov(x, rowvar=False), subset_by_index=[dim - count, dim - 1]
    )
    scales = np.sqrt(np.maximum(variances[::-1], 0.0))
    return [scales[:, None] * directions[:, ::-1].T, x.mean(0)]


def train(model, images, labels, steps, positives, output, **grouped):
    """Trains in epochs of up to 100 steps, each of which leaves a backup.

    Targets are means of the nearest positives. The last quarter of the steps
    has four times as many, which are nearer: images become sharper.

    Args:
        model: `DriftModel`, built, not compiled.
        images: float array `(n, height, width, channels)`.
        labels: int array `(n,)`.
        steps: int, of which a multiple of the epochs' length is done.
        positives: int, the images that each group has at first.
        output: path of the folder for backups and pictures.
        **grouped: passed to `GroupedDataset`.
    """
    model.compile(
        keras.optimizers.AdamW(
            warmed_up(steps, alpha=0.02, warmup_divisor=50),
            weight_decay=1e-3,
            beta_2=0.95,
            clipnorm=2.0,
            use_ema=True,
            ema_momentum=0.99,
        ),
        jit_compile=keras.backend.backend() != "torch",
    )
    steps_per_epoch = min(100, max(1, steps // 4))
    epochs = steps // steps_per_epoch
    stages = ((positives, epochs * 3 // 4), (4 * positives, epochs))
    for positives, last_epoch in stages:
        batches = kd.datasets.GroupedDataset(
            images,
            labels,
            positives=positives,
            steps_per_epoch=steps_per_epoch,
            seed=0,
            **grouped,
        )
        model.fit(
            batches,
            epochs=last_epoch,
            callbacks=[
                keras.callbacks.BackupAndRestore(
                    output / "backup", delete_checkpoint=False
                ),
                kd.callbacks.SampleGrid(output / "epochs", rows=4),
            ],
            verbose=2,
        )


# === Measures ===


def frechet(feature, images, references):
    """Fréchet distance of the features of images to those of references."""
    found = feature.predict(images, 500, 0)
    return float(kd.metrics.frechet_distance(found, references))


def nearest_class(images, references, labels):
    """The class of the nearest reference of each image, by pixels."""
    x = images.reshape(len(images), -1)
    y = references.reshape(len(references), -1)
    return labels[((y**2).sum(1) - 2 * x @ y.T).argmin(1)]


def save_picture(model, images, labels, path):
    """Twelve generated images of each class beside six real ones."""
    generated = model.generate(labels=np.repeat(np.arange(10), 12), seed=2)
    generated = generated.reshape(10, 12, *images.shape[1:])
    real = np.stack([images[labels == label][:6] for label in range(10)])
    gap = np.ones_like(real[:, :1])
    rows = np.concatenate([generated, gap, real], axis=1)
    rows = rows.reshape(-1, *images.shape[1:])
    write_png(path, image_grid(rows, columns=19))

"""Handwritten digits, generated in one step.

Trains a class-conditional one-step generator on scikit-learn's 8x8 digits in
about a minute on a laptop, generates digits, and measures them with
classifiers:

    KERAS_BACKEND=jax python examples/digits.py

The backend is `jax`, `tensorflow` or `torch`. Pictures, the trained model and
the numbers go to `outputs/digits`.
"""

import argparse
import json
import pathlib
import time

import keras
import numpy as np
from sklearn.svm import SVC

import keras_drift as kd
from keras_drift.images import image_grid
from keras_drift.images import write_png

NUM_GENERATED = 24  # samples of a class in a step


def build_model(seed, num_generated=NUM_GENERATED):
    generator = kd.generators.DiT(
        image_shape=(8, 8, 1),
        num_classes=10,
        patch_size=4,
        hidden_dim=80,
        depth=2,
        mlp_ratio=3.0,
        cond_dim=48,
    )
    drift = kd.drifts.KernelDrift(
        kd.kernels.Laplacian([0.05, 0.2]), normalization="dual"
    )
    return kd.DriftModel(
        generator, drift, num_generated=num_generated, seed=seed
    )


def train(model, images, labels, epochs, steps_per_epoch, callbacks, seed):
    # All of a class' images fit into a batch: the best estimate of the field.
    batches = kd.datasets.GroupedDataset(
        images,
        labels,
        positives=128,
        steps_per_epoch=steps_per_epoch,
        seed=seed,
    )
    num_steps = epochs * steps_per_epoch
    learning_rate = keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0,
        decay_steps=num_steps,
        alpha=0.05,
        warmup_target=1.2e-2,
        warmup_steps=num_steps // 12,
    )
    model.compile(
        keras.optimizers.AdamW(
            learning_rate,
            beta_2=0.95,
            clipnorm=2.0,
            use_ema=True,
            ema_momentum=0.99,
        ),
        # Keras leaves XLA off for TensorFlow on CPUs, where it helps as well.
        jit_compile=True if keras.backend.backend() == "tensorflow" else "auto",
    )
    start = time.perf_counter()
    model.fit(batches, epochs=epochs, callbacks=callbacks)
    return time.perf_counter() - start


def measure(model, train_set, test_set, num_sets=8):
    """Accuracies of classifiers across real and generated digits.

    A classifier of real digits finds generated ones that are not their class. A
    classifier of generated digits, as many as there are real ones to train on,
    fails on real ones of a kind that is not generated. Both are means over
    several generated sets: one alone is up to 0.01 off.
    """
    (images, labels), (test_images, test_labels) = train_set, test_set
    generated_labels = np.arange(len(images)) % 10

    def flat(x):
        return x.reshape(len(x), -1)

    def classifier(x, y):
        return SVC(C=10.0).fit(flat(x), y)

    real = classifier(images, labels)
    on_generated, on_real = [], []
    for seed in range(1, num_sets + 1):
        generated = model.generate(labels=generated_labels, seed=seed)
        on_generated.append(real.score(flat(generated), generated_labels))
        synthetic = classifier(generated, generated_labels)
        on_real.append(synthetic.score(flat(test_images), test_labels))
    size = len(test_images)
    distance = kd.metrics.sliced_wasserstein(generated[:size], test_images)
    everything = np.concatenate([images, test_images])
    floor = kd.metrics.floor(kd.metrics.sliced_wasserstein, everything, n=size)
    return {
        "real_classifier_on_generated_digits": float(np.mean(on_generated)),
        "generated_classifier_on_real_digits": float(np.mean(on_real)),
        "generated_classifier_on_real_digits_of_seed_1": on_real[0],
        "real_classifier_on_real_digits": real.score(
            flat(test_images), test_labels
        ),
        "sliced_wasserstein": float(distance),
        "sliced_wasserstein_floor": float(floor),
    }


def save_picture(model, images, labels, path):
    """Twelve generated digits of each class beside six real ones."""
    generated = model.generate(labels=np.repeat(np.arange(10), 12), seed=2)
    generated = generated.reshape(10, 12, 8, 8, 1)
    real = np.stack([images[labels == digit][:6] for digit in range(10)])
    gap = np.ones((10, 1, 8, 8, 1))
    rows = np.concatenate([generated, gap, real], axis=1)
    write_png(path, image_grid(rows.reshape(-1, 8, 8, 1), columns=19, scale=4))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--steps-per-epoch", type=int, default=64)
    parser.add_argument(
        "--num-generated",
        type=int,
        default=NUM_GENERATED,
        help="generated samples of a class in a step; default: %(default)s",
    )
    parser.add_argument(
        "--output", type=pathlib.Path, default=pathlib.Path("outputs/digits")
    )
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    keras.utils.set_random_seed(args.seed)
    train_set = kd.datasets.digits("train")
    test_set = kd.datasets.digits("test")
    print(
        f"Learning to generate digits from {len(train_set[0])} examples on "
        f"{keras.backend.backend()}. `drift_norm` says how far the drift still "
        "wants to move the samples;\nthe loss is flat by construction. "
        f"Pictures of every epoch: {args.output / 'epochs'}"
    )
    model = build_model(args.seed, args.num_generated)
    seconds = train(
        model,
        *train_set,
        args.epochs,
        args.steps_per_epoch,
        [kd.callbacks.SampleGrid(args.output / "epochs", rows=4)],
        args.seed,
    )
    save_picture(model, *train_set, args.output / "digits.png")
    metrics = measure(model, train_set, test_set)
    model.save_to_preset(
        args.output / "preset",
        {
            "description": "8x8 handwritten digits, class-conditional.",
            "training_data": "Optical Recognition of Handwritten Digits "
            "(scikit-learn's digits), 80% split of each class, seed 0.",
            "metrics": {k: round(v, 4) for k, v in metrics.items()},
            "measured_with": f"examples/digits.py --epochs {args.epochs} "
            f"--num-generated {args.num_generated} "
            f"--seed {args.seed}, on {keras.backend.backend()}; "
            f"generated sets of {len(train_set[0])} digits, seeds 1 to 8",
            "license": "Apache-2.0 (weights); CC BY 4.0 (data)",
        },
    )
    numbers = {"seconds_of_fit": seconds, **metrics}
    for name, value in numbers.items():
        print(f"{name:46s} {value:8.4f}")
    (args.output / "numbers.json").write_text(json.dumps(numbers, indent=2))
    print(f"Generated beside real digits: {args.output / 'digits.png'}")


if __name__ == "__main__":
    main()

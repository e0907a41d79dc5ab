"""CIFAR-10 images, generated in one step by a small dense network.

Trains a classifier, compares generated with real images by their pixels and by
features of this classifier, for guidance scales from 1 to 4, and measures the
generated images with a network that training has not seen:

    KERAS_BACKEND=torch python examples/train_cifar10.py --data cifar10

The backend is `jax`, `tensorflow` or `torch`. `cifar10` holds the folders
`train` and `test`, each with one folder for each class; without `--data` Keras
downloads its copy. A run that was stopped goes on where it was. Everything goes
to `outputs/cifar10`.
"""

import json
import time

import keras
import matplotlib.pyplot as plt
import numpy as np
from keras import layers
from keras import ops
from small_images import accuracy
from small_images import arguments
from small_images import frechet
from small_images import nearest_class
from small_images import parsed
from small_images import principal_components
from small_images import save_picture
from small_images import shifted
from small_images import train
from small_images import train_classifier
from small_images import vectors

import keras_drift as kd

SHAPE = (32, 32, 3)
CLASSES = "airplane, automobile, bird, cat, deer, dog, frog, horse, ship, truck"
NUM_COMPONENTS = 320  # 97% of the variance
WIDTH = 512
SCALES = (1.0, 1.5, 2.0, 2.5, 3.0, 4.0)  # of guidance


def load(path):
    """Training and test images in `[-1, 1]`, with labels."""
    if path is None:
        sets = keras.datasets.cifar10.load_data()
        return [(x.astype("float32") / 127.5 - 1, y[:, 0]) for x, y in sets]
    sets = []
    for part in ("train", "test"):
        folder = kd.datasets.ImageFolder(path / part, SHAPE[0])
        images, readable = folder.read(np.arange(len(folder)))
        sets.append((images[readable], folder.labels[readable]))
    return sets


def with_mirrored(images, labels):
    """Each image twice, the second time mirrored."""
    images = np.concatenate([images, images[:, :, ::-1]])
    return images, np.concatenate([labels, labels])


# === Classifiers ===


def encoder_classifier(dtype):
    """Three residual stages; what generated images are compared by."""

    def convolution(x, filters, size, strides=1):
        x = layers.Conv2D(
            filters, size, strides, "same", use_bias=False, dtype=dtype
        )(x)
        x = layers.BatchNormalization(dtype=dtype)(x)
        return layers.Activation("relu", dtype=dtype)(x)

    images = x = keras.Input(SHAPE)
    for stage, (filters, size) in enumerate(((64, 4), (128, 2), (256, 2))):
        x = convolution(x, filters, size, 2)
        residual = convolution(convolution(x, filters, 3), filters, 3)
        x = layers.Add(name=f"stage_{stage}", dtype=dtype)([x, residual])
    x = layers.GlobalAveragePooling2D(dtype=dtype)(x)
    x = layers.Dropout(0.2, dtype=dtype)(x)
    x = layers.Dense(256, "relu", name="vector", dtype=dtype)(x)
    return keras.Model(images, layers.Dense(10, dtype="float32")(x))


def judge_classifier(dtype):
    """Plain convolutions; training does not see it."""
    images = x = keras.Input(SHAPE)
    for filters in (32, 32, None, 64, 96, None, 128, 160, None):
        if filters is None:
            x = layers.MaxPooling2D(dtype=dtype)(x)
            continue
        x = layers.Conv2D(filters, 3, 1, "same", use_bias=False, dtype=dtype)(x)
        x = layers.BatchNormalization(dtype=dtype)(x)
        x = layers.Activation("silu", dtype=dtype)(x)
    x = layers.Dropout(0.3, dtype=dtype)(layers.Flatten(dtype=dtype)(x))
    x = layers.Dense(192, "silu", name="vector", dtype=dtype)(x)
    return keras.Model(images, layers.Dense(10, dtype="float32")(x))


def augmented(images, rng):
    """Each image moved by up to four pixels, and half of them mirrored."""
    images = shifted(images, rng, 4, mode="reflect")
    mirrored = rng.random(len(images)) < 0.5
    return np.where(mirrored[:, None, None, None], images[:, :, ::-1], images)


def trained(build, dtype, images, labels, epochs, path, seed):
    """A classifier of real images, trained once and kept in a file."""
    keras.utils.set_random_seed(seed)
    model = build(dtype)
    if path.exists():
        model.load_weights(path)
        return model
    train_classifier(model, images, labels, epochs, augmented, seed)
    model.save_weights(path)
    return model


def without_normalization(classifier, dtype):
    """The same network, with batch normalization as part of convolutions.

    It is fixed in a trained classifier, and takes a fifth of a training step.
    """
    convolutions, normalizations = (
        [layer for layer in classifier.layers if isinstance(layer, kind)]
        for kind in (layers.Conv2D, layers.BatchNormalization)
    )
    pairs = iter(zip(convolutions, normalizations, strict=True))

    def convolution(x):
        old, normalization = next(pairs)
        new = layers.Conv2D(
            old.filters,
            old.kernel_size,
            old.strides,
            "same",
            activation="relu",
            dtype=dtype,
        )
        x = new(x)
        gain, offset, mean, variance = normalization.get_weights()
        gain = gain / np.sqrt(variance + normalization.epsilon)
        (kernel,) = old.get_weights()
        new.set_weights([kernel * gain, offset - mean * gain])
        return x

    images = x = keras.Input(SHAPE)
    outputs = {}
    for stage in range(3):
        x = convolution(x)
        residual = convolution(convolution(x))
        x = layers.Add(dtype=dtype)([x, residual])
        outputs[f"stage_{stage}"] = x
    x = layers.GlobalAveragePooling2D(dtype=dtype)(x)
    old = classifier.get_layer("vector")
    vector = layers.Dense(old.units, "relu", dtype=dtype)
    outputs["vector"] = vector(x)
    vector.set_weights(old.get_weights())
    return keras.Model(images, outputs)


def features(classifier, dtype):
    """What images are compared by: pixels, coarse pixels, parts, and a vector.

    Of stages 1 and 2, each of 4 x 4 places is compared by itself.
    """
    images = keras.Input(SHAPE)
    found = without_normalization(classifier, dtype)(images)

    def places(x):
        if x.shape[1] > 4:
            x = layers.AveragePooling2D(x.shape[1] // 4, dtype="float32")(x)
        return layers.Reshape((16, x.shape[-1]), dtype="float32")(x)

    outputs = {
        "pixels": layers.Flatten()(images),
        "coarse": layers.Flatten()(layers.AveragePooling2D(4)(images)),
        "stage_1": places(found["stage_1"]),
        "stage_2": places(found["stage_2"]),
        "vector": layers.Activation("linear", dtype="float32")(found["vector"]),
    }
    return keras.Model(images, outputs)


# === Generator ===


def build_generator(dtype, components=None, clipped=False):
    """Dense layers from noise, class and guidance to principal components.

    The last layer is fixed: it adds the principal components of the training
    images up.
    """
    noise = keras.Input((320,), name="noise")
    labels = keras.Input((), dtype="int32", name="labels")
    guidance = keras.Input((), name="guidance")
    table = keras.initializers.RandomNormal(stddev=1.0)
    x = layers.Concatenate(dtype=dtype)(
        [
            noise,
            # A continuous map of the noise would leave blends between kinds.
            ops.sign(noise[:, :8]),
            layers.Embedding(10, 64, table, dtype=dtype)(labels),
            layers.Reshape((1,))(guidance) - 1.0,
        ]
    )
    for _ in range(3):
        x = layers.Dense(WIDTH, "silu", dtype=dtype)(x)
    x = layers.Dense(NUM_COMPONENTS, dtype="float32")(x)
    pixels = layers.Dense(int(np.prod(SHAPE)), dtype="float32", name="pixels")
    x = layers.Reshape(SHAPE, dtype="float32")(pixels(x))
    pixels.trainable = False
    if components is not None:
        pixels.set_weights(components)
    if clipped:
        x = ops.clip(x, -1.0, 1.0)
    inputs = {"noise": noise, "labels": labels, "guidance": guidance}
    return kd.generators.Functional(keras.Model(inputs, x), num_classes=10)


def build_model(dtype, encoder=None, components=None, clipped=False):
    drift = kd.drifts.KernelDrift(
        kd.kernels.Laplacian([0.05, 0.2]), normalization="dual"
    )
    return kd.DriftModel(
        build_generator(dtype, components, clipped),
        drift,
        encoder,
        num_generated=16,
        guidance_sampler=kd.PowerLawGuidance(1.0, 4.0, power=3.0),
        seed=0,
    )


def with_contrast(components, images, power=0.5):
    """Components with gains, so that generated images vary more.

    Targets are means of several images, so generated ones have too little
    contrast. A gain of `ratio**power` for each component brings it nearer to
    that of the data; all of it would make errors larger as well.

    Args:
        components: list of the matrix and the mean, of `principal_components`.
        images: array `(n, height, width, channels)`, generated ones.
        power: float, 0 for no gain, 1 for the variances of the data.
    """
    matrix, mean = components
    scales = np.linalg.norm(matrix, axis=1, keepdims=True)
    found = (images.reshape(len(images), -1) - mean) @ (matrix / scales**2).T
    gains = found.std(0) ** -power
    return [
        matrix * gains[:, None],
        mean + (found.mean(0) * (1 - gains)) @ matrix,
    ]


# === Measures ===


def measure(model, judge, train_images, test_images, num_samples):
    """What `judge` and its features say of images at every guidance scale.

    Returns:
        A list of dicts, one for each scale, and the floor of their Fréchet
        distances, that of training images.
    """
    network = vectors(judge)
    found = kd.evaluation.sweep_guidance(
        model,
        test_images,
        SCALES,
        num_samples=num_samples,
        features=network,
        metrics=("fid", "precision_recall"),
        seed=1,
        batch_size=500,
        verbose=0,
    )
    labels = np.arange(num_samples) % 10
    rows = []
    for result in found["results"]:
        scale = result["guidance"]
        images = model.generate(
            labels=labels, guidance=scale, seed=1, batch_size=500
        )
        rows.append(
            {
                "guidance": scale,
                "accuracy": accuracy(judge, images, labels),
                "frechet_distance": result["fid"],
                "precision": result["precision"],
                "recall": result["recall"],
            }
        )
    few = np.random.default_rng(0).permutation(len(train_images))
    floor = frechet(
        network,
        train_images[few[:num_samples]],
        network.predict(test_images, 500, 0),
    )
    return rows, floor


def plot(rows, path):
    """What guidance changes: the measures against the scale."""
    scales = [row["guidance"] for row in rows]
    figure, axes = plt.subplots(1, 2, figsize=(8, 3), layout="constrained")
    for name in ("accuracy", "precision", "recall"):
        axes[0].plot(scales, [row[name] for row in rows], "o-", label=name)
    axes[0].set(ylim=(0, 1))
    axes[0].legend()
    axes[1].plot(
        scales, [row["frechet_distance"] for row in rows], "o-", color="black"
    )
    axes[1].set(ylim=(0, None), ylabel="Fréchet distance")
    for axis in axes:
        axis.set(xlabel="guidance scale")
    figure.savefig(path, dpi=120)
    plt.close(figure)


def card(args, num_images, metrics):
    """What the preset says about itself."""
    rows = [
        {key: round(value, 4) for key, value in row.items()}
        for row in metrics["by_guidance"]
    ]
    return {
        "description": "32x32 color images of ten classes, class-conditional, "
        "with guidance from 1 to 4: a dense network, one forward pass.",
        "classes": CLASSES,
        "training_data": f"{num_images} images of CIFAR-10, and the same "
        "mirrored.",
        "training": f"{args.steps} steps of 160 generated images, {args.dtype}",
        "metrics": {
            key: round(value, 4)
            for key, value in metrics.items()
            if key != "by_guidance"
        }
        | {"by_guidance": rows},
        "measured_with": f"examples/train_cifar10.py --data {args.data} "
        f"--steps {args.steps} --dtype {args.dtype}, on "
        f"{keras.backend.backend()}; {args.samples} generated images, features "
        "of a CNN that training does not see; nearest_neighbor_accuracy of "
        "1000, without guidance",
        "license": "Apache-2.0 (weights)",
    }


def main():
    parser = arguments(
        __doc__.splitlines()[0],
        steps=2400,
        classifier_epochs=14,
        output="outputs/cifar10",
    )
    parser.add_argument("--samples", type=int, default=3000)
    args = parsed(parser)
    train_set, test_set = load(args.data)

    start = time.perf_counter(), time.process_time()
    encoder, judge = (
        trained(
            build,
            args.dtype,
            *train_set,
            args.classifier_epochs,
            args.output / f"{build.__name__}.weights.h5",
            seed,
        )
        for seed, build in enumerate((encoder_classifier, judge_classifier))
    )
    print(f"Accuracy of the encoder: {accuracy(encoder, *test_set):.4f}")
    print(f"Accuracy of the judge: {accuracy(judge, *test_set):.4f}")

    keras.utils.set_random_seed(0)
    components = principal_components(train_set[0], NUM_COMPONENTS)
    model = build_model(args.dtype, features(encoder, args.dtype), components)
    train(
        model,
        *with_mirrored(*train_set),
        args.steps,
        32,
        args.output,
        unconditional=16,
    )
    numbers = {
        "seconds": time.perf_counter() - start[0],
        "cpu_seconds": time.process_time() - start[1],
    }

    # The preset computes in float32, and drawing needs no encoder.
    with model.averaged_weights():
        weights = model.generator.get_weights()
        images = model.generate(2000, seed=3, batch_size=500)
    shipped = build_model("float32", clipped=True)
    shipped.generator.set_weights(weights)
    pixels = shipped.generator.model.get_layer("pixels")
    pixels.set_weights(with_contrast(components, images))

    save_picture(shipped, *train_set, args.output / "cifar10.png")
    rows, floor = measure(
        shipped, judge, train_set[0], test_set[0], args.samples
    )
    plot(rows, args.output / "guidance.png")
    labels = np.arange(1000) % 10
    images = shipped.generate(labels=labels, seed=1, batch_size=500)
    nearest = float(np.mean(nearest_class(images, *train_set) == labels))
    metrics = {
        **min(rows, key=lambda row: row["frechet_distance"]),
        "frechet_distance_floor": floor,
        "nearest_neighbor_accuracy": nearest,
        "by_guidance": rows,
    }
    shipped.save_to_preset(
        args.output / "preset", card(args, len(train_set[0]), metrics)
    )
    print("scale  accuracy  Fréchet  precision  recall")
    for row in rows:
        print(
            f"{row['guidance']:5.1f}  {row['accuracy']:8.4f}"
            f"  {row['frechet_distance']:7.2f}  {row['precision']:9.4f}"
            f"  {row['recall']:6.4f}"
        )
    print(f"FID of training images, the floor: {floor:.2f}")
    (args.output / "numbers.json").write_text(
        json.dumps(numbers | metrics, indent=2)
    )


if __name__ == "__main__":
    main()

"""MNIST digits, generated in one step by a small dense network.

Trains a classifier of the digits, compares generated with real digits by their
pixels, by quarters of the image and by features of this classifier, for
guidance scales from 1 to 2, and measures the generated digits with networks
that training has not seen:

    KERAS_BACKEND=jax python examples/train_mnist.py --data mnist.npz

The backend is `jax`, `tensorflow` or `torch`. `mnist.npz` holds `x`, uint8
images `(n, 28, 28)`, and `y`, their labels; without `--data` Keras downloads
its copy. A run that was stopped goes on where it was. Everything goes to
`outputs/mnist`.
"""

import json
import time

import keras
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

SHAPE = (28, 28, 1)
NUM_COMPONENTS = 256  # 98% of the variance
SCALES = (1.0, 1.5, 2.0)  # of guidance


def load(path):
    """Training and held-out images in `[-1, 1]`, with labels: 4 to 1."""
    if path is None:
        images, labels = keras.datasets.mnist.load_data()[0]
    else:
        with np.load(path) as file:
            images, labels = file["x"], file["y"]
    order = np.random.default_rng(0).permutation(len(images))
    images = (images[order].astype("float32") / 127.5 - 1.0)[..., None]
    labels = labels[order].astype("int32")
    count = len(images) * 4 // 5
    return (images[:count], labels[:count]), (images[count:], labels[count:])


# === Classifiers ===


def classifier(filters, width, dtype, strides=2):
    """Convolutions and a dense layer called `vector`, whose outputs compare."""
    images = keras.Input(SHAPE)
    x = images
    for count in filters:
        x = layers.Conv2D(
            count, 5, strides, "same", activation="relu", dtype=dtype
        )(x)
    x = layers.Dropout(0.3)(layers.Flatten()(x))
    x = layers.Dense(width, "relu", name="vector", dtype=dtype)(x)
    return keras.Model(images, layers.Dense(10, dtype="float32")(x))


def shifted_digits(images, rng):
    """Each digit moved by up to two pixels along each axis."""
    return shifted(images, rng, 2, constant_values=-1.0)


# === Generator ===


def build_generator(dtype, images=None, contrast=None):
    """Dense layers from noise, class and guidance to principal components.

    The last layer is fixed: it adds the principal components of `images` up. A
    trained one would have to learn of every pixel of the paper that it is
    empty, and leaves noise there. `contrast` is a gain and an offset of the
    pixels, which are clipped to `[-1, 1]` then: for drawing, since clipped
    digits are alike and would not repel each other in training.
    """
    noise = keras.Input((64,), name="noise")
    labels = keras.Input((), dtype="int32", name="labels")
    guidance = keras.Input((), name="guidance")
    table = keras.initializers.RandomNormal(stddev=1.0)
    classes = layers.Embedding(10, 64, table, dtype=dtype)(labels)
    # A continuous map of the noise would leave blends of digits between kinds.
    codes = ops.sign(noise[:, :8])
    scale = layers.Reshape((1,))(guidance) - 1.0
    x = layers.Concatenate(dtype=dtype)([noise, codes, classes, scale])
    for _ in range(3):
        x = layers.Dense(512, "silu", dtype=dtype)(x)
    x = layers.Dense(NUM_COMPONENTS, dtype="float32")(x)
    pixels = layers.Dense(int(np.prod(SHAPE)), dtype="float32")
    x = layers.Reshape(SHAPE, dtype="float32")(pixels(x))
    pixels.trainable = False
    if images is not None:
        pixels.set_weights(principal_components(images, NUM_COMPONENTS))
    if contrast is not None:
        gain, offset = contrast
        x = ops.clip(gain * x + offset, -1.0, 1.0)
    inputs = {"noise": noise, "labels": labels, "guidance": guidance}
    return kd.generators.Functional(keras.Model(inputs, x), num_classes=10)


def features(encoder):
    """What digits are compared by: pixels, quarters, and `encoder`'s vector."""
    images = keras.Input(SHAPE)
    quarters = layers.Reshape((2, 14, 2, 14))(images)
    quarters = layers.Permute((1, 3, 2, 4))(quarters)
    outputs = {
        "pixels": layers.Flatten()(images),
        "quarters": layers.Reshape((4, 196))(quarters),
        "vector": vectors(encoder)(images),
    }
    return keras.Model(images, outputs)


def contrast_of(generated, images):
    """Gain and offset with which clipped pixels match the data.

    Targets are means of several digits, so generated ones are paler than real
    ones and have faint traces on paper. Of a grid, this is the pair with which
    mean and standard deviation of the pixels are nearest to those of `images`.
    """
    pairs = [
        (gain, gain * (1.0 - 2.0 * threshold) - 1.0)
        for gain in np.linspace(1.0, 3.0, 21)
        for threshold in np.linspace(0.0, 0.4, 21)
    ]
    moments = [_moments(np.clip(a * generated + b, -1, 1)) for a, b in pairs]
    errors = np.square(np.subtract(moments, _moments(images))).sum(axis=1)
    return tuple(map(float, pairs[errors.argmin()]))


def _moments(images):
    return images.mean(), images.std()


def build_model(dtype, encoder=None, images=None, contrast=None):
    drift = kd.drifts.KernelDrift(
        kd.kernels.Laplacian([0.05, 0.2]), normalization="dual"
    )
    return kd.DriftModel(
        build_generator(dtype, images, contrast),
        drift,
        encoder,
        num_generated=32,
        guidance_sampler=kd.PowerLawGuidance(1.0, 2.0, power=3.0),
        seed=0,
    )


# === Measures ===


def measure(model, train_set, test_set, epochs, dtype="float32"):
    """Accuracies of classifiers across real and generated digits.

    A classifier of real digits finds generated ones that are not their class. A
    classifier of generated digits fails on real ones of a kind that is not
    generated. The Fréchet distance is that of the features of the first one,
    between generated and held-out digits; its floor that of training digits.
    All of them without guidance; `by_guidance` has the numbers of the first
    classifier for each scale.
    """
    labels = np.arange(min(10_000, len(train_set[0]) * 5 // 4)) % 10
    drawn = [
        model.generate(labels=labels, guidance=scale, seed=1, batch_size=500)
        for scale in SCALES
    ]
    judges = [
        train_classifier(
            classifier((32, 64, 128), 128, dtype), *data, shifted_digits, seed
        )
        for *data, seed in (
            (*train_set, 2 * epochs, 1),
            (drawn[0], labels, epochs, 2),
            (*train_set, epochs, 2),
        )
    ]
    real, synthetic, same_size = judges
    feature = vectors(real)
    test = feature.predict(test_set[0], 500, 0)
    rows = [
        {
            "guidance": scale,
            "accuracy": accuracy(real, images, labels),
            "frechet_distance": frechet(feature, images, test),
        }
        for scale, images in zip(SCALES, drawn, strict=True)
    ]
    few = slice(min(1000, len(labels)))
    nearest = nearest_class(drawn[0][few], *train_set)
    return {
        "real_classifier_on_generated_digits": rows[0]["accuracy"],
        "generated_classifier_on_real_digits": accuracy(synthetic, *test_set),
        "real_classifier_on_real_digits": accuracy(real, *test_set),
        "real_classifier_on_real_digits_trained_alike": accuracy(
            same_size, *test_set
        ),
        "frechet_distance": rows[0]["frechet_distance"],
        "frechet_distance_floor": frechet(feature, train_set[0], test),
        "nearest_neighbor_accuracy": float(np.mean(nearest == labels[few])),
        "by_guidance": rows,
    }


def rounded(values):
    """Numbers with four digits after the point, in a nest of them."""
    return keras.tree.map_structure(lambda value: round(value, 4), values)


def encoder_of(images, labels, epochs, dtype, path):
    """The classifier whose features are compared, trained once."""
    model = classifier((32, 64), 128, dtype)
    if path.exists():
        model.load_weights(path)
        return model
    train_classifier(model, images, labels, epochs, shifted_digits)
    model.save_weights(path)
    return model


def main():
    parser = arguments(
        __doc__.splitlines()[0],
        steps=4000,
        classifier_epochs=16,
        output="outputs/mnist",
    )
    args = parsed(parser)
    keras.utils.set_random_seed(0)
    train_set, test_set = load(args.data)
    epochs = args.classifier_epochs

    start = time.perf_counter(), time.process_time()
    path = args.output / "encoder.weights.h5"
    encoder = encoder_of(*train_set, 2 * epochs, args.dtype, path)
    print(f"Accuracy of the encoder: {accuracy(encoder, *test_set):.4f}")
    model = build_model(args.dtype, features(encoder), train_set[0])
    train(model, *train_set, args.steps, 64, args.output, unconditional=32)
    numbers = {
        "seconds": time.perf_counter() - start[0],
        "cpu_seconds": time.process_time() - start[1],
    }

    # The preset computes in float32, and drawing needs no encoder.
    with model.averaged_weights():
        weights = model.generator.get_weights()
        generated = model.generate(500, seed=3)
    contrast = contrast_of(generated, train_set[0])
    shipped = build_model("float32", contrast=contrast)
    shipped.generator.set_weights(weights)
    save_picture(shipped, *train_set, args.output / "mnist.png")
    metrics = measure(shipped, train_set, test_set, epochs, args.dtype)
    shipped.save_to_preset(
        args.output / "preset",
        {
            "description": "28x28 handwritten digits, class-conditional, with "
            "guidance from 1 to 2: a dense network, one forward pass.",
            "training_data": f"{len(train_set[0])} digits of MNIST; "
            f"{len(test_set[0])} others are held out.",
            "training": f"{args.steps} steps of 320 generated digits, "
            f"{args.dtype}",
            "contrast": "gain {:.2f}, offset {:.2f}".format(*contrast),
            "metrics": rounded(metrics),
            "measured_with": f"examples/train_mnist.py --steps {args.steps} "
            f"--classifier-epochs {epochs} --dtype {args.dtype}, on "
            f"{keras.backend.backend()}; 10,000 generated digits, seed 1",
            "license": "Apache-2.0 (weights); CC BY-SA 3.0 (data)",
        },
    )
    for name, value in rounded({**numbers, **metrics}).items():
        print(f"{name:46s} {value}")
    (args.output / "numbers.json").write_text(
        json.dumps({**numbers, **metrics}, indent=2)
    )


if __name__ == "__main__":
    main()

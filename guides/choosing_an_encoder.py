# %% [markdown]
# # Choosing an encoder
#
# An encoder is a frozen map from samples to features. The drift compares
# samples by distances between their features, so the encoder decides which
# samples are similar, and what the generator learns. This guide measures the
# encoders of the library on handwritten digits, shows how to train one, how to
# join several, and ends with a list of recommendations.
#
# Run it as a script, or cell by cell:
#
#     KERAS_BACKEND=jax python guides/choosing_an_encoder.py
#
# with the backend that you installed: `jax`, `tensorflow` or `torch`. Figures
# are written to `outputs/guides`.

# %%
import os
import pathlib
import time

import keras
import matplotlib.pyplot as plt
import numpy as np
from keras import layers

import keras_drift as kd
from keras_drift import encoders
from keras_drift.images import image_grid

# `quick` is for the tests, which run every guide.
quick = bool(os.environ.get("KERAS_DRIFT_QUICK"))
folder = pathlib.Path("outputs/guides")
folder.mkdir(parents=True, exist_ok=True)
keras.utils.set_random_seed(0)

# %% [markdown]
# ## Meaningful distances
#
# The velocity of a sample is a weighted mean over the data, whose weights
# decrease with distance. If the nearest data are of the same kind, this mean is
# a sample of that kind. If they are not, it is a blend of different things.
#
# So the measure of this guide is how often the nearest neighbor of an image has
# the same class. The number of references is that of one training step in the
# ablation of [the paper](https://arxiv.org/abs/2602.04770), 64 of each class.
# The distance is that of the drift: each token of a feature, such as a position
# of a map, is compared with the same token of the other image, and each feature
# is in units of its mean distance.

# %%
(train_images, train_labels), (images, labels) = (
    kd.datasets.digits(split) for split in ("train", "test")
)
references = np.concatenate(
    [
        np.flatnonzero(train_labels == digit)[: 4 if quick else 64]
        for digit in range(10)
    ]
)
if quick:
    images, labels = images[:20], labels[:20]


def program_of(encoder):
    """A compiled function of images, whose results are arrays."""
    inputs = keras.Input((*train_images.shape[1:3], 1))
    return keras.Model(inputs, encoder(inputs))


def distances(x, y):
    """Mean distance of the tokens, `(n, m)`, in units of its mean."""
    total = 0.0
    for a, b in zip(np.moveaxis(x, 1, 0), np.moveaxis(y, 1, 0), strict=True):
        squares = (a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * a @ b.T
        total = total + np.sqrt(np.maximum(squares, 0))
    return total / max(total.mean(), 1e-6)


def compare(program):
    """Distances to the references, by feature; milliseconds per 1000."""
    stacked = np.concatenate([images, train_images[references]])
    options = {"batch_size": len(stacked), "verbose": 0}
    program.predict(stacked, **options)  # compiles
    start = time.perf_counter()
    features = program.predict(stacked, **options)
    milliseconds = 1e6 * (time.perf_counter() - start) / len(stacked)
    n = len(images)
    found = {name: distances(f[:n], f[n:]) for name, f in features.items()}
    return found, milliseconds


def accuracy(distance):
    nearest = references[distance.argmin(axis=1)]
    return np.mean(train_labels[nearest] == labels)


# %% [markdown]
# The digits fill their 8 x 8 pixels, so the same position shows the same part
# of a digit, and distances between pixels are meaningful. In photographs,
# objects appear at different positions. A simple model of this: each digit at a
# random position of 12 x 12 pixels.


# %%
def moved(images, seed):
    """Each image at a random position of a larger one."""
    rng = np.random.default_rng(seed)
    canvas = np.full((len(images), 12, 12, 1), -1.0, "float32")
    corners = rng.integers(5, size=(len(images), 2))
    for larger, image, (row, column) in zip(
        canvas, images, corners, strict=True
    ):
        larger[row : row + 8, column : column + 8] = image
    return canvas


found, _ = compare(program_of(encoders.Identity()))
print(f"pixels, digits in place: {accuracy(found['samples']):.3f}")
train_images, images = moved(train_images, 0), moved(images, 1)
identity = program_of(encoders.Identity())
found, _ = compare(identity)
print(f"pixels, digits moved:    {accuracy(found['samples']):.3f}")

# %% [markdown]
# For the digits in place no encoder is needed: `Identity`, the default of
# `DriftModel`, compares samples as they are. For the moved ones its nearest
# neighbor is often another digit at the same position.
#
# ## Statistics of patches: `Pooled`
#
# `Pooled` adds means and standard deviations of patches to the maps of another
# encoder. They do not depend on positions within a patch. Means over large
# patches of pixels lose the shape of the digit as well. `Identity` makes one
# vector of an image; here the pixels are a map, with a token for each.

# %%
pixels = keras.Sequential([keras.Input((12, 12, 1)), layers.Identity()])
pooled = encoders.Pooled(pixels)

# %% [markdown]
# ## Any Keras model: `Pretrained`
#
# A network that was trained for another task can serve as an encoder through
# its hidden layers, chosen with `outputs`. Here it is a small classifier of the
# moved digits. With KerasHub, `keras.applications` and keras-cv the code is the
# same, and the weights are those of much larger data sets:
#
# ```python
# backbone = keras.applications.ResNet50V2(
#     include_top=False, input_shape=(224, 224, 3)
# )
# encoder = encoders.Pretrained(
#     backbone, outputs=["conv3_block4_out", "conv4_block6_out"]
# )
#
# backbone = keras_hub.models.DINOV2Backbone.from_preset(
#     "dinov2_small", image_shape=(224, 224, 3)
# )
# encoder = encoders.Pretrained(
#     backbone,
#     outputs=["stage6", "layernorm"],
#     preprocessing="imagenet",
#     num_prefix_tokens=1,  # the class token, which is not part of the map
# )
# ```
#
# `preprocessing` converts images in `[-1, 1]` to what the network expects:
# `ResNet50V2` takes them as they are, KerasHub's backbones do not. It may also
# be a Keras layer, such as `keras.layers.Resizing`.

# %%
classifier = keras.Sequential(
    [
        keras.Input((12, 12, 1)),
        layers.Conv2D(16, 3, padding="same", activation="relu"),
        layers.Conv2D(32, 3, 2, padding="same", activation="relu", name="maps"),
        layers.Conv2D(
            32, 3, padding="same", activation="relu", name="deep_maps"
        ),
        layers.GlobalAveragePooling2D(name="vector"),
        layers.Dense(10),
    ]
)
classifier.compile(
    keras.optimizers.Adam(3e-3),
    keras.losses.SparseCategoricalCrossentropy(from_logits=True),
)
classifier.fit(
    train_images,
    train_labels,
    batch_size=64,
    epochs=1 if quick else 20,
    steps_per_epoch=2 if quick else None,
    verbose=0,
)
of_classifier = encoders.Pretrained(
    classifier, outputs=["maps", "deep_maps", "vector"]
)

# %% [markdown]
# ## Train one on your own images: `MAEResNet`
#
# The published models are trained in the features of a `MAEResNet`. A
# `MaskedAutoencoder` trains it, without labels: it hides random patches of the
# images and reconstructs them. With labels, a classifier can be trained
# jointly, as at the end of the published training. `LinearRamp` is its weight
# in the loss: zero at first, so that the network is a masked autoencoder, then
# rising.
#
# This network is small, to train in less than a minute: 16 channels in the
# first stage, where the published ones have 256 and 640. With 32 or fewer, the
# norm at the end of a stage has one channel in each group, which makes the mean
# and the standard deviation over the whole map constant. So these are left out.

# %%
num_epochs, classified_epochs = (1, 1) if quick else (3, 6)
num_images = 16 if quick else len(train_images)
batch_size = 64
steps_per_epoch = -(-num_images // batch_size)
ramp = kd.schedules.LinearRamp(
    0.5, start=num_epochs * steps_per_epoch, num_steps=steps_per_epoch
)
mae = encoders.MAEResNet(
    image_channels=1,
    base_channels=16,
    num_blocks=(1, 1, 1, 1),
    global_mean=False,
    global_std=False,
)
autoencoder = encoders.MaskedAutoencoder(
    mae, num_classes=10, classifier_weight=ramp, seed=0
)
autoencoder.compile(
    keras.optimizers.AdamW(
        4e-3, weight_decay=0.01, beta_2=0.95, global_clipnorm=2.0
    )
)

mae_program = program_of(mae)
results = {
    "Identity": compare(identity),
    "Pooled": compare(program_of(pooled)),
    "Pretrained (classifier)": compare(program_of(of_classifier)),
    "MAEResNet, random": compare(mae_program),
}
for name, first, last in (
    ("MAEResNet, masked", 0, num_epochs),
    ("MAEResNet, classified", num_epochs, num_epochs + classified_epochs),
):
    history = autoencoder.fit(
        train_images[:num_images],
        train_labels[:num_images],
        batch_size=batch_size,
        initial_epoch=first,
        epochs=last,
        verbose=0,
    ).history
    print(
        f"after {last} epochs: reconstruction loss "
        f"{history['reconstruction_loss'][-1]:.3f}, accuracy of the classifier "
        f"{history['accuracy'][-1]:.2f}"
    )
    results[name] = compare(mae_program)

# %% [markdown]
# ## The comparison
#
# All features of an encoder together, as the loss of a `DriftModel` adds them
# up, and the best of them alone.

# %%
print(f"{'':26s}features  together  best alone              ms for 1000 images")
for name, (found, milliseconds) in results.items():
    alone = {feature: accuracy(found[feature]) for feature in found}
    best = max(alone, key=alone.get)
    print(
        f"{name:26s}{len(found):8d}  {accuracy(sum(found.values())):8.3f}"
        f"  {alone[best]:.3f} {best:16s}{milliseconds:20.0f}"
    )

# %% [markdown]
# The figure shows the first test image of each digit, and its nearest
# references in four of the feature spaces, those of another class in red.

# %%
shown = [
    "Identity",
    "Pooled",
    "MAEResNet, classified",
    "Pretrained (classifier)",
]
queries = [np.flatnonzero(labels == digit)[0] for digit in range(10)]


def row_of(query, distance):
    """An image and its nearest references, in color."""
    nearest = references[np.argsort(distance[query])[:6]]
    row = np.concatenate([images[[query]], train_images[nearest]])
    margins = [(0, 0), (1, 1), (1, 1), (0, 0)]
    row = np.pad(row, margins, constant_values=-1).repeat(3, axis=-1)
    wrong = np.r_[False, train_labels[nearest] != labels[query]]
    row[wrong, ..., 0] = np.maximum(row[wrong, ..., 0], 0.6)
    row[0] = -row[0]
    return row


figure, axes = plt.subplots(1, 4, figsize=(13, 5), layout="constrained")
for axis, name in zip(axes, shown, strict=True):
    together = sum(results[name][0].values())
    rows = np.concatenate([row_of(query, together) for query in queries])
    axis.imshow(image_grid(rows, columns=7, scale=3))
    axis.set(title=name, xticks=[], yticks=[])
figure.savefig(folder / "encoders.png", dpi=110)

# %% [markdown]
# - Pixels fail where things move, and statistics of pixels do not help.
# - The random network is no better than pixels: depth alone is not enough.
# - Reconstruction alone does not help here either, after so few epochs on so
#   few images. The published encoders are trained for hundreds of epochs on
#   ImageNet.
# - Labels help, both in the masked autoencoder and in the classifier: features
#   that tell classes apart compare what the digits are, not where. In the
#   paper, too, the classifier at the end of the training improves the FID, from
#   4.28 to 3.36.
# - The best feature of the classifier is its last, the mean over positions,
#   which is the least sensitive to motion. A generator that is trained on it
#   alone would not learn where the digit is, which this mean hardly tells.
#
# ## Several encoders, drifts and weights
#
# So a model is trained on many features at once, coarse ones for what is shown
# and fine ones for where. `Union` joins several encoders, and adds the samples
# themselves as the feature `"global"`. `drift` takes a dict from patterns of
# feature names to drifts, of which the first match applies; `loss_weights` does
# the same for the weights in the loss, and features of weight zero are not
# computed.

# %%
model = kd.DriftModel(
    kd.generators.DiT(
        image_shape=(12, 12, 1), num_classes=10, hidden_dim=32, depth=1
    ),
    drift={
        "net_maps": kd.drifts.KernelDrift("laplacian", normalization="dual"),
        "*": kd.drifts.KernelDrift(
            kd.kernels.Laplacian([0.05, 0.2]), normalization="dual"
        ),
    },
    encoder=encoders.Union({"net": of_classifier}),
    loss_weights={"net_deep_maps": 0.0, "net_maps": 0.5},
    seed=0,
)
features = model.encoder(keras.Input((12, 12, 1)))
print({name: feature.shape[1:] for name, feature in features.items()})
batches = kd.datasets.GroupedDataset(
    train_images, train_labels, positives=16, steps_per_epoch=2
)
model.compile(keras.optimizers.AdamW(1e-3))
model.fit(batches, epochs=1, verbose=2)  # to show the call

# %% [markdown]
# ## The encoders of the published models
#
# The official encoders can be loaded by name. They are large; `from_preset`
# fetches and converts them on first use. Those of latents take latents of the
# autoencoder of Stable Diffusion.

# %%
for name, card in encoders.MAEResNet.presets.items():
    print(f"{name}: samples {card['image_shape']}", end=", ")
    print(f"{card['num_parameters']:,} parameters")

# %% [markdown]
# The published pixel models compare images by two encoders, a `MAEResNet` and
# a `ConvNeXtV2`, a classifier of ImageNet:
#
# ```python
# encoder = encoders.Union(
#     [
#         encoders.MAEResNet.from_preset("mae_pixel_640"),
#         encoders.ConvNeXtV2.from_preset(
#             "hf://facebook/convnextv2-base-22k-224"
#         ),
#     ]
# )
# ```
#
# In the paper the second one improves the FID of pixel models from 9.35 to
# 3.70. Here is its structure, with random weights and few channels.

# %%
convnext = encoders.ConvNeXtV2(
    depths=(1, 1, 1, 1), hidden_dims=(4, 8, 8, 16), image_size=32
)
for name, feature in convnext(keras.Input((32, 32, 3))).items():
    print(f"{name:22s} (batch, tokens, dim) = {feature.shape}")

# %% [markdown]
# ## Recommendations
#
# - Points, tables, and small images with everything in place: `Identity`, the
#   default. It is exact and costs nothing.
# - Photographs: a network trained on photographs, as `Pretrained` or
#   `ConvNeXtV2`, with outputs of several depths. Training an encoder takes far
#   more data and time than loading one.
# - Images of another kind (medical, spectrograms), or latents of an
#   autoencoder: a `MAEResNet` trained on them, with a classifier at the end if
#   there are labels. For latents of Stable Diffusion, the official ones.
# - Maps of an encoder that has no statistics of its own: `Pooled`, since
#   patches lie between positions and the whole image.
# - Always more than one feature, and a fine one among them: `Union` adds the
#   samples. The drift cannot correct what no feature distinguishes.
# - Before a long training run, measure as in this guide: if the nearest
#   neighbors of your data do not look similar, the features are unsuitable.

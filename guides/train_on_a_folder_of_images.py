# %% [markdown]
# # Train on a folder of images
#
# From image files to a generator: `ImageFolder` reads a folder that has one
# folder for each class, the layout of ImageNet, and says which files it cannot
# use. This guide draws a small folder of its own, so that it runs by itself:
#
#     pip install "keras-drift[examples]"
#     KERAS_BACKEND=jax python guides/train_on_a_folder_of_images.py
#
# with the backend that you installed: `jax`, `tensorflow` or `torch`. For your
# own images set `directory` and `image_size` below. Figures are written to
# `outputs/guides`. On the command line, `keras-drift train folder_small --data
# FOLDER` does the same; the configuration `folder` has larger networks and an
# encoder.

# %%
import os
import pathlib
import warnings

import keras
import numpy as np
from PIL import Image
from PIL import ImageDraw

import keras_drift as kd
from keras_drift.images import image_grid
from keras_drift.images import write_png

# `quick` is for the tests, which run every guide.
quick = bool(os.environ.get("KERAS_DRIFT_QUICK"))
folder = pathlib.Path("outputs/guides")
folder.mkdir(parents=True, exist_ok=True)
keras.utils.set_random_seed(0)

# %% [markdown]
# ## A folder
#
# Three classes of drawings, in several sizes and file types, as is typical of
# image collections: JPEG, PNG and WebP, in color and in gray, and two files
# that are damaged.

# %%
directory = folder / "shapes"
image_size = 16
rng = np.random.default_rng(0)


def drawing(shape):
    """A shape of some color on a dark background."""
    width, height = rng.integers(60, 120, 2).tolist()
    background = tuple(rng.integers(0, 60, 3).tolist())
    color = tuple(rng.integers(150, 256, 3).tolist())
    image = Image.new("RGB", (width, height), background)
    draw = ImageDraw.Draw(image)
    radius = min(width, height) * rng.uniform(0.25, 0.4)
    x, y = width / 2, height / 2
    box = (x - radius, y - radius, x + radius, y + radius)
    if shape == "circle":
        draw.ellipse(box, fill=color)
    elif shape == "square":
        draw.rectangle(box, fill=color)
    else:
        draw.polygon(
            [(x, box[1]), (box[0], box[3]), (box[2], box[3])], fill=color
        )
    return image


for shape in ("circle", "square", "triangle"):
    (directory / shape).mkdir(parents=True, exist_ok=True)
    for index in range(64):
        suffix = ("jpg", "png", "webp")[index % 3]
        image = drawing(shape)
        if index % 16 == 1:
            image = image.convert("L")
        image.save(directory / shape / f"{index:02d}.{suffix}")

damaged = directory / "circle" / "03.jpg"
damaged.write_bytes(damaged.read_bytes()[:300])
(directory / "square" / "06.jpg").write_text("not an image")

# %% [markdown]
# ## Read it
#
# `ImageFolder` lists the files at once, and decodes them when they are asked
# for: to the center crop that the published models were trained on, 8 bits,
# three channels (`channels=1` for gray), with the EXIF orientation applied.
#
# Each file that cannot be read is named in a warning and skipped. If more than
# `unreadable_share` of them cannot, 1% by default, reading stops with an error.
# Here 2 of 192 are damaged, so we allow 5%. Mistakes in the layout (an
# empty class, images outside of class folders) show here, before training.

# %%
images = kd.datasets.ImageFolder(
    directory, image_size=image_size, unreadable_share=0.05
)
print(f"{len(images)} images of {images.class_names}")

with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    pixels, readable = images.read(np.arange(len(images)))
for warning in caught:
    print(warning.message)
pixels, labels = pixels[readable], images.labels[readable]
print("in memory:", pixels.shape, f"from {pixels.min()} to {pixels.max()}")

# %% [markdown]
# Look at the data before you train: ten images of each class.

# %%
rows = [pixels[labels == label][:10] for label in range(images.num_classes)]
grid = image_grid(np.concatenate(rows), columns=10, scale=3)
write_png(folder / "folder_data.png", grid)
Image.fromarray(grid)  # a notebook shows it

# %% [markdown]
# ## Train
#
# A drift compares generated samples of a class with data of the same class, so
# a batch needs many images of each of its classes. `GroupedDataset` draws them
# from the arrays in memory.

# %%
batches = kd.datasets.GroupedDataset(
    pixels, labels, positives=32, steps_per_epoch=2 if quick else 50, seed=0
)
model = kd.DriftModel(
    kd.generators.DiT(
        image_shape=images.image_shape,
        num_classes=images.num_classes,
        patch_size=4,
        hidden_dim=32 if quick else 64,
        depth=1 if quick else 2,
        num_heads=2,
    ),
    drift=kd.drifts.KernelDrift(
        kd.kernels.Laplacian([0.02, 0.05, 0.2]), normalization="dual"
    ),
    seed=0,
)
model.compile(
    keras.optimizers.AdamW(2e-3, beta_2=0.95, clipnorm=2.0),
    metrics=[kd.metrics.SlicedWasserstein()],
)
model.fit(batches, epochs=1 if quick else 4, verbose=2)

samples = model.generate(labels=np.repeat(np.arange(3), 10), seed=0)
grid = image_grid(samples, columns=10, scale=3)
write_png(folder / "folder_samples.png", grid)
Image.fromarray(grid)

# %% [markdown]
# ## Images that do not fit in memory
#
# One image takes `4 * height * width * channels` bytes: 0.8 MB at 256 x 256 in
# color, so 10,000 of them take 8 GB. Beyond that, iterate over the folder: it
# yields full, shuffled batches indefinitely, decoded as they are needed.
# `flip=True` mirrors half of the images, and `augmentation` takes a Keras or
# keras-cv layer.
#
# `workers=8` decodes in eight processes, by grain (`keras-drift[imagenet]`).
# Batches are the same with any number of them. Processes import the script
# again, so with workers put its code into a function that is called under
# `if __name__ == "__main__":`.

# %%
stream = kd.datasets.ImageFolder(
    directory,
    image_size=image_size,
    flip=True,
    augmentation=keras.layers.RandomBrightness(0.1, value_range=(-1, 1)),
    batch_size=64,
    unreadable_share=0.05,
    seed=0,
)
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # the damaged files, again
    steps = iter(stream)
    next(steps)
    state = stream.get_state()
    expected, _ = next(steps)
    print("state, to be saved with a run:", state)

    # A run that was interrupted goes on with the same images.
    stream.set_state(state)
    again, _ = next(steps)
print("the same batch:", np.array_equal(expected, again))

# %% [markdown]
# ## Which data set
#
# - *Images that fit in memory:* `GroupedDataset`, from `ImageFolder.read` as
#   above.
# - *Latents of an autoencoder:* `LatentCache` encodes every image once, onto
#   the disk, and `GroupedDataset` reads them from there, even if they do not
#   fit in memory.
# - *Pixels that do not fit, or a new augmentation each time:* `BankedDataset`
#   around the batches of an `ImageFolder` keeps the newest images of every
#   class, and draws groups from them.
# - *No classes:* move all images into one class folder.
#
# Where data can be indexed, `GroupedDataset` is the better choice: it draws
# from all images of a class, not from the newest, and any batch can be read
# again.
#
# `ImageFolder(..., crop_scale=(0.2, 1.0))` shows a random crop of each image in
# its batches, with 20% to 100% of the area, as in the training of the published
# encoders. A generator that is trained on them generates such crops.
#
# If files are many times as large as `image_size`, `draft=True` decodes JPEG
# files at a fraction of their size, several times as fast. The images differ a
# little from the standard crop, so use it for trials, not to compare with
# published numbers. `interpolation="bilinear"` saves a fifth of the time for
# files of any size, by a filter that is not that of the published models.

# %% [markdown]
# # Images from official weights
#
# The authors of drifting models published the weights of five generators of
# ImageNet images, 256 x 256 pixels, of 1000 classes. This guide lists these
# official weights, loads one of them by its name, and samples from it: labels,
# seeds, guidance, latents, memory, precision, files.
#
# The weights are fetched from the Hugging Face hub on first use. Install the
# requirements, and name the preset to generate from:
#
#     pip install "keras-drift[hub,imagenet,examples]"
#     export KERAS_DRIFT_PRESET=drift_b2_latent_imagenet256
#     KERAS_BACKEND=jax python guides/draw_images_from_official_weights.py
#
# The backend is the one that you installed: `jax`, `tensorflow` or `torch`. If
# `KERAS_DRIFT_PRESET` is not set, nothing is fetched, and the guide runs the
# same steps with a small model of handwritten digits, which comes with this
# package. Figures are written to `outputs/guides`.

# %%
import os
import pathlib
import time

import keras
import matplotlib.pyplot as plt
import numpy as np

import keras_drift as kd
from keras_drift.images import image_grid
from keras_drift.images import write_png

# `quick` is for the tests, which run every guide.
quick = bool(os.environ.get("KERAS_DRIFT_QUICK"))
folder = pathlib.Path("outputs/guides")
folder.mkdir(parents=True, exist_ok=True)
keras.utils.set_random_seed(0)

# %% [markdown]
# ## The official weights
#
# `kd.DriftModel.presets` describes all presets without fetching any. FID is the
# Fréchet distance between features of generated and real images: lower is
# better. It is the authors' measurement at the best guidance of each model,
# once in their repository and once in
# [their paper](https://arxiv.org/abs/2602.04770).

# %%
official = {
    name: card
    for name, card in kd.DriftModel.presets.items()
    if "weights_from" in card
}
print(f"{'':38s}parameters  download  guidance  FID  in the paper")
for name, card in official.items():
    # Four bytes for each float32.
    size = 4 * card["num_parameters"] / 1e9
    metrics = card["metrics"]
    print(
        f"{name:37s}{card['num_parameters']:12,d}   {size:.2f} GB"
        f"  {card['best_guidance']:8}  {metrics['fid']:.2f}"
        f"  {metrics['fid_in_the_paper']:12.2f}"
    )

# %% [markdown]
# - `latent` models generate latents `(32, 32, 4)`, which the autoencoder of
#   Stable Diffusion decodes to images. It is fetched as well, 84 million
#   parameters, and its networks are those of keras-cv, in the extra `imagenet`.
# - `pixel` models generate the images themselves. The extra `hub` is enough.
# - `b2`, `l2`, `b16` and `l16` are sizes of the network, base and large, with
#   patches of 2 or 16 positions.
# - `ablation` is the short training run of the ablation studies in the paper.
#
# The rest of the card says what the weights are. The release states no license:
# ask its authors before you use the weights beyond research.

# %%
for key, value in official["drift_l2_latent_imagenet256"].items():
    print(f"{key}: {value}")

# %% [markdown]
# ## Load a preset
#
# `kd.DriftModel.from_preset(name)` fetches, checks and converts the weights on
# first use, and reports its progress on the standard error stream. Two caches
# keep the result, so the disk needs twice the size of the download:
#
# - that of the Hugging Face hub, whose location `HF_HOME` sets,
# - the converted preset, in `~/.keras/keras_drift/presets`, or in the folder
#   that `KERAS_DRIFT_CACHE` names. All backends load it.
#
# On a machine without an internet connection, `from_preset` says which files it
# needs. Download them on another machine, copy the folder, and convert it:
#
# ```shell
# hf download Goodeat/drifting --include 'models/gen/jax/latent_L_sota/*' \
#     --local-dir drifting
# python -m keras_drift.converters.official \
#     drifting/models/gen/jax/latent_L_sota OUT
# ```
#
# `from_preset("OUT")` loads the result. The encoder, in whose features the
# models were trained, is several times as large as the models. Only training
# needs it, so it is not fetched unless you give `load_encoder=True`.
#
# Without official weights this guide needs another class-conditional model. The
# digits of this package were trained without guidance, so `guided_digits`
# trains them further, for the guidance scales of the official models, and saves
# the result as a preset, in less than a minute.


# %%
def guided_digits():
    """Trains the digits further, with guidance; returns the new preset."""
    model = kd.DriftModel.from_preset("digits_dit")
    model.guidance_sampler = kd.PowerLawGuidance(low=1.0, high=4.0, power=0.0)
    batches = kd.datasets.GroupedDataset(
        *kd.datasets.digits("train"),
        positives=64,
        unconditional=64,
        steps_per_epoch=2 if quick else 300,
        seed=0,
    )
    model.compile(keras.optimizers.AdamW(5e-3, beta_2=0.95, clipnorm=2.0))
    model.fit(batches, epochs=1, verbose=2)
    preset = folder / "guided_digits"
    model.save_to_preset(preset, {"description": "digits_dit, with guidance"})
    return preset


preset = os.environ.get("KERAS_DRIFT_PRESET") or guided_digits()
model = kd.DriftModel.from_preset(preset)
print(f"{preset}: {model.generator.count_params():,} parameters")
print("samples", model.generator.sample_shape, "images", model.image_shape)

# %% [markdown]
# ## Labels and seeds
#
# `generate` takes the index of a class for each image. Those of ImageNet are in
# the usual order, from 0 (tench) to 999 (toilet tissue). Images are NumPy
# arrays. The pixels of the data lie in `[-1, 1]`. Decoded images are clipped to
# this interval, others may exceed it a little.

# %%
if model.generator.num_classes == 1000:
    # Macaw, golden retriever, lesser panda, volcano.
    labels = [88, 207, 387, 980]
else:
    labels = [3, 5, 7, 8]
images = model.generate(labels=labels, seed=0)
print("images", images.shape, f"from {images.min():.2f} to {images.max():.2f}")

# %% [markdown]
# The seed determines the noise: on every backend, and whatever the number of
# images. So the first images of a larger set are the same, and a set can be
# continued with another seed.

# %%
more = model.generate(labels=[*labels, *labels], seed=0)
print("largest difference:", np.abs(more[: len(labels)] - images).max())

# %% [markdown]
# ## Guidance
#
# A guidance scale above 1 moves the samples of a class away from the data of
# all classes, so that they become more typical of it. Each model was trained
# for a range of scales, that of its `guidance_sampler`, and takes the scale as
# an input, so guidance costs no second forward pass.
#
# The best guidance in the table above is that of the lowest FID, which measures
# diversity as well as quality. For a few typical images take a larger one.
#
# In the figure, each row is a class and each column has the same noise, in all
# panels.

# %%
trained = model.guidance_sampler
print(f"trained for guidance from {trained.low} to {trained.high}")
scales = [1.0, 4.0] if quick else [1.0, 2.0, 4.0]
num_noises = 2 if quick else 6

panels = []
for scale in scales:
    rows = [
        model.generate(num_noises, labels=label, guidance=scale, seed=0)
        for label in labels
    ]
    panels.append(np.concatenate(rows))

zoom = max(1, 64 // images.shape[1])
figure, axes = plt.subplots(
    1, len(scales), figsize=(4.5 * len(scales), 3.4), layout="constrained"
)
for axis, scale, panel in zip(axes, scales, panels, strict=True):
    margins = [(0, 0), (1, 1), (1, 1), (0, 0)]
    panel = np.pad(panel, margins, constant_values=-1)
    axis.imshow(image_grid(panel, num_noises, zoom))
    axis.set(title=f"guidance {scale}", xticks=[], yticks=[])
figure.savefig(folder / "official_guidance.png", dpi=110)

# %% [markdown]
# The mean difference of the pixels to those at guidance 1 says how much the
# scale changes. It is small for the digits, whose classes hardly overlap.

# %%
for scale, panel in zip(scales, panels, strict=True):
    difference = np.abs(panel - panels[0]).mean()
    print(f"guidance {scale}: mean difference to guidance 1 {difference:.3f}")

# %% [markdown]
# ## Latents
#
# With `decode=False`, `generate` returns what the generator makes. For `latent`
# models these are latents, 48 times as small as the images: keep them, and
# decode them later. Models without an autoencoder return the images.
#
# `from_preset(preset, load_autoencoder=False)` loads the generator alone, and
# does not import keras-cv.

# %%
samples = model.generate(labels=labels, seed=0, decode=False)
print("samples", samples.shape)
if model.autoencoder is None:
    print("there is no autoencoder: samples are images")
else:
    images = model.autoencoder.decode(samples, batch_size=2)
    print("decoded", images.shape)

# %% [markdown]
# ## Memory and time
#
# The weights take four bytes for each parameter. Everything else grows with
# `batch_size`, the number of samples in one forward pass, and not with the
# number of samples: reduce it if memory runs out. The autoencoder has a
# `batch_size` of its own, 8 by default, since decoding an image takes more
# memory than generating its latent.
#
# The first call compiles the network for its batch size, and is not measured
# here.


# %%
def seconds_for_each(model, batch_size, decode):
    options = {"seed": 0, "batch_size": batch_size, "decode": decode}
    model.generate(batch_size, **options)
    seconds = []
    for _ in range(1 if quick else 3):
        start = time.perf_counter()
        model.generate(batch_size, **options)
        seconds.append(time.perf_counter() - start)
    return min(seconds) / batch_size


print(f"weights {4 * model.generator.count_params() / 1e9:.2g} GB")
for batch_size in (1, 8):
    times = [
        1000 * seconds_for_each(model, batch_size, decode)
        for decode in (False, True)
    ]
    print(
        f"batch_size {batch_size}: {times[0]:.3g} ms for each sample, "
        f"{times[1]:.3g} ms with decoding"
    )

# %% [markdown]
# ## Half precision
#
# A generator computes in the precision of the global policy at the time when it
# is loaded. With `"mixed_bfloat16"` the weights stay float32, and the layers
# compute in bfloat16, which is faster on hardware that supports it. The
# autoencoder stays in float32.

# %%
keras.config.set_dtype_policy("mixed_bfloat16")
half = kd.DriftModel.from_preset(preset)
keras.config.set_dtype_policy("float32")
rounded = half.generate(labels=labels, seed=0)
error = np.sqrt(np.mean(np.square(rounded - images)))
spread = images.std(axis=0).mean()
print(f"root mean square difference to float32: {error:.4f}")
print(f"standard deviation between images:      {spread:.4f}")

# %% [markdown]
# ## Files
#
# `image_grid` arranges images as one picture, and `write_png` writes it.
# `np.save` keeps latents or images exactly. `model.save_to_preset(path)` copies
# the model to a folder of your own, and `model.export(path)` writes a program
# that runs without this library.

# %%
write_png(
    folder / "official_images.png",
    image_grid(images, columns=len(labels), scale=zoom),
)
np.save(folder / "official_samples.npy", samples)
print("written:", *sorted(path.name for path in folder.glob("official_*")))

# %% [markdown]
# ## Where to go from here
#
# - `guides/choosing_an_encoder.py`: the features in which such models are
#   trained.
# - `examples/digits.py`: trains a class-conditional model from the beginning.
# - `kd.generators.DiT.from_preset("dit_b2_latent", load_weights=False)`: the
#   network without weights, to train on your own images, with other
#   `num_classes`.

"""Samples of a model, drawn block by block."""

import numbers

import numpy as np

from keras_drift import backend
from keras_drift import checks
from keras_drift import fingerprints
from keras_drift.evaluation.pixels import ROUNDINGS
from keras_drift.evaluation.pixels import to_uint8
from keras_drift.images import draws_images
from keras_drift.models import DriftModel
from keras_drift.training.power_law_guidance import check_scales

# Samples of one seed, all in memory at once.
BLOCK_SIZE = 256


class SampleBlocks:
    """Samples of a model as bytes, in blocks with a seed each.

    A block is the same whatever was drawn before it and in batches of whatever
    size, so that an evaluation can go on where it was interrupted. The first
    samples do not depend on how many follow.

    Args:
        model: `DriftModel` that generates images.
        num_samples: int >= 1.
        guidance: float, the guidance scale of all samples.
        labels: ints `(num_samples,)`; or `None`, the classes in order,
            cyclically, which balances them.
        seed: int >= 0.
        batch_size: int >= 1, samples in one forward pass.
        rounding: str, see `to_uint8`.
    """

    def __init__(
        self, model, num_samples, guidance, labels, seed, batch_size, rounding
    ):
        self.model = _checked_model(model)
        self.num_samples = checks.positive_integer("num_samples", num_samples)
        self.guidance = _checked_guidance(guidance, model)
        self.labels = _checked_labels(labels, model, num_samples)
        self.seed = checks.non_negative_integer("seed", seed)
        self.batch_size = checks.positive_integer("batch_size", batch_size)
        self.rounding = checks.choice("rounding", rounding, ROUNDINGS)

    def __len__(self):
        return -(-self.num_samples // BLOCK_SIZE)

    def bounds(self, block):
        """The numbers of the first sample of a block and of the next block."""
        start = block * BLOCK_SIZE
        return start, min(start + BLOCK_SIZE, self.num_samples)

    def block(self, block):
        """Generates a block: uint8 array `(n, height, width, channels)`."""
        start, stop = self.bounds(block)
        state = np.random.SeedSequence([self.seed, block]).generate_state(1)
        images = self.model.generate(
            stop - start,
            self.labels_between(start, stop),
            self.guidance,
            seed=int(state[0]),
            batch_size=self.batch_size,
        )
        return to_uint8(images, self.rounding)

    def labels_between(self, start, stop):
        """The classes of a range of samples, or `None` without classes."""
        num_classes = self.model.generator.num_classes
        if num_classes is None:
            return None
        if self.labels is None:
            return np.arange(start, stop) % num_classes
        return self.labels[start:stop]

    def arguments(self):
        """What the samples depend on, as JSON values; not on their number."""
        labels = "balanced"
        if self.labels is not None:
            labels = fingerprints.of_arrays(self.labels)
        return {
            "model": _fingerprint(self.model),
            "guidance": self.guidance,
            "labels": labels,
            "seed": self.seed,
            "rounding": self.rounding,
        }


def _fingerprint(model):
    """Checksum of the weights that the samples of a model depend on."""
    parts = [model.generator]
    if model.autoencoder is not None:
        parts.append(model.autoencoder)
    backend.sync(model)
    weights = [weight for part in parts for weight in part.weights]
    return fingerprints.of_arrays(*map(backend.host_value, weights))


def _checked_model(model):
    if not isinstance(model, DriftModel):
        raise TypeError(
            f"`model` is a `keras_drift.DriftModel`. Received: model={model!r}"
        )
    if not draws_images(model):
        raise ValueError(
            "Published metrics are those of images with one or three channels; "
            "latents are decoded by the `autoencoder` of the model. Received: "
            f"a model of samples of shape {model.image_shape}"
        )
    return model


def _checked_guidance(guidance, model):
    if not isinstance(guidance, numbers.Real) or isinstance(guidance, bool):
        raise TypeError(
            "`guidance` is one number, the scale of all samples. "
            f"Received: guidance={guidance!r}"
        )
    check_scales(guidance, model.guidance_sampler)
    return float(guidance)


def _checked_labels(labels, model, num_samples):
    if labels is None:
        return None
    labels = model.generator.check_labels(labels)
    if labels.shape != (num_samples,):
        raise ValueError(
            "`labels` holds the class of each sample. Received: labels of "
            f"shape {labels.shape}, num_samples={num_samples}"
        )
    return labels

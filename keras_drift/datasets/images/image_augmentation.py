"""Random augmentation of batches, repeatable from a seed and a position."""

import keras
import numpy as np

from keras_drift import seed_states
from keras_drift.backend import tensorflow_random
from keras_drift.datasets.arrays import sample_arrays

# Keeps these random numbers apart from others of the same seed.
_AUGMENTATION = 0x61756765


def checked(augmentation):
    """Returns `augmentation`, a Keras layer, another function or `None`."""
    if augmentation is not None and not callable(augmentation):
        raise TypeError(
            "`augmentation` must be a Keras layer, or a function of a batch of "
            f"images. Received: augmentation={augmentation!r}"
        )
    return augmentation


def augment(augmentation, images, seed, position):
    """Applies an augmentation to a batch.

    Args:
        augmentation: Keras layer, whose random generators are set from `seed`
            and `position` before, or another function of a batch.
        images: float32 array `(batch, height, width, channels)`.
        seed: int >= 0.
        position: int >= 0, which batch it is.

    Returns:
        float32 array of the same shape.
    """
    options = {}
    if isinstance(augmentation, keras.Layer):
        _seed_generators(augmentation, seed, position)
        options["training"] = True
    augmented = sample_arrays.as_numpy(augmentation(images, **options))
    if augmented.shape != images.shape:
        raise ValueError(
            "`augmentation` must return images of the shape that it was given, "
            f"{images.shape}. Received: shape {augmented.shape} from "
            f"augmentation={augmentation!r}"
        )
    return augmented.astype("float32", copy=False)


def _seed_generators(augmentation, seed, position):
    """Sets the random generators of a layer, and of those within it."""
    layers = augmentation._flatten_layers()
    if any(type(each).__module__.startswith("keras_cv.") for each in layers):
        words = np.random.SeedSequence((seed, position, _AUGMENTATION))
        state = words.generate_state(1)
        tensorflow_random.set_global_seed(int(state[0]))
    for index, generator in enumerate(_generators(augmentation)):
        words = np.random.SeedSequence((seed, position, index, _AUGMENTATION))
        state = words.generate_state(2)
        if isinstance(generator, keras.random.SeedGenerator):
            seed_states.assign(generator.state, state)
        else:
            generator.reset_from_seed(int(state[0]))


def _generators(augmentation):
    """All random generators, in an order that building a layer keeps."""
    found = []
    for layer in augmentation._flatten_layers():
        # Those of keras-cv are of TensorFlow on all backends.
        other = getattr(layer, "_random_generator", None)
        candidates = [*getattr(layer, "_seed_generators", ())]
        if hasattr(other, "reset_from_seed"):
            candidates.append(other)
        for generator in candidates:
            if all(generator is not each for each in found):
                found.append(generator)
    return found

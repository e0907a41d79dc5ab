"""Statistics and features of reference images."""

import os
import pathlib
import zipfile

import keras
import numpy as np

from keras_drift import fingerprints
from keras_drift.atomic_files import write_arrays
from keras_drift.evaluation.reference_images import ArrayImages
from keras_drift.evaluation.reference_images import images_of
from keras_drift.evaluation.run_directory import checked_path
from keras_drift.evaluation.run_directory import read_arrays
from keras_drift.presets import cache

# Images whose features are kept, for metrics of pairs of images: as many as
# there are samples in a published evaluation.
_MAX_FEATURES = 50_000
# Names of mean and covariance in files of statistics.
_LAYOUTS = (("mu", "sigma"), ("ref_mu", "ref_sigma"))


class Reference:
    """Statistics and features of the reference images.

    Args:
        mu: float64 array `(dim,)`, the mean of the features.
        sigma: float64 array `(dim, dim)`, their covariance.
        num_images: int, the number of images that they are of; or `None`,
            unknown.
        features: float32 array `(n, dim)`, of images chosen at random; or
            `None`, without images.
        digest: str, what it is identified by.
    """

    def __init__(self, mu, sigma, num_images, features, digest):
        self.mu = mu
        self.sigma = sigma
        self.num_images = num_images
        self.features = features
        self.digest = digest


def require(reference):
    """Raises an error for an invalid reference, before a network is loaded.

    Args:
        reference: see `evaluate`.
    """
    if hasattr(reference, "__array__") or isinstance(reference, list):
        return
    if not isinstance(reference, (str, os.PathLike)):
        raise TypeError(
            "`reference` is a folder of images, an array of images, or the "
            f"path of an `.npz` file. Received: reference={reference!r}"
        )
    if not pathlib.Path(reference).expanduser().exists():
        raise FileNotFoundError(
            "`reference` is a folder of images or an `.npz` file, and there is "
            f"none of this path. Received: reference={str(reference)!r}"
        )


def load(reference, extractor, image_shape, options):
    """Reads a reference, or computes its statistics unless they are cached.

    Args:
        reference: see `evaluate`.
        extractor: `FeatureExtractor`.
        image_shape: tuple of ints, the shape of an image of the model.
        options: dict with `batch_size`, `cache_dir` and `verbose`.

    Returns:
        A `Reference`.
    """
    require(reference)
    images = images_of(reference, image_shape)
    if images is not None:
        return _of_images(images, extractor, **options)
    return _of_file(
        pathlib.Path(reference).expanduser(),
        extractor,
        image_shape,
        options,
    )


def _of_images(images, extractor, batch_size, cache_dir, verbose):
    """The reference of images, from the cache or computed."""
    _check_count(images)
    digest = fingerprints.of_text(f"{images.digest()}/{extractor.fingerprint}")
    if cache_dir is None:
        cache_dir = cache.root() / "evaluation"
    path = checked_path("cache_dir", cache_dir) / f"reference_{digest}.npz"
    kept = read_arrays(path)
    if kept is None:
        kept = _statistics(images, extractor, batch_size, verbose)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_arrays(path, kept)
    return Reference(
        kept["mu"],
        kept["sigma"],
        int(kept["num_images"]),
        kept["features"],
        digest,
    )


def _statistics(images, extractor, batch_size, verbose):
    """Moments of all features in one pass, and the features of some images."""
    count, dim = len(images), extractor.dim
    # In random order, so that the first ones are a sample of all.
    order = np.random.default_rng(0).permutation(count)
    # Around the first features: differences of large numbers lose digits.
    center = None
    total, products = np.zeros(dim), np.zeros((dim, dim))
    features = []
    progress = keras.utils.Progbar(
        count, verbose=verbose, unit_name="reference image"
    )
    for start in range(0, count, batch_size):
        chosen = order[start : start + batch_size]
        found, _ = extractor(images.read(chosen), batch_size)
        if start < _MAX_FEATURES:
            features.append(found[: _MAX_FEATURES - start])
        exact = found.astype("float64")
        center = exact.mean(axis=0) if center is None else center
        exact -= center
        total += exact.sum(axis=0)
        products += exact.T @ exact
        progress.update(start + len(chosen))
    mean = total / count
    sigma = (products - count * np.outer(mean, mean)) / (count - 1)
    return {
        "mu": center + mean,
        "sigma": sigma,
        "num_images": np.asarray(count),
        "features": np.concatenate(features),
    }


def check(reference, image_shape, dim=None):
    """Refuses files that cannot be a reference, without computing features.

    Args:
        reference: path of a folder of images, or of an `.npz` file.
        image_shape: tuple of ints, the shape of an image of the model.
        dim: int, the number of features of the network. Defaults to `None`:
            any number.
    """
    images = images_of(reference, image_shape)
    if images is None:
        path = pathlib.Path(reference).expanduser()
        _, images = _read_file(path, image_shape, dim)
    if images is not None:
        _check_count(images)


def _check_count(images):
    if len(images) < 2:
        raise ValueError(
            "A covariance takes at least 2 reference images, and published "
            f"numbers 10,000 and more. Received: {len(images)} reference images"
        )


def _of_file(path, extractor, image_shape, options):
    """The reference in an `.npz` file: statistics, images, or both."""
    statistics, images = _read_file(path, image_shape, extractor.dim)
    digest = fingerprints.of_file(path)
    if images is None:
        return Reference(*statistics, None, None, digest)
    found = _of_images(images, extractor, **options)
    if statistics is None:
        return found
    # Those of a data set, of which the images in the file are a sample.
    return Reference(*statistics, None, found.features, digest)


def _read_file(path, image_shape, dim):
    """Mean and covariance of a file, and images; either may be `None`."""
    arrays, names = _arrays_of(path)
    statistics = None
    for mu, sigma in _LAYOUTS:
        if mu in arrays and sigma in arrays:
            statistics = _checked(path, arrays[mu], arrays[sigma], dim)
            break
    images = arrays.get("arr_0")
    if images is None and statistics is None:
        raise ValueError(
            "A file of statistics holds `mu` and `sigma`, and one of images "
            f"`arr_0`, `(n, height, width, channels)`. Received: "
            f"reference={str(path)!r} with {', '.join(names) or 'nothing'}"
        )
    if images is not None:
        images = ArrayImages(images, image_shape)
    return statistics, images


def _arrays_of(path):
    """The arrays of a file that have names of a layout, and all names."""
    try:
        # NumPy leaves a file open that it opened itself and cannot read.
        with open(path, "rb") as opened, np.load(opened) as file:
            arrays = {
                name: file[name]
                for name in ("arr_0", *_LAYOUTS[0], *_LAYOUTS[1])
                if name in file
            }
            return arrays, file.files
    except FileNotFoundError as error:
        raise FileNotFoundError(
            "There is no such folder of images, and no such file of "
            f"statistics. Received: reference={str(path)!r}"
        ) from error
    except (
        AttributeError,  # an `.npy` file has no names
        EOFError,
        OSError,
        TypeError,
        ValueError,
        zipfile.BadZipFile,
    ) as error:
        raise ValueError(
            "`reference` is a file that NumPy cannot read as `.npz`. Received: "
            f"reference={str(path)!r}: {error}"
        ) from error


def _checked(path, mu, sigma, dim):
    """Mean and covariance in float64, of the dimension of the features."""
    mu, sigma = np.asarray(mu), np.asarray(sigma)
    received = (
        f"Received: reference={str(path)!r} with mu of shape {mu.shape} and "
        f"sigma of shape {sigma.shape}"
    )
    if mu.ndim != 1 or sigma.shape != 2 * mu.shape:
        raise ValueError(
            "Statistics are a mean `(dim,)` and a covariance `(dim, dim)`. "
            f"{received}"
        )
    if dim is not None and len(mu) != dim:
        raise ValueError(
            "Statistics and samples are compared in the same features, and "
            f"this network returns {dim} of them. Take the network "
            f"that the statistics were computed with. {received}"
        )
    mu, sigma = mu.astype("float64"), sigma.astype("float64")
    scale = np.abs(sigma).max()
    if not (np.all(np.isfinite(mu)) and np.isfinite(scale)) or np.any(
        np.diagonal(sigma) < 0
    ):
        raise ValueError(
            "Statistics are finite, and variances are not negative. The file "
            f"is damaged, or mu and sigma are something else. {received}"
        )
    if np.abs(sigma - sigma.T).max() > 1e-3 * scale:
        raise ValueError(
            f"A covariance is symmetric, and this one is not. {received}"
        )
    return mu, sigma

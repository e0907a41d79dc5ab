"""Metrics of the features of generated and reference images."""

import math

import numpy as np

from keras_drift import checks
from keras_drift import user_warnings
from keras_drift.evaluation import torch_fidelity

METRICS = ("fid", "inception_score", "kid", "precision_recall")
# Those of a network that is no classifier.
WITHOUT_LOGITS = ("fid", "kid", "precision_recall")
# What each of them is in the literature.
NUM_NEIGHBORS = 3
NUM_SPLITS = 10
NUM_SUBSETS = 100
SUBSET_SIZE = 1000
# Rows of the matrix of distances in memory at once.
_ROWS = 1000
# The images that a metric needs, generated and of the reference, and what for.
_LEAST = {
    "fid": (2, "a covariance"),
    "kid": (2, "an unbiased estimate"),
    "inception_score": (NUM_SPLITS, f"{NUM_SPLITS} splits"),
    "precision_recall": (
        NUM_NEIGHBORS + 1,
        f"the distance to the neighbor number {NUM_NEIGHBORS}",
    ),
}
# Entries of the result, by the direction in which they improve.
LOWER_IS_BETTER = ("fid", "kid")
HIGHER_IS_BETTER = ("inception_score", "precision", "recall")


def chosen(metrics, num_samples, has_logits, reference):
    """The metrics to compute, checked before anything is generated.

    Args:
        metrics: sequence of `METRICS`, or `None`: all that can be computed.
        num_samples: int, the number of samples to generate.
        has_logits: bool, whether the network of features is a classifier.
        reference: `Reference`.

    Returns:
        A tuple of str.
    """
    missing = {}
    if not has_logits:
        missing["inception_score"] = (
            "needs the logits of a classifier, and this network returns "
            "features only"
        )
    if reference.features is None:
        for name in ("kid", "precision_recall"):
            missing[name] = (
                "compares features of single images, and the reference holds "
                "`mu` and `sigma` only. Pass the images, as a folder or array"
            )
    if metrics is None:
        metrics = [name for name in METRICS if name not in missing]
    if isinstance(metrics, str) or not metrics:
        raise TypeError(
            f"`metrics` is a sequence of names among {METRICS}, or `None`. "
            f"Received: metrics={metrics!r}"
        )
    for name in metrics:
        checks.choice("metrics", name, METRICS)
        if name in missing:
            raise ValueError(
                f"{name!r} {missing[name]}. Received: metrics={metrics!r}"
            )
    check_num_samples(metrics, num_samples)
    _check_reference(metrics, reference)
    _warn_of_few(metrics, num_samples, reference)
    return tuple(metrics)


def check_num_samples(metrics, num_samples):
    """Refuses fewer samples than metrics need.

    Args:
        metrics: sequence of `METRICS`.
        num_samples: int, the number of samples to generate.
    """
    for name in metrics:
        needed, purpose = _LEAST[name]
        if num_samples < needed:
            raise ValueError(
                f"{name!r} needs at least {needed} samples, for {purpose}; "
                "published numbers are those of 50,000. "
                f"Received: num_samples={num_samples}"
            )


def _check_reference(metrics, reference):
    """Refuses fewer reference images than the metrics need."""
    for name in metrics:
        needed, purpose = _LEAST[name]
        count = None
        if name == "fid":
            count = reference.num_images
        elif name != "inception_score":
            count = len(reference.features)
        if count is not None and count < needed:
            raise ValueError(
                f"{name!r} needs at least {needed} reference images, for "
                f"{purpose}. Received: a reference of {count} images"
            )


def _warn_of_few(metrics, num_samples, reference):
    """Warns of a covariance of no more images than features."""
    dim = len(reference.mu)
    counts = {"samples": num_samples, "reference images": reference.num_images}
    for what, count in counts.items():
        if "fid" in metrics and count is not None and count <= dim:
            user_warnings.warn(
                f"The covariance of {dim} features from {count} {what} is "
                "singular, and the FID is biased upward by much: compare it "
                "with that of as many samples only, or take more."
            )


def compute(metrics, features, logits, reference):
    """Computes metrics.

    Args:
        metrics: tuple of str, see `chosen`.
        features: float array `(n, dim)`, of generated images.
        logits: float array `(n, classes)`, or `None`.
        reference: `Reference`.

    Returns:
        A dict from names to floats.
    """
    found = {}
    features = np.asarray(features, "float64")
    if "fid" in metrics:
        mu, sigma = moments(features)
        found["fid"] = frechet_distance(mu, sigma, reference)
    if "inception_score" in metrics:
        found.update(_inception_score(logits))
    if "kid" in metrics:
        found.update(_kernel_distance(features, reference.features))
    if "precision_recall" in metrics:
        found.update(_precision_recall(features, reference.features))
    for name, value in found.items():
        if not math.isfinite(value):
            raise ValueError(
                f"The metric {name!r} is not finite: the network of features "
                "returns NaN or infinity, or its statistics are damaged. "
                f"Received: {name}={value}"
            )
    return found


def moments(features):
    """Mean and covariance of float64 features `(n, dim)`."""
    metric = torch_fidelity.load("metric_fid")
    statistics = metric.fid_features_to_statistics(
        torch_fidelity.tensor(features)
    )
    # NumPy's covariance of a single feature is a scalar.
    dim = features.shape[1]
    return statistics["mu"], np.reshape(statistics["sigma"], (dim, dim))


def frechet_distance(mu, sigma, reference):
    """The Fréchet distance of two Gaussians."""
    metric = torch_fidelity.load("metric_fid")
    found = metric.fid_statistics_to_metric(
        {"mu": mu, "sigma": sigma},
        {"mu": reference.mu, "sigma": reference.sigma},
        verbose=False,
    )
    return found[metric.KEY_METRIC_FID]


def _inception_score(logits):
    metric = torch_fidelity.load("metric_isc")
    found = metric.isc_features_to_metric(
        torch_fidelity.tensor(np.asarray(logits, "float64")), NUM_SPLITS
    )
    return {
        "inception_score": found[metric.KEY_METRIC_ISC_MEAN],
        "inception_score_std": found[metric.KEY_METRIC_ISC_STD],
    }


def _kernel_distance(features, reference):
    metric = torch_fidelity.load("metric_kid")
    found = metric.kid_features_to_metric(
        torch_fidelity.tensor(features),
        torch_fidelity.tensor(np.asarray(reference, "float64")),
        kid_subsets=NUM_SUBSETS,
        kid_subset_size=min(SUBSET_SIZE, len(features), len(reference)),
        verbose=False,
    )
    return {
        "kid": found[metric.KEY_METRIC_KID_MEAN],
        "kid_std": found[metric.KEY_METRIC_KID_STD],
    }


def _precision_recall(features, reference):
    metric = torch_fidelity.load("metric_prc")
    found = metric.prc_features_to_metric(
        torch_fidelity.tensor(features),
        torch_fidelity.tensor(np.asarray(reference, "float64")),
        prc_neighborhood=NUM_NEIGHBORS,
        prc_batch_size=_ROWS,
        save_cpu_ram=True,
        verbose=False,
    )
    return {
        "precision": found[metric.KEY_METRIC_PRECISION],
        "recall": found[metric.KEY_METRIC_RECALL],
    }

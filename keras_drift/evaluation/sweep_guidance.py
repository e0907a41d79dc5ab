"""Published metrics of a model at several guidance scales."""

import pathlib

from keras_drift import checks
from keras_drift.evaluation import published_metrics
from keras_drift.evaluation.evaluator import Evaluator


def sweep_guidance(
    model,
    reference,
    scales,
    criterion="fid",
    num_samples=50_000,
    labels=None,
    seed=0,
    batch_size=64,
    features="inception",
    feature_name=None,
    inception_weights=None,
    metrics=None,
    directory=None,
    rounding="nearest",
    cache_dir=None,
    verbose=1,
):
    """Evaluates guidance scales, and says which one is the best.

    All scales are evaluated with the same noise, so that a difference between
    them is one of the scale. The FID usually has its minimum at a moderate
    scale: precision and the Inception score keep rising with the scale, while
    recall, the diversity, falls.

    Args:
        model: see `evaluate`.
        reference: see `evaluate`; it is read once.
        scales: sequence of floats >= 1, the guidance scales, among those that
            the model was trained for.
        criterion: str, the metric that decides: `"fid"` or `"kid"`, of which
            the lowest is the best, `"inception_score"`, `"precision"` or
            `"recall"`. Defaults to `"fid"`.
        num_samples: see `evaluate`, as the other arguments. Fewer samples than
            for a number to publish often suffice to choose a scale.
        labels: see `evaluate`.
        seed: see `evaluate`.
        batch_size: see `evaluate`.
        features: see `evaluate`.
        feature_name: see `evaluate`.
        inception_weights: see `evaluate`.
        metrics: see `evaluate`.
        directory: path of a folder, with one in it for each scale, such as
            `guidance_1.5`. A sweep that was interrupted continues, and further
            scales can be added. Defaults to `None`: nothing is written.
        rounding: see `evaluate`.
        cache_dir: see `evaluate`.
        verbose: see `evaluate`.

    Returns:
        A dict: `"best"`, the result of the best scale, which has its
        `"guidance"`; and `"results"`, a list of those of all scales in the
        order given. See `evaluate` for a result.

    Example:

    ```python
    found = kd.evaluation.sweep_guidance(
        model, "reference.npz", [1.0, 1.25, 1.5, 2.0], num_samples=10_000
    )
    print(found["best"]["guidance"], found["best"]["fid"])
    ```
    """
    checks.choice(
        "criterion",
        criterion,
        [
            *published_metrics.LOWER_IS_BETTER,
            *published_metrics.HIGHER_IS_BETTER,
        ],
    )
    scales = _checked_scales(scales)
    evaluator = Evaluator(
        model,
        reference,
        num_samples,
        labels,
        seed,
        batch_size,
        features,
        feature_name,
        inception_weights,
        metrics,
        rounding,
        cache_dir,
        verbose,
    )
    _check_criterion(criterion, evaluator.metrics)
    for scale in scales:
        evaluator.samples_at(scale)  # refuses a scale before the first run
    results = []
    for scale in scales:
        folder = directory
        if directory is not None:
            # All digits: two scales never share a folder.
            folder = pathlib.Path(directory) / f"guidance_{float(scale)!r}"
        results.append(evaluator.evaluate(scale, folder))
    sign = 1 if criterion in published_metrics.LOWER_IS_BETTER else -1
    best = min(results, key=lambda result: sign * result[criterion])
    return {"best": best, "results": results}


def _checked_scales(scales):
    scales = list(scales) if hasattr(scales, "__iter__") else scales
    if not isinstance(scales, list) or not scales:
        raise TypeError(
            "`scales` is a sequence of guidance scales, at least one. "
            f"Received: scales={scales!r}"
        )
    if len(set(scales)) < len(scales):
        raise ValueError(
            f"`scales` holds every scale once. Received: scales={scales!r}"
        )
    return scales


def _check_criterion(criterion, metrics):
    """Refuses a criterion that is not computed."""
    name = criterion
    if criterion in ("precision", "recall"):
        name = "precision_recall"
    if name not in metrics:
        raise ValueError(
            f"The criterion {criterion!r} is not among the metrics that are "
            "computed: the Inception score needs a network with logits, KID, "
            "precision and recall need reference images, and `metrics` may "
            f"leave them out. Received: criterion={criterion!r}, and the "
            f"metrics {metrics}"
        )

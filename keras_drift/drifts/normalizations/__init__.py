"""Normalizations of kernel drifts: row, dual, sharp, score."""

from keras_drift import checks
from keras_drift.drifts.normalizations.dual import Dual
from keras_drift.drifts.normalizations.normalization import Normalization
from keras_drift.drifts.normalizations.official_dual import OfficialDual
from keras_drift.drifts.normalizations.row import Row
from keras_drift.drifts.normalizations.score import Score
from keras_drift.drifts.normalizations.sharp import Sharp

__all__ = [
    "Dual",
    "Normalization",
    "OfficialDual",
    "Row",
    "Score",
    "Sharp",
    "get",
]

_NORMALIZATIONS = {
    "dual": Dual,
    "official_dual": OfficialDual,
    "row": Row,
    "score": Score,
    "sharp": Sharp,
}


def get(identifier):
    """Returns the normalization for a name, a config or a normalization.

    Args:
        identifier: a `Normalization`, its config, or one of `"row"`, `"dual"`,
            `"sharp"`, `"score"`, `"official_dual"` (with their default
            arguments).

    Returns:
        A `Normalization`.

    Example:

    >>> from keras_drift.drifts import normalizations
    >>> normalizations.get("dual")
    Dual(bias_correction=False)
    """
    return checks.lookup(
        identifier, _NORMALIZATIONS, Normalization, "normalization"
    )

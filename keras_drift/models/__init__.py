"""The model that users train."""

from keras_drift.models.drift_model import DriftModel
from keras_drift.training import PowerLawGuidance

__all__ = ["DriftModel", "PowerLawGuidance"]

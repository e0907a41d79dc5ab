"""Drifting models: generator, encoder and drift as one Keras model."""

from keras_drift.models.drift_model import DriftModel
from keras_drift.training import PowerLawGuidance

__all__ = ["DriftModel", "PowerLawGuidance"]

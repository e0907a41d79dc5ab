"""Training: batches, the regression objective, the state of a run."""

from keras_drift.training.data_batch import DataBatch
from keras_drift.training.drift_objective import DriftObjective
from keras_drift.training.feature_drifts import FeatureDrifts
from keras_drift.training.power_law_guidance import PowerLawGuidance
from keras_drift.training.preflight import Preflight
from keras_drift.training.target import Target
from keras_drift.training.training_batch import TrainingBatch

__all__ = [
    "DataBatch",
    "DriftObjective",
    "FeatureDrifts",
    "PowerLawGuidance",
    "Preflight",
    "Target",
    "TrainingBatch",
]

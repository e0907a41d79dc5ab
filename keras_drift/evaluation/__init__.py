"""Published metrics of a model: FID, Inception score, precision and recall."""

from keras_drift.evaluation.evaluate import evaluate
from keras_drift.evaluation.sweep_guidance import sweep_guidance
from keras_drift.evaluation.write_samples import write_samples

__all__ = ["evaluate", "sweep_guidance", "write_samples"]

"""Bandwidth and step size as functions of the training step."""

from keras_drift.schedules.exponential_annealing import ExponentialAnnealing
from keras_drift.schedules.linear_friction import LinearFriction

__all__ = ["ExponentialAnnealing", "LinearFriction"]

"""Bandwidths, step sizes and loss weights as functions of the step."""

from keras_drift.schedules.exponential_annealing import ExponentialAnnealing
from keras_drift.schedules.linear_friction import LinearFriction
from keras_drift.schedules.linear_ramp import LinearRamp

__all__ = ["ExponentialAnnealing", "LinearFriction", "LinearRamp"]

"""Bandwidth as a function of the training step."""

from keras_drift.schedules.exponential_annealing import ExponentialAnnealing

__all__ = ["ExponentialAnnealing"]

"""Annealing, pictures and monitors for `fit`."""

from keras_drift.callbacks.bandwidth_annealing import BandwidthAnnealing
from keras_drift.callbacks.drift_monitor import DriftMonitor
from keras_drift.callbacks.sample_grid import SampleGrid

__all__ = ["BandwidthAnnealing", "DriftMonitor", "SampleGrid"]

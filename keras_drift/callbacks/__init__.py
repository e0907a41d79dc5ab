"""Callbacks: bandwidths, image grids, monitoring, checkpoints."""

from keras_drift.callbacks.adaptive_bandwidth import AdaptiveBandwidth
from keras_drift.callbacks.bandwidth_annealing import BandwidthAnnealing
from keras_drift.callbacks.drift_monitor import DriftMonitor
from keras_drift.callbacks.learned_bandwidth import LearnedBandwidth
from keras_drift.callbacks.sample_grid import SampleGrid
from keras_drift.callbacks.training_checkpoint import TrainingCheckpoint

__all__ = [
    "AdaptiveBandwidth",
    "BandwidthAnnealing",
    "DriftMonitor",
    "LearnedBandwidth",
    "SampleGrid",
    "TrainingCheckpoint",
]

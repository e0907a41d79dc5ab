"""Spectral analysis of drifts: decay rates, annealing plans, diagnostics."""

from keras_drift.spectral.annealing_plan import AnnealingPlan
from keras_drift.spectral.annealing_plan import plan_annealing
from keras_drift.spectral.bandwidth_plan import BandwidthPlan
from keras_drift.spectral.bandwidth_plan import plan_bandwidths
from keras_drift.spectral.convergence_time import convergence_time
from keras_drift.spectral.dispersion import dispersion
from keras_drift.spectral.measure_decay import measure_decay
from keras_drift.spectral.overlap import overlap
from keras_drift.spectral.plots import plot_decay
from keras_drift.spectral.plots import plot_dispersion
from keras_drift.spectral.plots import plot_drift
from keras_drift.spectral.plots import plot_norm_distance
from keras_drift.spectral.training_plan import TrainingPlan
from keras_drift.spectral.training_plan import plan_training
from keras_drift.spectral.two_sample_result import TwoSampleResult
from keras_drift.spectral.two_sample_result import classifier_two_sample_test
from keras_drift.spectral.two_sample_result import two_sample_test

__all__ = [
    "AnnealingPlan",
    "BandwidthPlan",
    "TrainingPlan",
    "TwoSampleResult",
    "classifier_two_sample_test",
    "convergence_time",
    "dispersion",
    "measure_decay",
    "overlap",
    "plan_annealing",
    "plan_bandwidths",
    "plan_training",
    "plot_decay",
    "plot_dispersion",
    "plot_drift",
    "plot_norm_distance",
    "two_sample_test",
]

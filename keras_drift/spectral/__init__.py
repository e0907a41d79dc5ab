"""What a kernel does to each frequency, and what follows for training."""

from keras_drift.spectral.annealing_plan import AnnealingPlan
from keras_drift.spectral.annealing_plan import plan_annealing
from keras_drift.spectral.convergence_time import convergence_time
from keras_drift.spectral.dispersion import dispersion
from keras_drift.spectral.identifiability import Identifiability
from keras_drift.spectral.identifiability import identifiability_test
from keras_drift.spectral.measure_decay import measure_decay
from keras_drift.spectral.overlap import overlap
from keras_drift.spectral.plots import plot_decay
from keras_drift.spectral.plots import plot_dispersion
from keras_drift.spectral.plots import plot_drift
from keras_drift.spectral.plots import plot_norm_distance

__all__ = [
    "AnnealingPlan",
    "Identifiability",
    "convergence_time",
    "dispersion",
    "identifiability_test",
    "measure_decay",
    "overlap",
    "plan_annealing",
    "plot_decay",
    "plot_dispersion",
    "plot_drift",
    "plot_norm_distance",
]

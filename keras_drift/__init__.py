"""One-step generative models trained by a kernel drift field, for Keras 3."""

from keras_drift import installation as installation  # isort: skip
from keras_drift import autoencoders as autoencoders
from keras_drift import callbacks as callbacks
from keras_drift import datasets as datasets
from keras_drift import distribution as distribution
from keras_drift import drifts as drifts
from keras_drift import encoders as encoders
from keras_drift import energies as energies
from keras_drift import evaluation as evaluation
from keras_drift import flows as flows
from keras_drift import generators as generators
from keras_drift import kernels as kernels
from keras_drift import metrics as metrics
from keras_drift import ops as ops
from keras_drift import schedules as schedules
from keras_drift import spectral as spectral
from keras_drift import training as training
from keras_drift.models import DriftModel as DriftModel
from keras_drift.models import PowerLawGuidance as PowerLawGuidance
from keras_drift.version import __version__ as __version__

"""Generator networks: from noise, and a condition, to a sample."""

from keras_drift.generators.dit import DiT
from keras_drift.generators.functional import Functional
from keras_drift.generators.generator import Generator
from keras_drift.generators.mlp import MLP

__all__ = ["MLP", "DiT", "Functional", "Generator"]

"""Networks as programs of other runtimes, without Python code of ours."""

from keras_drift.export.formats import resolve
from keras_drift.export.write import write

__all__ = ["resolve", "write"]

"""Distribution: processes that train one model."""

from keras_drift.distribution.initialize import initialize

__all__ = ["initialize"]

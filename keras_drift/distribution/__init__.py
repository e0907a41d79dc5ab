"""Distribution: processes that train one model, and layouts of networks."""

from keras_drift.distribution.data_parallel import data_parallel
from keras_drift.distribution.initialize import initialize
from keras_drift.distribution.layout_map import layout_map
from keras_drift.distribution.layout_summary import layout_summary

__all__ = ["data_parallel", "initialize", "layout_map", "layout_summary"]

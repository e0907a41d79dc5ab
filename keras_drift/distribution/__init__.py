"""Distribution: layouts of networks over devices."""

from keras_drift.distribution.layout_map import layout_map
from keras_drift.distribution.layout_summary import layout_summary

__all__ = ["layout_map", "layout_summary"]

"""Presets: trained objects stored as folders of plain data."""

from keras_drift.presets.preset_mixin import PresetMixin

__all__ = ["PresetMixin"]

"""Trained objects as folders of plain data: handles, registry, files."""

from keras_drift.presets.preset_mixin import PresetMixin

__all__ = ["PresetMixin"]

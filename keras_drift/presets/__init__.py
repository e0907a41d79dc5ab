"""Presets: trained objects stored as folders of plain data."""

from keras_drift.presets.preset_mixin import PresetMixin
from keras_drift.presets.upload import upload_preset

__all__ = ["PresetMixin", "upload_preset"]

"""The version, in one place for the package, its build and its presets."""

__version__ = "0.1.0"

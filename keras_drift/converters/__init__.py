"""Converters of published weights to the networks of this library."""

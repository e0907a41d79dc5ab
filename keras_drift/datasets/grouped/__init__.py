"""Batches with groups of samples, one for each class."""

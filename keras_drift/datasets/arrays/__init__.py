"""Samples in arrays: checks, batches of a seed, and pools of buffers."""

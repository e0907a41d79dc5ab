"""Latents of images, encoded once and kept in files on disk."""

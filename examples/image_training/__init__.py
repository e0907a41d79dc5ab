"""The parts of `examples/train_images.py`."""

"""Training of a generator of images in stages: `keras-drift train`."""

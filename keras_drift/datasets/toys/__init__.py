"""Small data sets: two-dimensional toys, Gaussian mixtures, and digits."""

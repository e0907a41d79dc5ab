"""The Gaussian profile, shared by the kernels of space and sphere."""

from keras import ops

from keras_drift.kernels.kernel import Kernel


class GaussianProfile(Kernel):
    """`exp(-r**2 / 2)`, which is its own slope and companion."""

    def log_value(self, radius):
        return -0.5 * radius * radius

    def log_slope(self, radius):
        return self.log_value(radius)

    def log_gradient_weight(self, radius):
        return ops.zeros_like(radius)

    def log_companion_weight(self, radius):
        return ops.zeros_like(radius)

    def log_companion(self, radius):
        return self.log_value(radius)

"""What the Gaussian kernel is on the plane and on the sphere."""

from keras import ops

from keras_drift.kernels.kernel import Kernel


class GaussianProfile(Kernel):
    """`exp(-r**2 / 2)`: its slope, its pull and its companion are simple."""

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

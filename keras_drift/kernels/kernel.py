"""The base class of all kernels."""

import functools

import keras
from keras import ops

from keras_drift import checks
from keras_drift.bandwidth_owner import TWO_SCALES
from keras_drift.bandwidth_owner import BandwidthOwner
from keras_drift.ops import LogKernel
from keras_drift.ops import pairwise_distances
from keras_drift.ops import unit_vectors
from keras_drift.own_arguments import RecordsArguments
from keras_drift.own_arguments import own_arguments

_QUANTITIES = (
    "value",
    "slope",
    "gradient_weight",
    "companion",
    "companion_weight",
)


class Kernel(RecordsArguments, BandwidthOwner, keras.layers.Layer):
    """Radial similarity of two points, with one or several bandwidths.

    A kernel is a function `k(r)` of the distance `r` between two points, equal
    to 1 where they coincide. It is computed in log space, so that points many
    bandwidths apart stay comparable where `k` itself underflows in float32.

    Subclasses write `log_value`, `log_slope` for drifts that follow gradients
    of the kernel, and for spectral analysis `log_companion`, `spectrum` and
    `companion_spectrum`, all for a bandwidth of one; this class owns the
    bandwidth, the distances, the dtype and the config. Built-in kernels also
    name their `family` and `formula_parameters`, which `ops.LogKernel` hands to
    programs compiled for known formulas.

    A `spherical` kernel compares directions: points are scaled to unit length
    first, and their distance is that of the chord.

    Args:
        bandwidth: float > 0, or a sequence of them, in the units of the inputs:
            the length over which the similarity decays. Several bandwidths are
            evaluated side by side, on a new first axis. It is kept as a
            non-trainable weight, so that a schedule may change it between steps
            of compiled code, and a saved model remembers it. Or `"auto"`: two
            bandwidths, one a quarter of the other, that `adapt(data)` of the
            drift or the model sets. Defaults to `1.0`.
        **kwargs: passed to `keras.layers.Layer`.

    Call arguments:
        x: float tensor `(..., n, d)`.
        y: float tensor `(..., m, d)`.

    Returns:
        Log-similarities, float32: `(..., n, m)` for a single bandwidth,
        `(b, ..., n, m)` for `b` bandwidths.
    """

    # Whether points are scaled to unit length before they are compared.
    spherical = False

    # Whether it is a function of `distance / bandwidth` alone.
    scales_distances = True

    # The formula in `ops.LogKernel`; each class must name its own.
    family = None

    def __init__(self, bandwidth=1.0, **kwargs):
        super().__init__(**checks.in_float32(kwargs))
        self._add_bandwidth(
            "bandwidth",
            bandwidth,
            lambda value: checks.positive_numbers(
                "bandwidth", value, "is a distance"
            ),
            TWO_SCALES,
        )
        self.built = True

    @property
    def num_bandwidths(self):
        """The number of bandwidths."""
        return int(self.bandwidth_ratios().size)

    def call(self, x, y):
        if self.spherical:
            x, y = unit_vectors(x), unit_vectors(y)
        log_values = self.log_similarity(pairwise_distances(x, y))
        return log_values if self.initial_bandwidth.ndim else log_values[0]

    def log_similarity(self, distance):
        """Log-similarities at distances `(...)`: `(b, ...)`, always stacked.

        Args:
            distance: float tensor, in the units of the bandwidth.

        Returns:
            float32 tensor with one more, leading axis: the bandwidths.
        """
        bandwidth = ops.reshape(
            self.bandwidth, (self.num_bandwidths,) + (1,) * len(distance.shape)
        )
        return self.log_value(distance[None] / bandwidth)

    def log_kernels(self, length_scale=1.0, function=None):
        """The log-similarities as `keras_drift.ops` sums them over pairs.

        Args:
            length_scale: float or scalar tensor, the length that bandwidths are
                multiples of. Defaults to `1.0`.
            function: what to sum instead: another method of this kernel, such
                as `log_companion`. Defaults to `None`: `log_value`.

        Returns:
            For each bandwidth an `ops.LogKernel`: a callable from distances to
            log-similarities, with a description of its formula.
        """
        function = self.log_value if function is None else function
        described = self._describe(function)
        # Divided once, not for every pair.
        rates = [1.0 / width for width in self.widths(length_scale)]
        return [
            LogKernel(*described, rate, functools.partial(self._at, function))
            for rate in rates
        ]

    def widths(self, length_scale=1.0):
        """The bandwidths in units of `length_scale`: a list of scalars."""
        widths = ops.reshape(self.bandwidth, (-1,)) * length_scale
        return [widths[k] for k in range(self.num_bandwidths)]

    def formula_parameters(self):
        """Static floats of the formula besides the bandwidth, by name."""
        return {}

    def _describe(self, function):
        """`(family, quantity, parameters)` of one of this kernel's methods."""
        name = getattr(function, "__name__", "")
        quantity = name.removeprefix("log_")
        # A subclass that says no family of its own may have another formula.
        family = vars(type(self)).get("family")
        if quantity not in _QUANTITIES or function != getattr(self, name):
            family = None
        parameters = self.formula_parameters() if family else {}
        return family, quantity, tuple(sorted(parameters.items()))

    def _at(self, function, rate, distance):
        return function(distance * rate)

    def log_value(self, radius):
        """`log k` at a distance of `radius` bandwidths."""
        raise NotImplementedError(
            f"`{type(self).__name__}` must write `log_value(radius)`: the "
            "logarithm of the kernel at `radius` bandwidths."
        )

    def log_slope(self, radius):
        """`log(-k'(r) / r)` at a distance of `radius` bandwidths.

        It is the factor between displacement and gradient:
        `grad_x k(|x - y| / bandwidth) = slope * (y - x) / bandwidth**2`. Where
        the kernel has a cusp, it is minus infinity at distance 0: coincident
        points exert no force.
        """
        raise NotImplementedError(
            f"`{type(self).__name__}` has no closed form for its slope: "
            "override `log_slope(radius)`."
        )

    def log_gradient_weight(self, radius):
        """`log(-k'(r) / (r k(r)))`: the weight of a displacement in a score."""
        return self.log_slope(radius) - self.log_value(radius)

    def log_companion_weight(self, radius):
        """`log(psi(0) k(r) / psi(r))`, for the companion `psi`.

        The gradient weight of the companion kernel, relative to that of
        coincident points: 0 there and negative elsewhere.
        """
        at_zero = self.log_companion(ops.zeros_like(radius))
        return self.log_value(radius) + at_zero - self.log_companion(radius)

    def log_companion(self, radius):
        """Log of the companion kernel, at a distance of `radius` bandwidths.

        The companion is `psi(r) = integral from r to infinity of s k(s) ds`,
        the potential of the mean shift: `-grad psi(z) = z k(z)`. In units of
        length it is `bandwidth**2 * exp(log_companion(r / bandwidth))`.
        Also known as the sharp kernel
        ([Franz et al., 2026](https://arxiv.org/abs/2604.06333)).
        """
        raise NotImplementedError(
            f"`{type(self).__name__}` has no closed form for its companion: "
            "override `log_companion(radius)`."
        )

    def spectrum(self, frequency, dim):
        """Fourier transform of the kernel, for a bandwidth of one.

        Args:
            frequency: array, the length of the angular frequency `xi`, in
                radians per bandwidth, >= 0.
            dim: int >= 1, the dimension of space.

        Returns:
            float64 NumPy array shaped like `frequency`: the integral over space
            of `k(|z|) exp(-i xi.z)`. For a bandwidth `s` it is
            `s**dim * spectrum(s * xi, dim)`.
        """
        raise NotImplementedError(
            f"`{type(self).__name__}` has no closed form for its spectrum: "
            "override `spectrum(frequency, dim)`."
        )

    def companion_spectrum(self, frequency, dim):
        """Fourier transform of the companion, for a bandwidth of one.

        Takes and returns what `spectrum` does.
        """
        raise NotImplementedError(
            f"`{type(self).__name__}` has no closed form for the spectrum of "
            "its companion: override `companion_spectrum(frequency, dim)`."
        )

    def compute_output_shape(self, x_shape, y_shape):
        """The shape of the log-similarities."""
        pairs = (*x_shape[:-1], y_shape[-2])
        return (*self.bandwidth_ratios().shape, *pairs)

    def get_config(self):
        """The constructor's arguments; `adapt` changes them, no schedule."""
        return {
            **super().get_config(),
            **own_arguments(self),
            **self._config_of_bandwidth(),
        }

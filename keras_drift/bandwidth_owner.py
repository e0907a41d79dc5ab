"""Mixin for layers that own a bandwidth."""

import math
from typing import Any
from typing import NamedTuple

import numpy as np
from keras import ops

AUTO = "auto"
# A second, narrower bandwidth: the wide one keeps the mass of the modes right
# while the narrow one sharpens them.
TWO_SCALES = (1.0, 0.25)


class BandwidthOwner:
    """Mixin for Keras layers that own a bandwidth: one, or several.

    The bandwidth is a non-trainable weight, so that a schedule may change it
    between steps of compiled code, and has an initial value, which the config
    holds. With `"auto"` there is no value until `adapt` sets one, and using it
    raises an error.
    """

    def _add_bandwidth(self, name, value, check, auto_ratios=1.0):
        """Adds the weight of the bandwidth.

        Args:
            name: string, of the argument and of the weight.
            value: float, a sequence of floats, or `"auto"`.
            check: callable from a value to a valid one.
            auto_ratios: float or sequence of floats, the bandwidths over the
                largest of them, for `"auto"`. Defaults to a single one.
        """
        self.bandwidth_name = name
        self._auto_ratios = auto_ratios
        if isinstance(value, str) and value != AUTO:
            raise TypeError(
                f"`{name}` is a number, a sequence of numbers or 'auto', to "
                f"choose it from data by `adapt`. Received: {name}={value!r}"
            )
        self._config_bandwidth = value if _is_auto(value) else check(value)
        # Not a number, lest a value that nobody chose is used anywhere.
        start = np.asarray(
            math.nan * np.asarray(auto_ratios)
            if self.needs_adapt
            else self._config_bandwidth,
            "float32",
        )
        self._bandwidth_weight = self.add_weight(
            name=name,
            shape=start.shape,
            initializer=lambda shape, dtype=None: ops.convert_to_tensor(
                start, dtype
            ),
            trainable=False,
        )

    @property
    def needs_adapt(self):
        """Whether the bandwidth is `"auto"` and `adapt` has not set it yet."""
        return _is_auto(self._config_bandwidth)

    @property
    def bandwidth(self):
        """The variable that schedules set."""
        self.require_bandwidth()
        return self._bandwidth_weight

    @property
    def initial_bandwidth(self):
        """The initial bandwidths: a NumPy array of rank 0 or 1."""
        self.require_bandwidth()
        return np.asarray(self._config_bandwidth, "float32")

    def require_bandwidth(self):
        """Raises an error if `adapt` must be called first."""
        if not self.needs_adapt:
            return
        loaded = self._loaded_bandwidth()
        if loaded is not None:
            self._config_bandwidth = loaded
            return
        name = self.bandwidth_name
        raise ValueError(
            f"The {name} of this `{type(self).__name__}` is to be chosen from "
            "data. Call `drift.adapt(data)`, or `model.adapt(data)` of a "
            f"`DriftModel`, before it is used. Received: {name}='auto', not "
            "adapted yet"
        )

    def _loaded_bandwidth(self):
        """The value that the weight was given by a file or `set_weights`."""
        try:
            value = ops.convert_to_numpy(self._bandwidth_weight)
        except Exception:  # inside compiled code it has none
            return None
        present = np.isfinite(value) & (value > 0)
        return value.tolist() if np.all(present) else None

    def set_initial_bandwidth(self, largest):
        """Sets the bandwidth and its initial value; ratios are kept.

        Args:
            largest: float > 0, the largest bandwidth.
        """
        ratios = self.bandwidth_ratios()
        self._config_bandwidth = (float(largest) * ratios).tolist()
        value = np.asarray(self._config_bandwidth, "float32")
        self._bandwidth_weight.assign(value)

    def bandwidth_ratios(self):
        """The initial bandwidths over the largest: a float64 array."""
        if self.needs_adapt:
            return np.asarray(self._auto_ratios, "float64")
        values = np.asarray(self._config_bandwidth, "float64")
        return values / values.max()

    def _config_of_bandwidth(self):
        """The entry of the config."""
        return {self.bandwidth_name: self._config_bandwidth}


class BandwidthPart(NamedTuple):
    """One bandwidth of a drift, described for `adapt`.

    Attributes:
        owner: `BandwidthOwner`.
        kernel: `Kernel` with the decay rates of the drift at any bandwidth, or
            its name: no kernel is made inside compiled code.
        relative: bool, whether the bandwidth is in units of a mean distance.
        mean_power: int, 1 or 2: whether that is the mean or the root mean
            square of the distances. Defaults to `1`.
        weights: list of floats, of the fields of several bandwidths, or `None`:
            their mean.
    """

    owner: Any
    kernel: Any
    relative: bool = False
    mean_power: int = 1
    weights: Any = None


def _is_auto(value):
    return isinstance(value, str) and value == AUTO

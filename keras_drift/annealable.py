"""Mixin for objects with a schedulable bandwidth."""

import numpy as np
from keras import ops


def bandwidth_weight(layer, name, value):
    """Adds a non-trainable weight for a bandwidth that schedules set.

    Args:
        layer: the Keras layer that owns it.
        name: string.
        value: float, or a sequence of them, the initial value.
    """
    value = np.asarray(value, "float32")
    return layer.add_weight(
        name=name,
        shape=value.shape,
        initializer=lambda shape, dtype=None: ops.convert_to_tensor(
            value, dtype
        ),
        trainable=False,
    )


class Annealable:
    """Mixin for drifts and energies with a schedulable bandwidth."""

    @property
    def bandwidth(self):
        """The variable that schedules set, or `None`."""
        return None

    @property
    def initial_bandwidth(self):
        """The initial value of the variable: a NumPy array, or `None`."""
        return None

    def check_annealable(self):
        """Raises an error if no schedule can set the bandwidth."""
        if self.bandwidth is None:
            raise ValueError(
                f"`{type(self).__name__}` has no bandwidth that a schedule "
                "could change. Only a drift with a bandwidth can be annealed. "
                f"Received: drift={type(self).__name__}"
            )

    def anneal(self, bandwidth):
        """Sets the largest bandwidth; several keep their ratios.

        Args:
            bandwidth: float or scalar tensor > 0, also inside compiled code.
                Bounded below by a millionth of the initial bandwidth, since
                the field is undefined at 0.
        """
        self.check_annealable()
        largest = float(self.initial_bandwidth.max())
        width = ops.maximum(ops.cast(bandwidth, "float32"), 1e-6 * largest)
        ratios = ops.convert_to_tensor(self.initial_bandwidth / largest)
        self.bandwidth.assign(width * ratios)


class JointlyAnnealable(Annealable):
    """Mixin for combinations of drifts that one schedule anneals together.

    The schedule sets the largest of all bandwidths; the others keep their
    ratios to it, so all of them must have one unit of length.
    """

    @property
    def _annealed(self):
        """The drifts that have a bandwidth."""
        return [drift for drift in self.drifts if drift.bandwidth is not None]

    @property
    def relative(self):
        """Whether the bandwidths are in units of the mean distance."""
        return any(drift.relative for drift in self._annealed)

    @property
    def bandwidth(self):
        """All bandwidths in one tensor, or `None` if there are none."""
        widths = [ops.reshape(d.bandwidth, (-1,)) for d in self._annealed]
        return ops.concatenate(widths) if widths else None

    @property
    def initial_bandwidth(self):
        widths = [np.ravel(d.initial_bandwidth) for d in self._annealed]
        return np.concatenate(widths) if widths else None

    def check_annealable(self):
        super().check_annealable()
        if len({drift.relative for drift in self._annealed}) > 1:
            raise ValueError(
                "One schedule cannot set bandwidths in different units: some "
                "drifts measure in the units of the data, others relative to "
                "the mean distance. Give all of them the same `relative`. "
                "Received: "
                + ", ".join(
                    f"{type(drift).__name__}(relative={drift.relative})"
                    for drift in self._annealed
                )
            )

    def anneal(self, bandwidth):
        self.check_annealable()
        largest = float(self.initial_bandwidth.max())
        for drift in self._annealed:
            ratio = float(drift.initial_bandwidth.max()) / largest
            drift.anneal(bandwidth * ratio)

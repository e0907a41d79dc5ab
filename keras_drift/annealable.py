"""Mixin for objects with a bandwidth that schedules and `adapt` set."""

import numpy as np
from keras import ops


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

    def bandwidth_parts(self):
        """List of `BandwidthPart`: the bandwidths that `adapt` sets."""
        # No property: Keras would save what is in it a second time.
        return []

    @property
    def has_bandwidth(self):
        """Whether there is a bandwidth, also one that `adapt` is to set."""
        return bool(self.bandwidth_parts()) or self.bandwidth is not None

    def require_bandwidth(self):
        """Raises an error if `adapt` must be called first."""
        for part in self.bandwidth_parts():
            part.owner.require_bandwidth()

    def adapt(self, data, labels=None, seed=0, verbose=True):
        """Sets the bandwidth from data, for training at a constant one.

        It is the bandwidth at which the slowest error of the resolved
        frequencies decays fastest, see `spectral.plan_training`, and becomes
        the initial bandwidth, in the config as well. Several bandwidths of a
        kernel keep their ratios; drifts that are combined get what each of them
        alone would.

        A single bandwidth narrow enough for fine details moves no mass between
        distant modes, and loses some of them. Give the kernel two, such as
        `"auto"` or `(1.0, 0.25)`.

        Args:
            data: float array `(n, ...)`, samples as the drift compares them:
                features, if there is an encoder, see `DriftModel.adapt`.
            labels: int array `(n,)`, of a drift that compares samples within
                their class. Defaults to `None`: one class.
            seed: int, of the random subset and directions. Defaults to `0`.
            verbose: bool, whether to print what was chosen and why. Defaults to
                `True`.

        Raises:
            ValueError: if there is no bandwidth, or if the data have no
                structure, as equal samples do.
        """
        # Not above: the package imports this file.
        from keras_drift.spectral.bandwidth_adaptation import adapt_drift

        adapt_drift(self, data, labels, seed, verbose)

    @property
    def bandwidth_unit(self):
        """What bandwidths are multiples of: a string.

        `"data"` for the unit of the data, `"mean distance"`, or
        `"neighbor radius"`.
        """
        return "mean distance" if getattr(self, "relative", False) else "data"

    def check_annealable(self):
        """Raises an error if no schedule can set the bandwidth."""
        if not self.has_bandwidth:
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
        return [drift for drift in self.drifts if drift.has_bandwidth]

    def bandwidth_parts(self):
        return [
            part for drift in self.drifts for part in drift.bandwidth_parts()
        ]

    @property
    def relative(self):
        """Whether the bandwidths are in units of the mean distance."""
        return any(drift.relative for drift in self._annealed)

    @property
    def bandwidth_unit(self):
        units = [drift.bandwidth_unit for drift in self._annealed]
        return units[0] if units else "data"

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
        if len({drift.bandwidth_unit for drift in self._annealed}) > 1:
            raise ValueError(
                "One schedule cannot set bandwidths in different units: those "
                "of the data, relative to the mean distance, or multiples of "
                "neighbor radii. Give all drifts the same `relative`, and do "
                "not mix a `SelfTuningDrift` with others. Received: "
                + ", ".join(
                    f"{type(drift).__name__} with bandwidths in units of "
                    f"{drift.bandwidth_unit!r}"
                    for drift in self._annealed
                )
            )

    def anneal(self, bandwidth):
        self.check_annealable()
        largest = float(self.initial_bandwidth.max())
        for drift in self._annealed:
            ratio = float(drift.initial_bandwidth.max()) / largest
            drift.anneal(bandwidth * ratio)

"""Costs of transporting a sample to a point."""

import functools
from collections.abc import Callable
from typing import NamedTuple

from keras_drift.ops.distances import half_squared_distances
from keras_drift.ops.distances import pairwise_distances


class TransportCost(NamedTuple):
    """A cost of transport, with what follows from it for the entropy.

    Attributes:
        between: function of samples and points around the origin, the costs of
            all pairs.
        power: int, the power of a length that it is: `epsilon` is that power of
            `blur`.
        kernel: str, the kernel `exp(-cost / epsilon)`, at whose rates fine
            details decay.
    """

    between: Callable
    power: int
    kernel: str


TRANSPORT_COSTS = {
    "squared": TransportCost(
        functools.partial(half_squared_distances, centered=True), 2, "gaussian"
    ),
    "distance": TransportCost(
        functools.partial(pairwise_distances, centered=True), 1, "laplacian"
    ),
}

"""Batches that are distributed over two devices.

On JAX the devices are an axis of `vmap` with a name, and on the other backends,
where no mapped axis has collectives, they are threads.
"""

import threading

import keras
import numpy as np
import pytest
from keras import ops

import contracts
from keras_drift import backend
from keras_drift import drifts
from keras_drift import kernels

WIDTHS = [0.6, 2.0]
BATCH = {"relative": True, "unit_rms": True}

# A drift, and how many means over the batch it takes: of the length scale, of
# the squares of all raw fields, and on a sphere of the radius.
DRIFTS = {
    "absolute": (lambda **kw: drifts.KernelDrift("gaussian", **kw), 1),
    "row": (
        lambda **kw: drifts.KernelDrift(
            kernels.Laplacian(WIDTHS), **BATCH, **kw
        ),
        2,
    ),
    "dual": (
        lambda **kw: drifts.KernelDrift(
            kernels.Laplacian(WIDTHS), "dual", **kw
        ),
        2,
    ),
    "official": (
        lambda **kw: drifts.KernelDrift("laplacian", "official_dual", **kw),
        2,
    ),
    "spherical": (
        lambda **kw: drifts.KernelDrift(
            kernels.VonMisesFisher(0.8), **BATCH, **kw
        ),
        3,
    ),
    "sinkhorn": (
        lambda **kw: drifts.SinkhornDrift(
            WIDTHS, num_steps=2, **BATCH, **{"self_interaction": "included"}
        ),
        2,
    ),
    "energy distance": (
        lambda **kw: drifts.EnergyDistanceDrift(unit_rms=True, **kw),
        2,
    ),
    "sliced": (
        lambda **kw: drifts.SlicedWassersteinDrift(
            4, resample=False, unit_rms=True
        ),
        1,
    ),
    "variational": (
        lambda **kw: drifts.VariationalDrift("mmd", unit_rms=True),
        1,
    ),
    "sum": (
        lambda **kw: drifts.Sum(["kernel_drift", "energy_distance_drift"]),
        3,
    ),
    "lookahead": (
        lambda **kw: drifts.Lookahead(DRIFTS["row"][0](**kw), 1, 0.5),
        4,
    ),
}


class Devices:
    """Two devices: `run` calls a function on each, with collectives.

    Attributes:
        calls: list of the collectives that one device has taken part in.
    """

    def __init__(self):
        self.calls = []

    def run(self, function, shares):
        """Returns the results of both devices for their shares."""
        with pytest.MonkeyPatch.context() as patch:
            for name in ("global_mean", "gather"):
                patch.setattr(backend, name, getattr(self, name))
            return self._run(function, shares)


class Threads(Devices):
    def __init__(self):
        super().__init__()
        self._barrier = threading.Barrier(2, timeout=60)
        self._device = threading.local()
        self._shares = [None, None]

    def global_mean(self, x, placement="groups"):
        self._record("global_mean", placement)
        return sum(self._exchange(x)) / 2

    def gather(self, x, axis, placement="groups"):
        self._record("gather", placement)
        if placement == "groups":
            return x
        return ops.concatenate(self._exchange(x), axis=axis)

    def _run(self, function, shares):
        results, errors = [None, None], []

        def work(index):
            self._device.index = index
            try:
                results[index] = function(*shares[index])
            except BaseException as error:
                errors.append(error)
                self._barrier.abort()

        threads = [threading.Thread(target=work, args=(i,)) for i in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if errors:
            raise errors[0]
        return results

    def _exchange(self, x):
        self._shares[self._device.index] = x
        self._barrier.wait()
        shares = list(self._shares)
        self._barrier.wait()
        return shares

    def _record(self, name, placement):
        if self._device.index == 0:
            self.calls.append((name, placement))


class MappedAxis(Devices):
    def global_mean(self, x, placement="groups"):
        from jax import lax

        self.calls.append(("global_mean", placement))
        return lax.pmean(x, "devices")

    def gather(self, x, axis, placement="groups"):
        from jax import lax

        self.calls.append(("gather", placement))
        if placement == "groups":
            return x
        return lax.all_gather(x, "devices", axis=axis, tiled=True)

    def _run(self, function, shares):
        import jax

        mapped = contracts.in_one_program(
            jax.vmap(function, axis_name="devices")
        )
        results = mapped(*map(np.stack, zip(*shares, strict=True)))
        return [
            keras.tree.map_structure(lambda part, i=i: part[i], results)
            for i in range(2)
        ]


two_devices = MappedAxis if contracts.ON_JAX else Threads


def clouds(groups):
    rng = np.random.default_rng(0)
    return [rng.normal(size=(groups, n, 3)) + 0.5 for n in (4, 6, 6)]


def assert_equals_the_whole(results, whole, axis):
    velocity = np.concatenate(
        [contracts.numpy(each.velocity) for each in results], axis
    )
    contracts.assert_close(velocity, contracts.numpy(whole.velocity), 2e-5)
    for each in results:
        for name in ("length_scale", "norm"):
            contracts.assert_close(
                contracts.numpy(getattr(each, name)),
                contracts.numpy(getattr(whole, name)),
                2e-5,
            )


@pytest.mark.parametrize("name", DRIFTS)
def test_groups_on_two_devices_are_one_batch(name):
    x, y, _ = clouds(2)
    make, num_means = DRIFTS[name]
    drift = make()
    weights = np.ones((2, 6))
    weights[0, :3] = 2  # devices of unequal weight

    def field(x, y, weights):
        return drift.field(x, y, positive_weights=weights)

    devices = two_devices()
    results = devices.run(
        field,
        [[v[g : g + 1] for v in (x, y, weights)] for g in (0, 1)],
    )
    means = [call for call in devices.calls if call[0] == "global_mean"]
    assert means == [("global_mean", "groups")] * num_means
    assert_equals_the_whole(
        results, contracts.in_one_program(field)(x, y, weights), axis=0
    )


@pytest.mark.parametrize("name", ["row", "spherical", "energy distance"])
def test_samples_on_two_devices_are_one_group(name):
    drift = DRIFTS[name][0](self_interaction="included")

    def field(x, y, z, weights, placement="samples"):
        return drift.field(
            x,
            y,
            unconditional=z,
            unconditional_weights=weights,
            placement=placement,
        )

    arrays = [*clouds(1), np.ones((1, 6))]
    halves = [np.split(v, 2, axis=1) for v in arrays]
    devices = two_devices()
    results = devices.run(field, list(zip(*halves, strict=True)))
    gathered = [call for call in devices.calls if call[0] == "gather"]
    # The positives, the samples as negatives, and the unconditional points
    # with their weights, once each.
    assert gathered == [("gather", "samples")] * 4
    whole = contracts.in_one_program(field)(*arrays)
    assert_equals_the_whole(results, whole, axis=1)


def test_one_device_has_nothing_to_exchange():
    x = np.ones((2, 3))
    for placement in backend.PLACEMENTS:
        assert backend.global_mean(x, placement) is x
        assert backend.gather(x, 1, placement) is x


def test_placement_is_one_of_two():
    x = np.zeros((3, 2))
    with pytest.raises(
        ValueError,
        match=r"`placement` must be one of 'groups', 'samples'.*='sample'",
    ):
        drifts.KernelDrift().field(x, x, placement="sample")

"""Batches that are distributed, on two devices that are threads."""

import threading

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


class TwoDevices:
    """Runs a function in two threads whose collectives meet."""

    def __init__(self, monkeypatch):
        self.calls = []
        self._barrier = threading.Barrier(2, timeout=60)
        self._device = threading.local()
        self._shares = [None, None]
        monkeypatch.setattr(backend, "global_mean", self.global_mean)
        monkeypatch.setattr(backend, "gather", self.gather)

    def global_mean(self, x, placement="groups"):
        self._record("global_mean", placement)
        return sum(self._exchange(x)) / 2

    def gather(self, x, axis, placement="groups"):
        self._record("gather", placement)
        if placement == "groups":
            return x
        return ops.concatenate(self._exchange(x), axis=axis)

    def run(self, function, shares):
        results, errors = [None, None], []

        def work(index):
            self._device.index = index
            try:
                results[index] = function(shares[index])
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
def test_groups_on_two_devices_are_one_batch(monkeypatch, name):
    x, y, _ = clouds(2)
    make, num_means = DRIFTS[name]
    drift = make()
    weights = np.ones((2, 6))
    weights[0, :3] = 2  # devices of unequal weight
    whole = drift.field(x, y, positive_weights=weights)
    devices = TwoDevices(monkeypatch)
    shares = [(x[g : g + 1], y[g : g + 1], weights[g : g + 1]) for g in (0, 1)]
    results = devices.run(
        lambda share: drift.field(*share[:2], positive_weights=share[2]), shares
    )
    assert_equals_the_whole(results, whole, axis=0)
    means = [call for call in devices.calls if call[0] == "global_mean"]
    assert means == [("global_mean", "groups")] * num_means


@pytest.mark.parametrize("name", ["row", "spherical", "energy distance"])
def test_samples_on_two_devices_are_one_group(monkeypatch, name):
    x, y, z = clouds(1)
    drift = DRIFTS[name][0](self_interaction="included")
    given = {"unconditional": z, "unconditional_weights": np.ones((1, 6))}
    whole = drift.field(x, y, **given)
    devices = TwoDevices(monkeypatch)
    shares = [
        [v[:, i * v.shape[1] // 2 :][:, : v.shape[1] // 2] for v in (x, y, z)]
        for i in (0, 1)
    ]
    results = devices.run(
        lambda share: drift.field(
            *share[:2],
            unconditional=share[2],
            unconditional_weights=np.ones((1, 3)),
            placement="samples",
        ),
        shares,
    )
    assert_equals_the_whole(results, whole, axis=1)
    gathered = [call for call in devices.calls if call[0] == "gather"]
    # The positives, the samples as negatives, and the unconditional points
    # with their weights, once each.
    assert gathered == [("gather", "samples")] * 4


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

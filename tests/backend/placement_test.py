"""Batches that are distributed over devices.

On JAX the devices are an axis of `vmap` with a name, and on the other backends,
where no mapped axis has collectives, they are threads.
"""

import functools
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
    """Devices: `run` calls a function on each, with collectives.

    Attributes:
        calls: list of the collectives that one device has taken part in.
    """

    def __init__(self, count=2):
        self.calls = []
        self.count = count

    def run(self, function, shares):
        """Returns the results of all devices for their shares."""
        with pytest.MonkeyPatch.context() as patch:
            for name in ("global_mean", "gather", "replica_index", "share"):
                patch.setattr(backend, name, getattr(self, name))
            patch.setattr(backend, "num_replicas", lambda: self.count)
            return self._run(function, shares)


class Threads(Devices):
    def __init__(self, count=2):
        super().__init__(count)
        self._barrier = threading.Barrier(count, timeout=60)
        self._device = threading.local()
        self._shares = [None] * count

    def global_mean(self, x, placement="groups"):
        if placement == "local":
            return x
        self._record("global_mean", placement)
        return sum(self._exchange(x)) / self.count

    def gather(self, x, axis=0, placement="samples"):
        self._record("gather", placement)
        return ops.concatenate(self._exchange(x), axis=axis)

    def replica_index(self):
        return self._device.index

    def share(self, x, axis):
        return ops.split(x, self.count, axis=axis)[self._device.index]

    def _run(self, function, shares):
        results, errors = [None] * self.count, []

        def work(index):
            self._device.index = index
            try:
                results[index] = function(*shares[index])
            except BaseException as error:
                errors.append(error)
                self._barrier.abort()

        threads = [
            threading.Thread(target=work, args=(i,)) for i in range(self.count)
        ]
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

        if placement == "local":
            return x
        self.calls.append(("global_mean", placement))
        return lax.pmean(x, "devices")

    def gather(self, x, axis=0, placement="samples"):
        from jax import lax

        self.calls.append(("gather", placement))
        return lax.all_gather(x, "devices", axis=axis, tiled=True)

    def replica_index(self):
        from jax import lax

        return lax.axis_index("devices")

    def share(self, x, axis):
        from jax import lax

        size = x.shape[axis] // self.count
        start = self.replica_index() * size
        return lax.dynamic_slice_in_dim(x, start, size, axis)

    def _run(self, function, shares):
        import jax

        mapped = contracts.in_one_program(
            jax.vmap(function, axis_name="devices")
        )
        results = mapped(*map(np.stack, zip(*shares, strict=True)))
        return [
            keras.tree.map_structure(lambda part, i=i: part[i], results)
            for i in range(self.count)
        ]


make_devices = MappedAxis if contracts.ON_JAX else Threads


def clouds(groups, sizes=(4, 6, 6)):
    rng = np.random.default_rng(0)
    return [rng.normal(size=(groups, n, 3)) + 0.5 for n in sizes]


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
        return drift.field(x, y, positive_weights=weights, placement="groups")

    devices = make_devices()
    results = devices.run(
        field,
        [[v[g : g + 1] for v in (x, y, weights)] for g in (0, 1)],
    )
    means = [call for call in devices.calls if call[0] == "global_mean"]
    assert means == [("global_mean", "groups")] * num_means
    assert_equals_the_whole(
        results, contracts.in_one_program(field)(x, y, weights), axis=0
    )


# Of samples that move independently of each other, none is gathered: only the
# positives, the samples as negatives, and the unconditional points with their
# weights.
@pytest.mark.parametrize(
    ("name", "num_gathered"),
    [
        ("row", 4),
        ("spherical", 4),
        ("energy distance", 4),
        ("dual", 5),
        ("sinkhorn", 5),
        ("sliced", 5),
        ("lookahead", 5),
    ],
)
def test_samples_on_three_devices_are_one_group(name, num_gathered):
    drift = DRIFTS[name][0]()

    def field(x, y, z, weights, placement="samples"):
        return drift.field(
            x,
            y,
            unconditional=z,
            unconditional_weights=weights,
            placement=placement,
        )

    # Not equal: each point has to keep the weight that it came with.
    # Not two devices, where the next one is the previous one.
    arrays = [*clouds(1, (6, 9, 6)), np.arange(6.0)[None]]
    parts = [np.split(v, 3, axis=1) for v in arrays]
    devices = make_devices(3)
    results = devices.run(field, list(zip(*parts, strict=True)))
    gathered = [call for call in devices.calls if call[0] == "gather"]
    assert gathered == [("gather", "samples")] * num_gathered
    whole = contracts.in_one_program(field)(*arrays)
    assert_equals_the_whole(results, whole, axis=1)


def test_samples_that_are_not_the_negatives_keep_their_place():
    # A sample is not its own negative, on whatever device the two are; one of
    # them is absent.
    x, y, z = clouds(1)
    negatives = np.concatenate([x + 0.1, z[:, :2]], axis=1)
    weights = np.array([[1.0, 2.0, 0.0, 1.0, 3.0, 0.5]])
    drift = drifts.Sum(["kernel_drift", "energy_distance_drift"])
    single = drifts.KernelDrift()

    def field(drift, x, y, negatives, weights, placement="samples"):
        return drift.field(
            x,
            y,
            negatives,
            negative_weights=weights,
            negatives_are_samples=True,
            placement=placement,
        )

    # Each device: its two samples, and one more.
    order = [[0, 1, 4], [2, 3, 5]]
    shares = [
        (
            x[:, 2 * i : 2 * i + 2],
            y[:, 3 * i : 3 * i + 3],
            negatives[:, own],
            weights[:, own],
        )
        for i, own in enumerate(order)
    ]
    for each in (drift, single):
        call = functools.partial(field, each)
        results = make_devices().run(call, shares)
        alone = functools.partial(call, placement="local")
        whole = contracts.in_one_program(alone)(x, y, negatives, weights)
        assert_equals_the_whole(results, whole, axis=1)


def test_the_signal_of_samples_on_two_devices_is_that_of_one():
    x, y, _ = clouds(1)
    drift = drifts.KernelDrift(kernels.Laplacian(WIDTHS), **BATCH)

    def signal(x, y, placement="samples"):
        return drift.signal(x, y, placement=placement)

    halves = [np.split(v, 2, axis=1) for v in (x, y)]
    found = make_devices().run(signal, list(zip(*halves, strict=True)))
    alone = functools.partial(signal, placement="local")
    expected = contracts.in_one_program(alone)(x, y)
    for each in found:
        for one, two in zip(each, expected, strict=True):
            contracts.assert_close(
                contracts.numpy(one), contracts.numpy(two), 2e-5
            )


def test_one_device_has_nothing_to_exchange():
    x = np.ones((2, 3))
    for placement in backend.PLACEMENTS:
        assert backend.global_mean(x, placement) is x
        assert backend.gather(x, 1, placement) is x


def test_placement_is_one_of_two():
    x = np.zeros((3, 2))
    with pytest.raises(
        ValueError,
        match=r"must be one of 'groups', 'samples', 'local'.*='sample'",
    ):
        drifts.KernelDrift().field(x, x, placement="sample")

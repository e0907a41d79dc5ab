"""What every kernel and every drift must keep, whoever writes it."""

import json

import keras
import numpy as np
from keras import ops

from keras_drift import backend
from keras_drift import energies
from keras_drift.drifts import VariationalDrift

BACKEND = keras.backend.backend()
ON_JAX = BACKEND == "jax"
HALVES = ("float16", "bfloat16")


def copy_of(thing):
    """The object that its config gives back, after a stay in JSON."""
    config = keras.saving.serialize_keras_object(thing)
    return keras.saving.deserialize_keras_object(json.loads(json.dumps(config)))


def numpy(tensor):
    return ops.convert_to_numpy(tensor)


def assert_close(found, expected, tolerance):
    """In every number, up to this share of the largest one."""
    np.testing.assert_allclose(
        found, expected, rtol=0, atol=tolerance * np.abs(expected).max()
    )


def in_one_program(function, optimized=False):
    """The function, compiled as a whole where single steps are compiled too.

    JAX compiles every operation anew for every shape: half a second for all of
    them together, several one by one. For shapes that a test uses once.

    Args:
        function: callable.
        optimized: bool, whether the machine code is optimized as for users,
            which the flags of the tests turn off.
    """
    if not ON_JAX:
        return function
    import jax

    options = {
        "xla_backend_optimization_level": 3,
        "xla_cpu_use_fusion_emitters": True,
    }
    # Not `function` itself: `jit` would remember it, and the bandwidth it read.
    return jax.jit(
        lambda *args, **kwargs: function(*args, **kwargs),
        compiler_options=options if optimized else None,
    )


def compiled(layer, *arrays, jit_compile=ON_JAX):
    """What a layer returns inside of a compiled `predict`.

    The arrays share a first axis, the batch, whose size TensorFlow does not
    know while it compiles.
    """
    inputs = [keras.Input(array.shape[1:]) for array in arrays]
    model = keras.Model(inputs, layer(*inputs))
    model.compile(jit_compile=jit_compile)
    batch = list(arrays)
    return model.predict(batch, batch_size=len(arrays[0]), verbose=0)


def gradient(function, at):
    """The gradient of a scalar function, by JAX or a training step of Keras."""
    if ON_JAX:
        import jax

        slope = in_one_program(jax.grad(function))
        return np.asarray(slope(ops.cast(at, "float32")), "float64")

    class Function(keras.Model):
        def __init__(self):
            super().__init__()
            self.point = self.add_weight(shape=np.shape(at), name="point")

        def call(self, x):
            return x

        def compute_loss(self, *args, **kwargs):
            return function(self.point.value)

    model = Function()
    model.point.assign(at)
    model.compile(keras.optimizers.SGD(1.0), run_eagerly=True)
    model.train_on_batch(np.zeros((1, 1)))
    return np.asarray(at, "float64") - numpy(model.point)


def check_kernel(cls, init_kwargs):
    """Values, shapes, dtypes and configs of a kernel."""
    rng = np.random.default_rng(0)
    x, y = (rng.normal(size=(2, n, 3)).astype("float32") for n in (4, 5))
    alone = cls(**init_kwargs, bandwidth=0.7)
    expected = numpy(in_one_program(alone)(x, y))
    for bandwidth in (0.7, [0.7], [0.3, 0.7, 2.0]):
        kernel = cls(**init_kwargs, bandwidth=bandwidth)
        shape = (*np.shape(bandwidth), 2, 4, 5)
        assert kernel.num_bandwidths == np.size(bandwidth)
        np.testing.assert_array_equal(
            kernel.initial_bandwidth, np.float32(bandwidth)
        )
        symbolic = kernel(*(keras.KerasTensor(cloud.shape) for cloud in (x, y)))
        assert tuple(symbolic.shape) == shape
        assert symbolic.dtype == "float32"
        logs = numpy(in_one_program(kernel)(x, y))
        assert logs.shape == shape
        assert np.all(logs < 0)
        # Each of several bandwidths is the kernel of that bandwidth.
        middle = logs[len(logs) // 2] if np.ndim(bandwidth) else logs
        np.testing.assert_allclose(middle, expected, rtol=1e-5, atol=1e-6)

        copy = copy_of(kernel)
        assert type(copy) is cls
        assert copy.get_config() == kernel.get_config()

    # From here on the shapes stay the same, which spares JAX compilations.
    logs = numpy(kernel(x, y))
    np.testing.assert_array_equal(numpy(copy(x, y)), logs)

    # A wider kernel is a change of the unit of length; on a sphere, lengths
    # mean nothing.
    length_scale = cls(**init_kwargs, bandwidth=np.ones(3))
    halves = numpy((kernel if cls.spherical else length_scale)(x / 2, y / 2))
    np.testing.assert_allclose(halves[2], logs[2], rtol=1e-4)

    coincident = np.concatenate([x, y[:, :1]], axis=1)
    diagonal = np.diagonal(
        numpy(length_scale(x, coincident)), axis1=-2, axis2=-1
    )
    np.testing.assert_array_equal(diagonal, 0)

    for dtype in HALVES:
        halves = [ops.cast(cloud, dtype) for cloud in (x, y)]
        half = kernel(*halves)
        assert keras.backend.standardize_dtype(half.dtype) == "float32"
        rounded = [numpy(ops.cast(cloud, "float32")) for cloud in halves]
        np.testing.assert_array_equal(numpy(half), numpy(kernel(*rounded)))


def check_drift(
    cls,
    init_kwargs,
    x,
    positives,
    negatives=None,
    groups_independent=False,
    compiles=True,
):
    """What a drift of sets of samples `(groups, points, dim)` must keep.

    Args:
        cls: the class.
        init_kwargs: dict, its arguments.
        x: shape of the samples.
        positives: shape of the data.
        negatives: shape of the negatives; `None` for a drift that takes none.
        groups_independent: whether a group feels the other groups in no way.
        compiles: whether to compile it as well, which takes a second or two.
    """
    rng = np.random.default_rng(0)
    x, *points = (
        rng.normal(size=size).astype("float32")
        for size in (x, positives, negatives)
        if size is not None
    )
    drift = cls(**init_kwargs)
    velocity = numpy(drift(x, *points))
    assert velocity.shape == x.shape
    assert velocity.dtype == "float32"
    assert np.all(np.isfinite(velocity))
    assert np.any(velocity != 0)

    def agrees(other, **tolerance):
        tolerance = {"rtol": 1e-4, "atol": 1e-5, **tolerance}
        np.testing.assert_allclose(numpy(other), velocity, **tolerance)

    _check_drift_config(drift, (x, *points), velocity)

    field = drift.field(x, *points)
    agrees(field.velocity, rtol=0, atol=0)
    assert len(field.length_scale.shape) == 0
    assert len(field.norm.shape) == 1
    if compiles:
        agrees(compiled(drift, x, *points))
    agrees(drift(x.astype("float64"), *points), rtol=1e-6)
    for dtype in HALVES:
        halves = [ops.cast(array, dtype) for array in (x, *points)]
        half = drift(*halves)
        assert keras.backend.standardize_dtype(half.dtype) == "float32"
        rounded = [numpy(ops.cast(array, "float32")) for array in halves]
        np.testing.assert_array_equal(numpy(half), numpy(drift(*rounded)))

    _check_drift_laws(drift, agrees, x, points)

    # Without an axis of groups there is one group.
    first = [array[0] for array in (x, *points)]
    alone = numpy(in_one_program(drift)(*first))
    assert alone.shape == first[0].shape
    if groups_independent:
        np.testing.assert_allclose(alone, velocity[0], rtol=1e-4, atol=1e-5)


def _check_drift_laws(drift, agrees, x, points):
    """Permutations of samples and points, and translations."""
    rng = np.random.default_rng(0)

    # The order of the points means nothing, that of the samples is kept.
    def shuffled(array):
        return array[:, rng.permutation(array.shape[1])]

    agrees(drift(x, *map(shuffled, points)))
    order = rng.permutation(x.shape[1])
    agrees(numpy(drift(x[:, order], *points))[:, order.argsort()])
    if drift.self_interaction != "independent":
        program = in_one_program(drift)
        alone = numpy(program(x, points[0]))
        moved = numpy(program(x[:, order], points[0]))
        np.testing.assert_allclose(moved, alone[:, order], rtol=1e-4, atol=1e-5)

    # Where the origin is does not matter.
    agrees(drift(x + 1, *[array + 1 for array in points]), atol=1e-3)


def check_energy(cls, init_kwargs, dim=3, compiles=True, on_sphere=False):
    """What an energy and its drift must keep.

    Args:
        cls: the class.
        init_kwargs: dict, its arguments.
        dim: int, the dimension of space.
        compiles: whether to compile it as well, which takes a second or two.
        on_sphere: whether directions count, rather than differences.
    """
    rng = np.random.default_rng(0)
    x, y = (rng.normal(size=(2, n, dim)).astype("float32") for n in (5, 7))
    y = y + 0.5
    energy = cls(**init_kwargs)
    drift = VariationalDrift(energy)
    assert energies.get(energy) is energy

    @in_one_program
    def both(x, y, weights):
        slope = backend.gradient(
            lambda x: ops.sum(energy(x, y, weights)), ops.cast(x, "float32")
        )
        velocity = drift(x, y, positive_weights=weights)
        return energy(x, y, weights), slope, velocity

    def agree(one, other, **tolerance):
        tolerance = {"rtol": 1e-4, "atol": 2e-5, **tolerance}
        for a, b in zip(one, other, strict=True):
            np.testing.assert_allclose(numpy(a), numpy(b), **tolerance)

    ones = np.ones((2, 7), "float32")
    found = value, slope, velocity = [numpy(v) for v in both(x, y, ones)]
    assert value.shape == (2,)
    assert value.dtype == velocity.dtype == "float32"
    assert np.all(value > 0)
    assert np.all(np.any(velocity != 0, axis=(1, 2)))
    agree([-5 * slope], [velocity])
    # Without weights, and without groups.
    copy = copy_of(energy)
    assert type(copy) is cls
    assert copy.get_config() == energy.get_config()

    @in_one_program
    def plain(x, y):
        return copy(x, y), ops.stack([energy(x[0], y[0]), energy(x[1], y[1])])

    agree([numpy(v) for v in plain(x, y)], [value] * 2)

    symbolic = energy(*[keras.KerasTensor(c.shape, "float16") for c in (x, y)])
    assert tuple(symbolic.shape) == (2,)
    assert symbolic.dtype == "float32"
    if compiles:
        agree([compiled(energy, x, y)], [value])

    _check_energy_weights(both, agree, x, y, found)
    _check_energy_laws(both, agree, x, y, found, on_sphere)


def _check_energy_weights(both, agree, x, y, found):
    """Weights count repetitions; groups do not interact."""
    ones = np.ones((2, 7), "float32")
    # Weights count repetitions, and have no unit.
    counts = np.array([2, 1, 0, 3, 0, 0, 1])
    weights = (3 * counts * ones).astype("float32")
    agree(both(x, y, weights), both(x, np.repeat(y, counts, axis=1), ones))
    # Zero means absent, whatever the padding holds.
    absent = counts[None, :, None] == 0
    expected = [numpy(v) for v in both(x, y, weights)]
    for padding in (1e12, np.inf, np.nan):
        padded = np.where(absent, padding, y).astype("float32")
        agree(both(x, padded, weights), expected, rtol=1e-5, atol=1e-6)
        for each in both(x, padded, 0 * weights):
            np.testing.assert_array_equal(numpy(each), 0)
    # Groups do not feel each other, and rest without data.
    weights = ones * np.array([[1.0], [0.0]], "float32")
    for part, whole in zip(both(x, y, weights), found, strict=True):
        agree([numpy(part)[0]], [whole[0]])
        np.testing.assert_array_equal(numpy(part)[1], 0)


def _check_energy_laws(both, agree, x, y, found, on_sphere):
    """Permutations, translations, equilibria, and far or coincident samples."""
    value, slope, velocity = found
    ones = np.ones((2, 7), "float32")
    rng = np.random.default_rng(0)
    # The order of the points means nothing, that of the samples is kept.
    order = rng.permutation(5)
    shuffled = both(x[:, order], y[:, ::-1].copy(), ones)
    agree(shuffled, [value, slope[:, order], velocity[:, order]])
    if on_sphere:  # lengths do not matter
        moved = [value, slope / 3, velocity / 3]
        agree(both(3 * x, 2 * y, ones), moved)
    else:  # nor does the origin
        agree(both(x + 1, y + 1, ones), found, rtol=1e-3, atol=1e-4)
    # Samples that are the data, some of them twice, rest.
    counts = np.array([2, 1, 2, 1, 1])
    value, _, velocity = both(
        x, np.repeat(x, counts, axis=1), 1 / counts.repeat(counts) * ones
    )
    np.testing.assert_allclose(numpy(value), 0, atol=1e-5)
    np.testing.assert_allclose(numpy(velocity), 0, atol=1e-3)
    # Coincident samples, and a distance without equal.
    far = np.concatenate([x[:, :1]] * 5, axis=1)
    assert all(np.all(np.isfinite(numpy(v))) for v in both(far, y + 1e3, ones))


def _check_drift_config(drift, clouds, velocity):
    copy = copy_of(drift)
    assert type(copy) is type(drift)
    assert copy.get_config() == drift.get_config()
    np.testing.assert_array_equal(numpy(copy(*clouds)), velocity)
    symbolic = drift(*[keras.KerasTensor(cloud.shape) for cloud in clouds])
    assert tuple(symbolic.shape) == velocity.shape
    assert symbolic.dtype == "float32"
    half = drift(*[keras.KerasTensor(c.shape, "float16") for c in clouds])
    assert half.dtype == "float32"

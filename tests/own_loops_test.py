"""Networks and drifts in training loops of users, without `fit`."""

import pathlib
import runpy
import types

import keras
import numpy as np
import pytest

from contracts import numpy
from keras_drift import DriftModel
from keras_drift import drifts
from keras_drift import generators
from keras_drift import kernels
from small_models import prepared

BACKEND = keras.backend.backend()
ROOT = pathlib.Path(__file__).parents[1]
RATE = 0.5
on_torch = pytest.mark.skipif(BACKEND != "torch", reason="is of PyTorch")
on_jax = pytest.mark.skipif(BACKEND != "jax", reason="is of JAX")
DATA = np.random.default_rng(0).normal(size=(20, 2)).astype("float32")


@pytest.fixture(scope="module")
def nano():
    path = ROOT / "examples/nano.py"
    return types.SimpleNamespace(**runpy.run_path(str(path)))


@pytest.fixture(scope="module")
def expected():
    """The model, its first weights, and noise and weights of three steps."""
    keras.utils.set_random_seed(0)
    generator = generators.MLP(2, hidden_dims=(16,), num_classes=3)
    drift = drifts.KernelDrift(kernels.Laplacian(0.7))
    model = DriftModel(generator, drift, seed=0)
    model.compile(keras.optimizers.SGD(RATE))
    first, inputs, weights = generator.get_weights(), [], []
    data = (np.stack([DATA, DATA[::-1]]), np.array([1, 2], "int32"))
    for _ in range(3):
        inputs.append(
            {k: numpy(v) for k, v in prepared(model, data).inputs.items()}
        )
        model.train_on_batch(*data)
        weights.append(generator.get_weights())
    generator.set_weights(first)
    return model, first, inputs, data[0], weights


def in_groups(x):
    return x.reshape(2, -1, 2)


@on_torch
def test_a_generator_is_a_torch_module(expected):
    import torch

    model, first, inputs, positives, weights = expected
    generator, drift = model.generator, model.drift
    generator.set_weights(first)
    assert isinstance(generator, torch.nn.Module)
    parameters = list(generator.parameters())
    assert sorted(p.shape for p in parameters) == sorted(w.shape for w in first)
    optimizer = torch.optim.SGD(parameters, RATE)
    positives = torch.as_tensor(positives)
    for each, after in zip(inputs, weights, strict=True):
        x = generator({k: torch.as_tensor(v) for k, v in each.items()})
        points = in_groups(x.detach())
        target = points + drift(points, positives)
        assert not target.requires_grad
        loss = torch.nn.functional.mse_loss(in_groups(x), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        for one, two in zip(generator.get_weights(), after, strict=True):
            np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-6)
    # What torch saves and loads is what the model generates with.
    state = {k: v.clone() for k, v in generator.state_dict().items()}
    trained = model.generate(4, seed=0)
    generator.set_weights(first)
    assert np.any(model.generate(4, seed=0) != trained)
    generator.load_state_dict(state)
    np.testing.assert_array_equal(model.generate(4, seed=0), trained)


@on_jax
def test_a_generator_is_a_function_of_its_parameters(expected):
    import jax

    model, first, inputs, positives, weights = expected
    generator, drift = model.generator, model.drift
    generator.set_weights(first)
    parameters = [v.value for v in generator.trainable_variables]

    def generate(parameters, inputs):
        return generator.stateless_call(parameters, [], inputs)[0]

    assert not generator.non_trainable_variables

    @jax.jit
    def step(parameters, inputs):
        def loss(parameters):
            x = in_groups(generate(parameters, inputs))
            target = jax.lax.stop_gradient(x + drift(x, positives))
            return ((x - target) ** 2).mean()

        gradients = jax.grad(loss)(parameters)
        return [p - RATE * g for p, g in zip(parameters, gradients)]  # noqa: B905

    for each, after in zip(inputs, weights, strict=True):
        parameters = step(parameters, each)
        for one, two in zip(parameters, after, strict=True):
            np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-6)
    # The weights of the model have not changed.
    for one, two in zip(generator.get_weights(), first, strict=True):
        np.testing.assert_array_equal(one, two)
    before = model.generate(4, seed=0)
    for variable, value in zip(
        generator.trainable_variables, parameters, strict=True
    ):
        variable.assign(value)
    assert np.any(model.generate(4, seed=0) != before)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="is of TensorFlow")
def test_a_generator_is_trained_under_a_tape(expected):
    import tensorflow as tf

    model, first, inputs, positives, weights = expected
    generator, drift = model.generator, model.drift
    generator.set_weights(first)
    variables = [v.value for v in generator.trainable_variables]
    for each, after in zip(inputs, weights, strict=True):
        with tf.GradientTape() as tape:
            x = generator(each)
            points = tf.reshape(x, (2, -1, 2))
            target = tf.stop_gradient(points + drift(points, positives))
            loss = tf.reduce_mean((points - target) ** 2)
        for variable, gradient in zip(
            variables, tape.gradient(loss, variables), strict=True
        ):
            variable.assign_sub(RATE * tf.convert_to_tensor(gradient))
        for one, two in zip(generator.get_weights(), after, strict=True):
            np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-6)


def by_differences(function, x):
    """Central differences of a float64 function of an array."""
    slopes = np.zeros(x.shape)
    for place in np.ndindex(x.shape):
        values = []
        for change in (1e-5, -1e-5):
            moved = x.astype("float64")
            moved[place] += change
            values.append(function(moved))
        slopes[place] = (values[0] - values[1]) / 2e-5
    return slopes


def test_drift_has_the_gradient_of_its_formula(nano):
    drift = drifts.KernelDrift(kernels.Laplacian(0.7))
    assert drift.differentiable
    x = np.random.default_rng(1).normal(size=(5, 2)).astype("float32")
    expected = by_differences(
        lambda x: (nano.drift(x, DATA, 0.7) ** 2).sum(), x
    )
    if BACKEND == "torch":
        import torch

        x = torch.tensor(x, requires_grad=True)
        (drift(x, torch.as_tensor(DATA)) ** 2).sum().backward()
        found = x.grad
    elif BACKEND == "jax":
        import jax

        found = jax.grad(lambda x: (drift(x, DATA) ** 2).sum())(x)
    else:
        import tensorflow as tf

        x = tf.constant(x)
        with tf.GradientTape() as tape:
            tape.watch(x)
            square = tf.reduce_sum(drift(x, DATA) ** 2)
        found = tape.gradient(square, x)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


@on_torch
@pytest.mark.parametrize("normalization", ["row", "dual"])
def test_drift_takes_torch_tensors_without_copies(normalization):
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode

    drift = drifts.KernelDrift("laplacian", normalization)
    x, data = torch.randn(8, 2), torch.randn(20, 2)
    theirs = {x.untyped_storage().data_ptr(), data.untyped_storage().data_ptr()}
    copied = []

    copies = ("clone", "_to_copy", "copy_", "_local_scalar_dense")

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            name = function.overloadpacket.__name__
            tensors = [each for each in args if isinstance(each, torch.Tensor)]
            pointers = {t.untyped_storage().data_ptr() for t in tensors}
            if name in copies and pointers & theirs:
                copied.append(name)
            return function(*args, **(kwargs or {}))

    with Watch():
        velocity = drift(x, data)
        x.double()
    assert copied == ["_to_copy"]  # that of `x.double()`
    assert isinstance(velocity, torch.Tensor)
    assert velocity.device == x.device


@on_jax
def test_drift_is_traced_once_and_stays_on_the_device():
    import jax

    traces = []
    drift = drifts.KernelDrift("laplacian", "dual")

    @jax.jit
    def velocity(x, data):
        traces.append(x)
        return drift(x, data)

    x, data = jax.numpy.ones((8, 2)), jax.device_put(DATA)
    velocity(x, data)
    with jax.transfer_guard("disallow"):
        found = velocity(x, data)
    assert isinstance(found, jax.Array)
    assert len(traces) == 1


@on_jax
def test_bandwidth_is_an_argument_of_a_compiled_function():
    import jax

    drift = drifts.KernelDrift(kernels.Laplacian(0.7))
    x = np.random.default_rng(1).normal(size=(5, 2)).astype("float32")

    @jax.jit
    def velocity(state, x, data):
        return drift.stateless_call([], state, x, data)[0]

    for bandwidth in (0.7, 0.2):
        drift.anneal(bandwidth)
        state = [v.value for v in drift.non_trainable_variables]
        np.testing.assert_allclose(
            velocity(state, x, DATA), numpy(drift(x, DATA)), atol=1e-6
        )

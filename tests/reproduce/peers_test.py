"""The peers that the reproductions compare with, against their definitions."""

import pathlib
import runpy

import keras
import numpy as np
import pytest
from keras import ops

import keras_drift as kd
from keras_drift import backend
from turns import beside_torch_on
from turns import in_turn

ROOT = pathlib.Path(__file__).parents[2]
HIDDEN_DIMS = (8, 8)


@pytest.fixture(scope="module")
def peers():
    return runpy.run_path(str(ROOT / "examples/reproduce/peers.py"))


@pytest.fixture
def clouds():
    rng = np.random.default_rng(0)
    return [rng.normal(size=(n, 2)).astype("float32") for n in (6, 9)]


def generator(**kwargs):
    return kd.generators.MLP(2, hidden_dims=HIDDEN_DIMS, **kwargs)


def gan(peers, penalty=0.7):
    return peers["GAN"](generator(), HIDDEN_DIMS, penalty, seed=0)


def mmd_network(peers):
    # Few bandwidths and an uneven weight: neutral values hide mistakes.
    return peers["MMDNetwork"](generator(), 1.5, 3, 0.5, seed=0)


def numerical_gradient(function, x, step=1e-5):
    """Central differences of a scalar function, in float64."""
    found = np.zeros(x.shape)
    for index in np.ndindex(*x.shape):
        shift = np.zeros(x.shape)
        shift[index] = step
        found[index] = function(x + shift) - function(x - shift)
    return found / (2 * step)


def logits_by_hand(discriminator, x):
    weights = [w.astype("float64") for w in discriminator.get_weights()]
    *hidden, (kernel, bias) = zip(weights[::2], weights[1::2], strict=True)
    for each, shift in hidden:
        x = x @ each + shift
        x = x / (1 + np.exp(-x))
    return x @ kernel + bias


def softplus(x):
    return np.log1p(np.exp(x))


def test_slope_of_the_discriminator_is_its_directional_derivative(
    peers, clouds
):
    x, _ = clouds
    discriminator = gan(peers).discriminator
    direction = np.random.default_rng(1).normal(size=x.shape)
    logits, slope = discriminator.value_and_slope(
        x, ops.convert_to_tensor(direction, "float32")
    )
    expected = [
        logits_by_hand(discriminator, x + t * direction)
        for t in (0.0, 1e-5, -1e-5)
    ]
    np.testing.assert_allclose(
        ops.convert_to_numpy(logits), expected[0], atol=1e-5
    )
    np.testing.assert_allclose(
        ops.convert_to_numpy(slope),
        (expected[1] - expected[2]) / 2e-5,
        atol=1e-5,
    )
    for frozen in (False, True):
        np.testing.assert_allclose(
            ops.convert_to_numpy(discriminator(x, frozen=frozen)),
            expected[0],
            atol=1e-5,
        )


def test_mean_square_slope_is_the_squared_norm_of_the_gradient(peers):
    model = gan(peers)
    point = np.array([[0.3, -0.8]], "float32")
    gradient = numerical_gradient(
        lambda x: logits_by_hand(model.discriminator, x).sum(), point
    )
    _, slopes = model.value_and_slope(np.repeat(point, 20_000, axis=0))
    found = np.mean(ops.convert_to_numpy(slopes) ** 2)
    # The mean of 20,000 values of chi squared, of relative deviation 0.01.
    assert found == pytest.approx(np.sum(gradient**2), rel=0.05)


def test_generator_follows_the_relativistic_loss_alone(peers, clouds):
    samples, data = clouds[0], clouds[1][:6]
    model = gan(peers)
    found = backend.gradient(
        lambda x: model.compute_loss(ops.convert_to_tensor(data), y_pred=x),
        ops.convert_to_tensor(samples),
    )
    real = logits_by_hand(model.discriminator, data)
    expected = numerical_gradient(
        lambda x: np.mean(
            softplus(real - logits_by_hand(model.discriminator, x))
        ),
        samples,
    )
    np.testing.assert_allclose(ops.convert_to_numpy(found), expected, atol=1e-6)


def test_loss_of_the_generator_leaves_the_discriminator_alone(peers, clouds):
    data = clouds[0]
    model = gan(peers, penalty=0.0)
    model.compile(keras.optimizers.SGD(0.1))
    before = [w.copy() for w in model.discriminator.get_weights()]
    model.fit(data, batch_size=len(data), verbose=0)
    after = model.discriminator.get_weights()
    # The discriminator's own loss sees differences of logits, to which the
    # last bias does not contribute; that of the generator would move it.
    np.testing.assert_allclose(after[-1], before[-1], atol=1e-7)
    assert np.abs(after[0] - before[0]).max() > 1e-5


@beside_torch_on("jax")
def test_penalty_flattens_the_discriminator(peers, clouds):
    data = clouds[0]

    def steepness(penalty):
        keras.utils.set_random_seed(0)
        model = gan(peers, penalty)
        model.compile(keras.optimizers.Adam(1e-2))
        model.fit(data, batch_size=len(data), epochs=60, verbose=0)
        _, slopes = model.value_and_slope(ops.convert_to_tensor(data))
        return np.mean(ops.convert_to_numpy(slopes) ** 2)

    assert steepness(10.0) < 0.3 * steepness(0.0)


def test_gradient_of_the_mmd_loss_is_that_of_the_unbiased_estimate(
    peers, clouds
):
    samples, data = clouds
    model = mmd_network(peers)

    def kernel(x, y):
        squared = np.sum((x[:, None] - y) ** 2, axis=-1)
        return sum(
            h**-0.5 * np.exp(-squared / (2 * h**2)) for h in (1.5, 0.75, 0.375)
        )

    def squared_mmd(x):
        n = len(x)
        among = kernel(x, x)
        np.fill_diagonal(among, 0.0)
        return among.sum() / (n * (n - 1)) - 2 * kernel(x, data).mean()

    found = backend.gradient(
        lambda x: model.compute_loss(ops.convert_to_tensor(data), y_pred=x),
        ops.convert_to_tensor(samples),
    )
    # The first weight is 1, where that of the definition is 1.5**-0.5.
    expected = 1.5**0.5 * numerical_gradient(squared_mmd, samples)
    np.testing.assert_allclose(ops.convert_to_numpy(found), expected, atol=1e-5)


class TowardsAPoint(keras.layers.Layer):
    """The exact velocity of flow matching to a single point."""

    point = np.array([[1.0, -2.0]], "float32")

    def predict(self, inputs, batch_size, verbose):
        del batch_size, verbose
        x, time = inputs
        return (self.point - x) / (1 - time)


@pytest.mark.parametrize("num_steps", [1, 10])
def test_euler_steps_along_straight_paths_are_exact(peers, num_steps):
    flow = peers["FlowMatching"](2, HIDDEN_DIMS, "silu", num_steps, seed=0)
    flow.velocity = TowardsAPoint()
    np.testing.assert_allclose(
        flow.generate(5, seed=0),
        np.repeat(TowardsAPoint.point, 5, 0),
        atol=1e-5,
    )


def test_loss_of_flow_matching_is_the_error_of_the_velocity(peers):
    flow = peers["FlowMatching"](2, HIDDEN_DIMS, "silu", seed=0)
    weights = [0 * w for w in flow.velocity.get_weights()]
    weights[-1] += np.array([2.0, 0.0])  # a constant velocity
    flow.velocity.set_weights(weights)
    data = np.repeat(np.array([[3.0, -1.0]], "float32"), 50_000, axis=0)
    error = flow(ops.convert_to_tensor(data))
    loss = float(ops.convert_to_numpy(flow.compute_loss(y_pred=error)))
    # data - noise has mean (3, -1) and unit variance in both coordinates.
    assert loss == pytest.approx(1.0**2 + 1.0**2 + 2.0, rel=0.02)


@pytest.mark.parametrize(
    "make",
    in_turn(
        [
            lambda peers: gan(peers, penalty=4.0),
            mmd_network,
            lambda peers: peers["FlowMatching"](2, HIDDEN_DIMS, "silu", seed=0),
        ]
    ),
    ids=["gan", "mmd_network", "flow_matching"],
)
def test_peer_learns_where_the_data_are(peers, make):
    model = make(peers)
    rng = np.random.default_rng(0)
    data = rng.normal((1.0, -0.5), 0.2, size=(640, 2)).astype("float32")
    # Little momentum, and averages: a GAN oscillates around its solution.
    model.compile(
        keras.optimizers.Adam(5e-3, beta_1=0.5, use_ema=True, ema_momentum=0.97)
    )
    model.fit(data, batch_size=64, epochs=40, verbose=0)
    samples = model.generate(500, seed=0)
    assert samples.shape == (500, 2)
    np.testing.assert_array_equal(samples, model.generate(500, seed=0))
    np.testing.assert_allclose(samples.mean(0), data.mean(0), atol=0.15)

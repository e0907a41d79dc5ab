import json

import keras
import numpy as np
import pytest

import contracts
from contracts import numpy
from keras_drift import DriftModel
from keras_drift import drifts
from keras_drift import generators
from keras_drift import kernels
from small_models import gaussian_model
from small_models import in_one_program
from small_models import loss_of
from small_models import prepared
from small_models import small_mlp


def samples_and_loss(model, batch):
    """Of one batch, in one program."""

    def compute():
        samples = model(batch)
        return samples, model.compute_loss(batch, y_pred=samples)

    samples, loss = in_one_program(model, compute)
    return numpy(samples), float(numpy(loss))


@pytest.mark.parametrize("stop_gradient", [True, False])
def test_loss_is_the_squared_step(points, stop_gradient):
    model = gaussian_model(step_size=0.3, stop_gradient=stop_gradient)
    model.compile("adam")
    batch = prepared(model, points)
    velocity = numpy(model.drift(model(batch), points))
    assert loss_of(model, batch) == pytest.approx(
        np.mean((0.3 * velocity) ** 2), rel=1e-5
    )


def test_gradient_is_minus_twice_the_step_over_the_number_of_samples(points):
    # The last bias shifts all samples equally, so its gradient is the sum of
    # those of the samples.
    model = gaussian_model(step_size=0.3)
    model.compile(keras.optimizers.SGD(1.0))
    batch = prepared(model, points)
    velocity = numpy(
        in_one_program(model, lambda: model.drift(model(batch), points))
    )
    expected = -2 * 0.3 * velocity.sum(axis=0) / velocity.size
    bias = model.trainable_variables[-1]
    before = numpy(bias)
    model.train_on_batch(points)
    np.testing.assert_allclose(
        before - numpy(bias), expected, rtol=1e-3, atol=1e-6
    )


def test_without_stop_gradient_the_drift_norm_is_minimized(points):
    changes = []
    for stop_gradient in (True, False):
        model = gaussian_model(stop_gradient=stop_gradient)
        model.generator.set_weights(
            [np.full(w.shape, 0.1) for w in model.generator.get_weights()]
        )
        model.compile(keras.optimizers.SGD(1.0))
        model.train_on_batch(points)
        changes.append(numpy(model.trainable_variables[-1]))
    assert np.abs(changes[0] - changes[1]).max() > 1e-3


def test_loss_adds_the_features_of_an_encoder(points):
    inputs = keras.Input((2,))
    backbone = keras.Model(
        inputs, {"same": inputs * 1.0, "twice": inputs * 2.0}
    )
    drift = drifts.KernelDrift(kernels.Gaussian(0.7), relative=True)
    plain = DriftModel(small_mlp(), drift, seed=0)
    both = DriftModel(plain.generator, drift, backbone, seed=0)
    losses = []
    for model in (plain, both):
        model.compile("adam")
        _, loss = samples_and_loss(model, prepared(model, points))
        losses.append(loss)
    # Relative distances are invariant to the scale of a feature.
    assert losses[1] == pytest.approx(2 * losses[0], rel=1e-4)


def test_every_token_of_a_feature_is_compared_with_the_same_token():
    rng = np.random.default_rng(0)
    data = rng.normal(size=(10, 4, 4, 1)).astype("float32")
    rows = keras.Sequential([keras.Input((4, 4, 1))])
    rows.add(keras.layers.Reshape((4, 4)))  # a token for each row of pixels
    generator = generators.DiT((4, 4, 1), hidden_dim=8, depth=1, num_heads=1)
    generator.set_weights(
        [rng.normal(size=w.shape) for w in generator.get_weights()]
    )
    drift = drifts.KernelDrift(kernels.Gaussian(0.7))
    model = DriftModel(generator, drift, rows, seed=0)
    model.compile("adam")
    batch = prepared(model, data)
    samples, loss = samples_and_loss(model, batch)
    samples = samples.reshape(10, 4, 4)
    program = contracts.in_one_program(drift)
    squares = [
        np.square(numpy(program(samples[:, row], data[:, row, :, 0])))
        for row in range(4)
    ]
    assert loss == pytest.approx(np.mean(squares), rel=1e-4)


def test_sample_weights_count_samples(points):
    rng = np.random.default_rng(0)
    counts = rng.integers(1, 4, size=20)
    losses = []
    model = gaussian_model(num_generated=16)
    model.compile("adam")
    for data in (
        (points[:20], None, counts.astype("float32")),
        (points[:20].repeat(counts, axis=0),),
    ):
        _, loss = samples_and_loss(model, prepared(model, data))
        losses.append(loss)
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


def test_without_stop_gradient_independent_negatives_have_a_gradient(points):
    # With this wide a kernel V = mean(positives) - mean(negatives), so all of
    # the gradient flows through the negatives, which here equal the last bias.
    drift = drifts.KernelDrift(
        kernels.Gaussian(50.0), self_interaction="independent"
    )
    model = DriftModel(small_mlp(), drift, stop_gradient=False, seed=0)
    model.generator.set_weights(
        [np.zeros(w.shape) for w in model.generator.get_weights()]
    )
    model.compile(keras.optimizers.SGD(1.0))
    batch = prepared(model, points)
    assert batch.negatives is None
    bias = model.trainable_variables[-1]
    before = numpy(bias)
    model.train_on_batch(points)
    # A gradient step on the mean square of V = mean(positives) - bias.
    expected = before + 2 * (points.mean(axis=0) - before) / 2
    np.testing.assert_allclose(numpy(bias), expected, atol=1e-3)


def test_features_have_separate_drifts_and_weights(points):
    inputs = keras.Input((2,))
    backbone = keras.Model(
        inputs, {"coarse_a": inputs * 1.0, "fine": inputs * 2.0}
    )
    wide, narrow = (drifts.KernelDrift(kernels.Gaussian(w)) for w in (2.0, 0.3))
    generator = small_mlp()
    model = DriftModel(
        generator,
        {"coarse*": wide, "*": narrow},
        backbone,
        loss_weights={"fine": 0.25},
        seed=0,
    )
    model.compile("adam")
    batch = prepared(model, points)
    samples = numpy(model(batch))
    expected = np.mean(np.square(numpy(wide(samples, points)))) + (
        0.25 * np.mean(np.square(numpy(narrow(2 * samples, 2 * points))))
    )
    assert loss_of(model, batch) == pytest.approx(expected, rel=1e-4)
    copy = DriftModel.from_config(json.loads(json.dumps(model.get_config())))
    assert copy.get_config() == model.get_config()
    model.drift.anneal(1.0)
    assert numpy(narrow.bandwidth) == pytest.approx(0.15)
    with pytest.raises(ValueError, match=r"feature 'fine'.*last pattern"):
        DriftModel(generator, {"coarse*": wide}, backbone)
    with pytest.raises(ValueError, match=r"`drift`.*'coarse_b'.*'coarse_a'"):
        DriftModel(generator, {"coarse_b": wide, "*": narrow}, backbone)
    with pytest.raises(ValueError, match=r"`loss_weights`.*'fin'"):
        DriftModel(generator, wide, backbone, loss_weights={"fin": 2.0})
    with pytest.raises(ValueError, match="one `self_interaction`"):
        DriftModel(
            generator,
            {
                "fine": "kernel_drift",
                "*": drifts.KernelDrift(self_interaction="independent"),
            },
        )
    with pytest.raises(TypeError, match="`loss_weights` is a dict"):
        DriftModel(generator, loss_weights=[1.0])

import json

import keras
import numpy as np
import pytest
from keras import ops

from contracts import numpy
from keras_drift import DriftModel
from keras_drift import encoders
from keras_drift import generators
from keras_drift import patch_folding
from keras_drift import schedules
from turns import beside_torch_on

TINY = {"image_channels": 2, "base_channels": 4, "num_blocks": (1, 1, 1, 1)}
RNG = np.random.default_rng(0)
# Smaller, and the last map would be a position in groups of one channel.
IMAGES = RNG.normal(size=(8, 16, 16, 2)).astype("float32")
LABELS = np.arange(8) % 3
RAMP = schedules.LinearRamp(0.5, start=1, num_steps=2)
OPTIONS = {"num_classes": 3, "classifier_weight": RAMP, "seed": 5}


def autoencoder(encoder=(), **options):
    return encoders.MaskedAutoencoder(
        encoders.MAEResNet(**TINY, **dict(encoder)), **options
    )


def values(model):
    return [numpy(variable) for variable in model.weights]


def assert_same(ours, theirs):
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(one, other)


def as_json(model):
    return json.dumps(model.get_config(), sort_keys=True)


class Trained:
    """An autoencoder with a classifier, compiled once for many tests."""

    def __init__(self):
        self.model = autoencoder(**OPTIONS)
        self.model.compile(
            keras.optimizers.SGD(0.01, momentum=0.9),
            metrics=[keras.metrics.SparseTopKCategoricalAccuracy(1, "top_1")],
        )
        self.start = values(self.model)

    def restart(self):
        self.model.set_weights(self.start)
        self.model.optimizer.iterations.assign(0)
        for momentum in self.model.optimizer.variables[2:]:
            momentum.assign(np.zeros(momentum.shape))
        dtype = keras.backend.standardize_dtype(
            self.model.seed_generator.state.dtype
        )
        self.model.seed_generator.state.assign(np.array([5, 0], dtype))
        self.model.reset_metrics()
        return self.model

    def fit(self, **options):
        options = {"batch_size": 4, "verbose": 0, "shuffle": False} | options
        return self.restart().fit(IMAGES, LABELS, **options).history


@pytest.fixture(scope="module")
def trained():
    return Trained()


def loss_by_hand(images, outputs, labels, weight):
    """Per image, in float64, pixel by pixel."""
    losses = []
    for i, image in enumerate(images.astype("float64")):
        error, count = 0.0, 0
        for row, column in np.ndindex(image.shape[:2]):
            if outputs["hidden"][i, row, column, 0]:
                pixel = outputs["reconstruction"][i, row, column]
                error += np.sum((pixel - image[row, column]) ** 2)
                count += 1
        reconstruction = error / count if count else 0.0
        logits = outputs["logits"][i].astype("float64")
        classification = np.log(np.exp(logits).sum()) - logits[labels[i]]
        losses.append((reconstruction, classification))
    return {
        "loss": np.mean([(1 - weight) * r + weight * c for r, c in losses]),
        "reconstruction_loss": np.mean([r for r, _ in losses]),
        "classification_loss": np.mean([c for _, c in losses]),
    }


def test_loss_is_the_formula_with_the_weight_of_the_step(trained):
    # Twice hidden patches, and an image of which nothing is hidden.
    hidden = RNG.integers(0, 2, size=(4, 8, 8, 1)).astype("float32")
    hidden = hidden.repeat(2, axis=1).repeat(2, axis=2)
    hidden[1] = 0
    batch = {"images": IMAGES[:4], "hidden": hidden}
    for step, weight in ((0, 0.0), (2, 0.25), (7, 0.5)):
        model = trained.restart()
        # Normed maps have mean zero, and all logits with them, unless shifted.
        model.set_weights(
            [
                w + RNG.normal(scale=0.1, size=w.shape)
                for w in model.get_weights()
            ]
        )
        outputs = model.predict_on_batch(batch)
        model.optimizer.iterations.assign(step)
        logs = model.train_on_batch(batch, LABELS[:4], return_dict=True)
        expected = loss_by_hand(IMAGES[:4], outputs, LABELS, weight)
        for name, value in expected.items():
            np.testing.assert_allclose(logs[name], value, rtol=1e-4)
        np.testing.assert_allclose(logs["mask_ratio"], hidden.mean(), 1e-6)
        hits = outputs["logits"].argmax(-1) == LABELS[:4]
        assert logs["accuracy"] == pytest.approx(hits.mean())
        # A compiled metric compares labels and logits.
        assert logs["top_1"] == logs["accuracy"]


def test_encoder_does_not_see_what_is_hidden(trained):
    hidden = np.zeros((4, 16, 16, 1), "float32")
    hidden[:, :8] = 1
    changed = np.where(hidden == 1, 100.0, IMAGES[:4]).astype("float32")
    model = trained.restart()
    outputs = [
        model.predict_on_batch({"images": images, "hidden": hidden})
        for images in (IMAGES[:4], changed)
    ]
    assert_same(outputs[0].values(), outputs[1].values())
    np.testing.assert_array_equal(outputs[0]["hidden"], hidden)


@beside_torch_on("tensorflow")
def test_training_depends_on_the_seed_alone(trained):
    history = trained.fit(epochs=2)
    after = values(trained.model)
    assert sorted(history) == [
        "accuracy",
        "classification_loss",
        "loss",
        "mask_ratio",
        "reconstruction_loss",
        "top_1",
    ]
    # Evaluation in between draws masks of its own, always the same.
    again = trained.fit(epochs=2, validation_data=(IMAGES, LABELS))
    for name, value in history.items():
        assert again[name] == value
    assert_same(values(trained.model), after)
    one, other = (
        trained.model.evaluate(IMAGES, LABELS, verbose=0, batch_size=4)
        for _ in range(2)
    )
    assert one == other
    assert one[0] == pytest.approx(again["val_loss"][-1])


@beside_torch_on("tensorflow")
def test_evaluation_depends_on_no_batch_size(trained):
    model = trained.restart()
    whole, halves, threes = (
        model.predict(IMAGES, verbose=0, batch_size=size)["hidden"]
        for size in (8, 4, 3)
    )
    np.testing.assert_array_equal(halves, whole)
    np.testing.assert_array_equal(threes, whole)
    np.testing.assert_array_equal(
        model.predict_on_batch(IMAGES)["hidden"], whole
    )
    # Each image has a mask of its own.
    assert len(np.unique(whole.reshape(8, -1), axis=0)) == 8
    assert 0.3 < whole.mean() < 0.7
    one, other = (
        model.evaluate(
            IMAGES, LABELS, verbose=0, batch_size=size, return_dict=True
        )
        for size in (8, 4)
    )
    for key in ("loss", "reconstruction_loss", "mask_ratio"):
        np.testing.assert_allclose(one[key], other[key], rtol=1e-5)
    np.testing.assert_allclose(one["mask_ratio"], whole.mean(), rtol=1e-5)


def test_masks_of_training_differ_from_step_to_step(trained):
    model = trained.restart()
    data = (ops.convert_to_tensor(IMAGES[:4]),)
    first, second = (
        numpy(model.prepare_batch(data)[0]["hidden"]) for _ in range(2)
    )
    assert np.any(first != second)
    assert first.shape == (4, 16, 16, 1)


def test_ramp_is_at_its_start_in_evaluation(trained):
    trained.fit(epochs=2)
    logs = trained.model.evaluate(
        IMAGES, LABELS, verbose=0, batch_size=4, return_dict=True
    )
    assert logs["loss"] == pytest.approx(logs["reconstruction_loss"], rel=1e-6)


def test_weights_of_images_weigh_their_losses(trained):
    model = trained.restart()
    hidden = np.ones((4, 16, 16, 1), "float32")
    batch = {"images": IMAGES[:4], "hidden": hidden}
    weights = np.array([0.0, 2.0, 0.0, 0.0], "float32")
    logs = model.test_on_batch(batch, LABELS[:4], weights, return_dict=True)
    outputs = model.predict_on_batch(batch)
    alone = {name: value[1:2] for name, value in outputs.items()}
    expected = loss_by_hand(IMAGES[1:2], alone, LABELS[1:2], 0.0)
    # The mean over four images, three of which weigh nothing.
    np.testing.assert_allclose(logs["loss"], expected["loss"] / 2, rtol=1e-4)
    # Of what is logged beside it, the weighted mean: of one image.
    for name in ("reconstruction_loss", "classification_loss"):
        np.testing.assert_allclose(logs[name], expected[name], rtol=1e-4)
    hits = alone["logits"].argmax(-1) == LABELS[1:2]
    assert logs["accuracy"] == hits.mean()


@beside_torch_on("jax")
def test_file_and_preset_give_the_model_back(trained, tmp_path):
    trained.fit()
    model = trained.model
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert_same(values(loaded), values(model))
    state = numpy(model.seed_generator.state)
    np.testing.assert_array_equal(numpy(loaded.seed_generator.state), state)
    assert as_json(loaded) == as_json(model)
    assert loaded.encoder.trainable
    assert numpy(loaded.optimizer.iterations) == 2
    np.testing.assert_allclose(float(loaded.classifier_weight(2)), 0.25)

    model.save_to_preset(tmp_path / "preset", {"description": "tiny"})
    loaded = encoders.MaskedAutoencoder.from_preset(tmp_path / "preset")
    assert_same(values(loaded), values(model))
    assert as_json(loaded) == as_json(model)
    encoder = encoders.MAEResNet.from_preset(tmp_path / "preset")
    assert_same(values(encoder), values(model.encoder))
    assert not encoder.trainable_variables


@beside_torch_on("tensorflow")
def test_learns_to_reconstruct_without_labels():
    """Stripes: what is hidden follows from what is not."""
    rows = np.arange(16)[:, None] + RNG.integers(0, 4, size=64)
    images = np.sign(np.sin(rows.T * np.pi / 2 + 0.1))[..., None, None]
    images = np.broadcast_to(images, (64, 16, 16, 2)).astype("float32")
    model = autoencoder(seed=0)
    model.compile(keras.optimizers.Adam(1e-2), metrics=["mean_squared_error"])
    history = model.fit(images, batch_size=16, epochs=12, verbose=0).history
    losses = history["reconstruction_loss"]
    # Zeros in place of the stripes would have a loss of 2, a sum of channels.
    assert losses[0] > 1
    assert losses[-1] < 0.5
    np.testing.assert_allclose(history["loss"], losses, rtol=1e-6)
    # Of a compiled metric, which compares images and reconstructions.
    assert np.all(np.isfinite(history["mean_squared_error"]))


def test_is_frozen_by_a_drift_model():
    model = autoencoder()
    model.compile("sgd")
    assert len(model.encoder.trainable_variables) > 0
    generator = generators.DiT((16, 16, 2), hidden_dim=8, depth=1, num_heads=2)
    DriftModel(generator, encoder=model.encoder)
    assert not model.encoder.trainable_variables
    with pytest.raises(ValueError, match=r"frozen, since.*compile again"):
        model.fit(IMAGES, verbose=0)


def test_half_precision_keeps_images_and_losses():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = autoencoder({"dtype": "mixed_bfloat16"}, num_classes=3)
    finally:
        keras.config.set_dtype_policy(before)
    assert all(variable.dtype == "float32" for variable in model.weights)
    assert model.decoder.bridge.conv.compute_dtype == "bfloat16"
    batch = {name: keras.KerasTensor((2, 8, 8, n)) for name, n in KEYS.items()}
    outputs = model(batch)
    assert {v.dtype for v in outputs.values()} == {"float32"}


KEYS = {"images": 2, "hidden": 1}


def test_images_are_folded_before_and_unfolded_after():
    model = autoencoder({"patch_size": 2}, mask_ratio=(0.1, 0.9))
    assert model.mask_patch_size == 4
    outputs = model(keras.KerasTensor((3, 16, 8, 2)))
    assert outputs["reconstruction"].shape == (3, 16, 8, 2)
    assert outputs["hidden"].shape == (3, 16, 8, 1)
    assert model.encoder.network.conv.kernel.shape == (3, 3, 8, 4)


@pytest.mark.parametrize(
    ("labels", "error"),
    [
        (None, r"needs labels.*num_classes=3"),
        (np.array([0, 1, 3, -1]), r"from 0 to 2.*\[ 3 -1\]"),
        (np.array([0.0, 1.0, 2.0, 0.0]), r"integers.*float64"),
        (ops.convert_to_tensor([0, 1, 3, 7]), r"from 0 to 2.*\[3 7\]"),
        (np.eye(4, 3, dtype="int32"), r"class numbers `\(batch,\)`"),
    ],
)
def test_says_which_labels_it_takes(trained, labels, error):
    with pytest.raises(ValueError, match=error):
        trained.model.fit(IMAGES[:4], labels, verbose=0)


def test_says_which_batches_it_takes(trained):
    with pytest.raises(ValueError, match=r"'images' and 'hidden'.*\['x'\]"):
        trained.model({"x": IMAGES})
    flat = {"images": IMAGES, "hidden": IMAGES[..., 0]}
    with pytest.raises(
        ValueError, match=r"\(16, 16, 1\).*\(8, 16, 16\), images"
    ):
        trained.model(flat)
    with pytest.raises(ValueError, match=r"7 x 8, mask_patch_size=2"):
        trained.model(keras.KerasTensor((1, 7, 8, 2)))
    with pytest.raises(ValueError, match="loss of a masked autoencoder"):
        trained.model.compile(loss="mse")


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"mask_patch_size": 3}, "multiple of its `patch_size`.*patch_size=3"),
        ({"mask_ratio": 1.5}, "a probability.*Received: mask_ratio=1.5"),
        ({"mask_ratio": (0.5, 0.1)}, "ascending.*Received: mask_ratio"),
        ({"classifier_weight": 0.1}, "give `num_classes` too"),
        ({"num_classes": 3, "classifier_weight": 2}, "at most 1"),
        ({"num_classes": 0}, "Received: num_classes=0"),
        ({"seed": -1}, "Received: seed=-1"),
    ],
)
def test_refuses_what_is_no_autoencoder(options, error):
    with pytest.raises(ValueError, match=error):
        autoencoder({"patch_size": 2}, **options)


def test_trains_no_other_encoder():
    with pytest.raises(TypeError, match=r"`encoders.MAEResNet`.*Identity"):
        encoders.MaskedAutoencoder(encoders.Identity())


def test_the_loss_counts_pixels_as_the_encoder_folds_them():
    """Squared errors are summed over a folded pixel, and then averaged."""
    model = autoencoder({"patch_size": 2})
    hidden = np.zeros((2, 8, 8, 1), "float32")
    hidden[0, :4], hidden[1, :4, :4] = 1, 1
    images = RNG.normal(size=(2, 8, 8, 2)).astype("float32")
    found = model.compute_loss(
        {"images": ops.convert_to_tensor(images), "hidden": hidden},
        y_pred={
            "reconstruction": ops.zeros((2, 8, 8, 2)),
            "hidden": ops.convert_to_tensor(hidden),
        },
    )
    # Eight folded pixels are hidden of one image, and four of the other.
    errors = [
        np.sum(images[0, :4] ** 2) / 8,
        np.sum(images[1, :4, :4] ** 2) / 4,
    ]
    np.testing.assert_allclose(numpy(found), np.mean(errors), rtol=1e-5)


@beside_torch_on("tensorflow")
def test_half_precision_does_not_round_the_images(monkeypatch):
    model = autoencoder(dtype="mixed_bfloat16")
    seen = []

    def fold(images, size):
        seen.append(images)
        return images

    monkeypatch.setattr(patch_folding, "fold", fold)
    images = np.full((1, 8, 8, 2), 1.2345678, "float32")
    batch = {"images": images, "hidden": np.zeros((1, 8, 8, 1), "float32")}
    model(batch)
    np.testing.assert_array_equal(numpy(seen[0]), images)
    assert keras.backend.standardize_dtype(seen[0].dtype) == "float32"

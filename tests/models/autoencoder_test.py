import keras
import numpy as np
import pytest
from PIL import Image

import user_line
from keras_drift import DriftModel
from keras_drift import autoencoders
from keras_drift import callbacks
from keras_drift import generators
from keras_drift import images as pictures
from runtimes import served
from tiny_autoencoder import TinyAutoencoder

BACKEND = keras.backend.backend()
LATENTS = np.random.default_rng(0).normal(size=(32, 4, 4, 4)).astype("float32")


def latent_model(autoencoder=None):
    generator = generators.DiT((4, 4, 4), hidden_dim=8, depth=1, num_heads=1)
    # Of zeros at first, like every DiT.
    for variable in generator.trainable_variables:
        values = np.random.default_rng(1).normal(size=variable.shape)
        variable.assign(0.3 * values)
    return DriftModel(generator, autoencoder=autoencoder, seed=0)


@pytest.fixture(scope="module")
def model():
    return latent_model(TinyAutoencoder(batch_size=2))


def test_generates_images_or_latents(model):
    images = model.generate(5, seed=0)
    assert images.shape == (5, *model.image_shape) == (5, 8, 8, 3)
    latents = model.generate(5, seed=0, decode=False)
    assert latents.shape == (5, 4, 4, 4)
    np.testing.assert_allclose(
        images, model.autoencoder.decode(latents), atol=1e-5
    )
    np.testing.assert_allclose(
        model.generate(5, seed=0, batch_size=1), images, atol=1e-5
    )
    bare = latent_model()
    assert bare.image_shape == (4, 4, 4)
    np.testing.assert_allclose(bare.generate(5, seed=0), latents, atol=1e-6)


def test_training_neither_changes_nor_sees_the_autoencoder(monkeypatch):
    states = []
    for autoencoder in (None, TinyAutoencoder()):
        model = latent_model(autoencoder)
        if autoencoder is not None:
            before = autoencoder.get_weights()
            # Were it called, this would fail.
            monkeypatch.setattr(autoencoder, "call_encoder", None)
        model.compile(keras.optimizers.Adam(1e-2))
        model.fit(LATENTS, batch_size=16, verbose=0)
        state = model.training_state()
        states.append([*state["weights"], *state["optimizer"]])
    for without, with_it in zip(*states, strict=True):
        np.testing.assert_array_equal(without, with_it)
    for old, new in zip(before, autoencoder.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def changed(model):
    """The model with other weights in its autoencoder than a new one has."""
    for variable in model.autoencoder.weights:
        variable.assign(variable * 0.7 + 0.1)
    return model


def test_is_saved_with_the_model(tmp_path):
    model = changed(latent_model(TinyAutoencoder()))
    images = model.generate(3, seed=0)
    model.save(tmp_path / "model.keras")
    copy = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(copy.generate(3, seed=0), images, atol=1e-6)
    model.save_weights(tmp_path / "model.weights.h5")
    fresh = latent_model(TinyAutoencoder())
    fresh.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_allclose(fresh.generate(3, seed=0), images, atol=1e-6)


def test_is_a_part_of_a_preset(tmp_path):
    model = changed(latent_model(TinyAutoencoder()))
    images = model.generate(3, seed=0)
    model.save_to_preset(tmp_path / "whole")
    copy = DriftModel.from_preset(tmp_path / "whole")
    np.testing.assert_allclose(copy.generate(3, seed=0), images, atol=1e-6)
    part = autoencoders.Autoencoder.from_preset(tmp_path / "whole")
    for one, two in zip(
        part.get_weights(), model.autoencoder.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(one, two)
    assert model.autoencoder is not copy.autoencoder


def test_preset_may_refer_to_it(tmp_path):
    model = changed(latent_model(TinyAutoencoder()))
    model.autoencoder.save_to_preset(tmp_path / "autoencoder")
    images = model.generate(3, seed=0)
    # Together with a reference to the encoder, which is another class.
    model.encoder.save_to_preset(tmp_path / "encoder")
    model.save_to_preset(
        tmp_path / "light",
        encoder=tmp_path / "encoder",
        autoencoder=tmp_path / "autoencoder",
    )
    copy = DriftModel.from_preset(tmp_path / "light")
    np.testing.assert_allclose(copy.generate(3, seed=0), images, atol=1e-6)
    part = autoencoders.Autoencoder.from_preset(tmp_path / "light")
    assert type(part) is TinyAutoencoder
    bare = DriftModel.from_preset(tmp_path / "light", load_autoencoder=False)
    assert bare.generate(3, seed=0, decode=False).shape == (3, 4, 4, 4)
    for use in (
        lambda: bare.generate(3),
        lambda: bare.export(tmp_path / "exported"),
        lambda: callbacks.SampleGrid(tmp_path).set_model(bare),
    ):
        with pytest.raises(ValueError, match="load_autoencoder=True"):
            use()
    bare.autoencoder = model.autoencoder
    np.testing.assert_allclose(bare.generate(3, seed=0), images, atol=1e-6)


def test_preset_may_refer_to_the_hub(tmp_path):
    model = latent_model(TinyAutoencoder())
    handle = "hf://someone/autoencoder@v1"
    model.save_to_preset(tmp_path / "light", autoencoder=handle)
    bare = DriftModel.from_preset(tmp_path / "light", load_autoencoder=False)
    assert bare.autoencoder.handle == handle
    for wrong, message in (("hf://x", "hf://owner/name"), ("x", "is the name")):
        with pytest.raises(ValueError, match=message):
            model.save_to_preset(tmp_path / "other", autoencoder=wrong)


def test_assigned_autoencoder_decodes(model):
    copy = latent_model()
    copy.autoencoder = model.autoencoder
    np.testing.assert_allclose(
        copy.generate(2, seed=0), model.generate(2, seed=0), atol=1e-5
    )
    copy.autoencoder = None
    assert copy.generate(2, seed=0).shape == (2, 4, 4, 4)


def test_sample_grid_shows_images(tmp_path):
    model = latent_model(TinyAutoencoder())
    model.compile("adam")
    grid = callbacks.SampleGrid(tmp_path, rows=2, columns=2, scale=1)
    model.fit(LATENTS, verbose=0, callbacks=[grid])
    picture = np.asarray(Image.open(tmp_path / "epoch_0001.png"))
    expected = pictures.image_grid(model.generate(4, seed=0), 2)
    np.testing.assert_allclose(picture.astype(int), expected, atol=1)
    with pytest.raises(ValueError, match="decoded by the `autoencoder`"):
        callbacks.SampleGrid(tmp_path).set_model(latent_model())


def test_exported_model_serves_images(model, tmp_path):
    path = tmp_path / ("model.pt2" if BACKEND == "torch" else "model")
    model.export(path, verbose=False)
    inputs = model.generator.sample_inputs(3, seed=0)
    images = model.generate(3, seed=0)
    np.testing.assert_allclose(served(path, inputs), images, atol=1e-5)


def test_names_samples_that_are_no_latents(model):
    generator = generators.DiT((4, 4, 1), hidden_dim=8, depth=1, num_heads=1)
    with pytest.raises(ValueError, match=r"width, 4\)`.*\(4, 4, 1\)"):
        DriftModel(generator, autoencoder=TinyAutoencoder())
    with pytest.raises(TypeError, match="An autoencoder is"):
        latent_model("stable_diffusion")
    with pytest.raises(TypeError, match="An autoencoder is"):
        model.autoencoder = keras.layers.Flatten()
    assert isinstance(model.autoencoder, TinyAutoencoder)


@keras.saving.register_keras_serializable("tests")
class Unseeded(TinyAutoencoder):
    """An autoencoder whose every instance has other weights."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        rng = np.random.default_rng()
        for variable in self.variables:
            variable.assign(rng.normal(size=variable.shape))


@pytest.fixture
def fresh():
    """A copy by config and weights, which has an autoencoder of its own."""
    original = latent_model(Unseeded())
    copy = DriftModel.from_config(original.get_config())
    copy.set_weights(original.get_weights())
    return original, copy


@pytest.mark.filterwarnings("error:The autoencoder")
def test_warns_of_an_autoencoder_made_by_its_config(fresh, tmp_path):
    original, copy = fresh
    copy.generate(1, seed=0, decode=False)
    with user_line.warns(r"fresh weights.*original.autoenc"):
        copy.generate(1, seed=0)
    copy.generate(1, seed=0)  # once is enough
    other = DriftModel.from_config(original.get_config())
    path = tmp_path / ("model.pt2" if BACKEND == "torch" else "model")
    with user_line.warns("fresh weights"):
        other.export(path, verbose=False)
    copy.autoencoder = original.autoencoder
    np.testing.assert_array_equal(
        copy.generate(1, seed=0), original.generate(1, seed=0)
    )


@pytest.mark.filterwarnings("error:The autoencoder")
@pytest.mark.parametrize("how", ["assigned", "set", "loaded", "file"])
def test_an_autoencoder_with_weights_is_no_fresh_one(fresh, how, tmp_path):
    original, copy = fresh
    if how == "assigned":
        copy.autoencoder = original.autoencoder
    elif how == "set":
        copy.autoencoder.set_weights(original.autoencoder.get_weights())
    elif how == "loaded":
        original.save_weights(tmp_path / "model.weights.h5")
        copy.load_weights(tmp_path / "model.weights.h5")
    else:
        original.save(tmp_path / "model.keras")
        copy = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(
        copy.generate(1, seed=0), original.generate(1, seed=0), atol=1e-6
    )

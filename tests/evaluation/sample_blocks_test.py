import keras
import numpy as np
from keras import layers

import keras_drift as kd
from keras_drift.evaluation.sample_blocks import BLOCK_SIZE
from keras_drift.evaluation.sample_blocks import SampleBlocks
from tiny_autoencoder import TinyAutoencoder


def blocks(model, num_samples=BLOCK_SIZE + 9, **options):
    arguments = {
        "guidance": 1.0,
        "labels": None,
        "seed": 0,
        "batch_size": 50,
        "rounding": "nearest",
        **options,
    }
    return SampleBlocks(model, num_samples, **arguments)


def images_of(samples):
    return np.concatenate([samples.block(i) for i in range(len(samples))])


def test_as_many_as_asked_for(model):
    for number in (1, BLOCK_SIZE, BLOCK_SIZE + 1):
        assert len(images_of(blocks(model, number))) == number


def test_the_batch_size_changes_nothing(model):
    one = images_of(blocks(model, batch_size=BLOCK_SIZE))
    other = images_of(blocks(model, batch_size=33))
    # A value between two bytes may be rounded up or down.
    assert np.mean(one != other) < 1e-3


def test_the_first_samples_do_not_depend_on_how_many_follow(model):
    whole = images_of(blocks(model, 2 * BLOCK_SIZE))
    for number in (3, BLOCK_SIZE + 9):
        part = images_of(blocks(model, number))
        assert np.mean(part != whole[:number]) < 1e-3


def test_blocks_and_seeds_have_noise_of_their_own(model):
    samples = blocks(model, 2 * BLOCK_SIZE, labels=[0] * 2 * BLOCK_SIZE)
    first, second = samples.block(0), samples.block(1)
    other = blocks(model, seed=1, labels=[0] * (BLOCK_SIZE + 9)).block(0)
    for one, two in ((first, second), (first, other), (second, other)):
        assert np.mean(one == two) < 0.5
    assert len(np.unique(images_of(samples), axis=0)) == 2 * BLOCK_SIZE


def test_classes_are_balanced_over_all_blocks():
    # Ten classes: a block does not hold as many of each.
    samples = blocks(kd.DriftModel.from_preset("digits_dit"), 1000)
    labels = [
        samples.labels_between(*samples.bounds(i)) for i in range(len(samples))
    ]
    counts = np.bincount(np.concatenate(labels))
    np.testing.assert_array_equal(counts, [100] * 10)


def test_labels_and_guidance_reach_the_generator(model):
    labels = np.arange(BLOCK_SIZE) // 64
    samples = blocks(model, BLOCK_SIZE, labels=labels, guidance=3.0)
    seed = np.random.SeedSequence([0, 0]).generate_state(1)[0]
    expected = model.generate(labels=labels, guidance=3.0, seed=int(seed))
    found = samples.block(0) / 127.5 - 1
    np.testing.assert_allclose(found, expected, atol=0.51 / 127.5)


def test_the_fingerprint_is_that_of_the_weights(model):
    before = blocks(model).arguments()["model"]
    copy = type(model).from_config(model.get_config())
    copy.generator.set_weights(model.generator.get_weights())
    assert blocks(copy).arguments()["model"] == before
    weight = copy.generator.weights[-1]
    weight.assign(keras.ops.convert_to_tensor(weight) + 1e-3)
    assert blocks(copy).arguments()["model"] != before


def test_models_without_classes_are_sampled():
    network = keras.Sequential(
        [keras.Input((5,)), layers.Dense(12), layers.Reshape((2, 2, 3))]
    )
    model = kd.DriftModel(kd.generators.Functional(network))
    assert blocks(model, 7).block(0).shape == (7, 2, 2, 3)


def test_latents_are_decoded():
    generator = kd.generators.DiT(image_shape=(4, 4, 4), hidden_dim=8, depth=1)
    model = kd.DriftModel(generator, autoencoder=TinyAutoencoder())
    images = blocks(model, 3).block(0)
    assert images.shape == (3, 8, 8, 3)
    before = blocks(model).arguments()["model"]
    weight = model.autoencoder.weights[0]
    weight.assign(keras.ops.convert_to_tensor(weight) + 1e-3)
    assert blocks(model).arguments()["model"] != before

import itertools

import numpy as np
import pytest
from PIL import Image

import keras_drift as kd
from keras_drift_cli.image_training import config as configs
from keras_drift_cli.image_training import networks
from keras_drift_cli.image_training import sources


def shuffled(size=12, batch_size=4, steps=2):
    samples = np.arange(size, dtype="float32")[:, None]
    return networks.ShuffledBatches(
        samples, np.arange(size), batch_size, steps, seed=0
    )


def test_epochs_go_on_through_all_samples():
    batches = shuffled()
    follow = batches.follows()
    seen = []
    for epoch in range(3):  # of 8 samples: two passes over 12
        follow.on_epoch_begin(epoch)
        for index in range(len(batches)):
            samples, labels = batches[index]
            assert samples[:, 0].tolist() == labels.tolist()
            seen += labels.tolist()
    assert sorted(seen[:12]) == list(range(12))
    assert sorted(seen[12:]) == list(range(12))
    assert seen[:12] != seen[12:]


@pytest.mark.parametrize("steps", [1, 4, 99, 250, 2050, 10_000, 200_000])
def test_all_steps_of_the_encoder_are_taken(steps):
    epochs = networks.epochs_of(steps)
    assert 1 <= epochs <= 20
    assert steps % epochs == 0


class Broken(sources.ArraySource):
    """A source whose images with odd numbers cannot be read."""

    def read(self, indices):
        images, _ = super().read(indices)
        readable = np.asarray(indices) % 2 == 0
        images[~readable] = 0
        return images, readable


def test_labels_of_decoded_batches_belong_to_their_images():
    # The left half of an image has the gray level of its class.
    labels = np.arange(10)
    images = np.zeros((10, 4, 4, 1), "uint8")
    images[:, :, :2] = 10 * labels[:, None, None, None] + 100
    source = Broken(images, labels, list("abcdefghij"))
    batches = networks.DecodedBatches(source, 10, 1, seed=0, flip=True)
    found, labels = batches[0]
    levels = np.round(found.max(axis=(1, 2, 3)) * 127.5 + 127.5)
    np.testing.assert_array_equal(levels, 10 * labels + 100)
    assert set(labels) == {0, 2, 4, 6, 8}
    mirrored = found[:, 0, 0, 0] < found[:, 0, -1, 0]
    assert 0 < mirrored.sum() < 10
    np.testing.assert_array_equal(found, batches[0][0])


def test_random_crops_of_the_encoder_are_others_in_every_step(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (10, 20, 24, 3), "uint8")
    (tmp_path / "a").mkdir()
    for index, image in enumerate(pixels):
        Image.fromarray(image).save(tmp_path / f"a/{index}.png")
    folder = kd.datasets.ImageFolder(tmp_path, 8, crop_scale=(0.2, 1.0))
    batches, again, centered = (
        networks.DecodedBatches(folder, 10, 2, seed, False, random_crops)
        for seed, random_crops in ((0, True), (0, True), (0, False))
    )
    np.testing.assert_array_equal(batches[1][0], again[1][0])
    shown = batches[0][0], batches[1][0], centered[0][0]
    for one, two in itertools.combinations(shown, 2):
        assert np.all(np.any(one != two, axis=(1, 2, 3)))
    np.testing.assert_array_equal(centered[0][0], centered[1][0])


def test_a_batch_from_banks_has_no_more_groups_than_classes():
    training = configs.Training(
        groups=64, positives=2, unconditional=2, banks=configs.Banks(4, 8, 4)
    )
    config = configs.Config(training=training)

    class Stream(list):
        class_names = ("a", "b", "c")

    rng = np.random.default_rng(0)
    batch = rng.normal(size=(30, 2)), np.arange(30) % 3
    batches = networks.banked_batches(config, Stream([batch]), (2,))
    x, labels = batches[0]
    assert sorted(labels.tolist()) == [0, 1, 2]
    assert x["positives"].shape == (3, 2, 2)

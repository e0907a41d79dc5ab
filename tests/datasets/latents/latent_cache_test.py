import json
import pickle

import keras
import numpy as np
import pytest

from keras_drift import datasets
from keras_drift import generators
from keras_drift.datasets import LatentCache
from keras_drift.datasets.latents import latent_builder
from keras_drift.datasets.latents import shard_files
from keras_drift.training import data_sources
from tiny_autoencoder import TinyAutoencoder

NUM_IMAGES = 50
IMAGES = np.random.default_rng(0).uniform(-1, 1, (NUM_IMAGES, 8, 6, 3))
IMAGES = IMAGES.astype("float32")
LABELS = np.arange(NUM_IMAGES) % 5
UNREADABLE = [0, 17, 18, 49]


class Folder:
    """An image source, some of whose images cannot be read."""

    def __init__(self, unreadable=UNREADABLE, fails_at=None):
        self.labels = LABELS.astype("int32")
        self.fingerprint = f"folder-{unreadable}"
        self._unreadable = unreadable
        self._fails_at = fails_at

    def __len__(self):
        return NUM_IMAGES

    def read(self, indices):
        if self._fails_at in indices:
            raise KeyboardInterrupt
        readable = ~np.isin(indices, self._unreadable)
        images = np.where(readable[:, None, None, None], IMAGES[indices], 0)
        return images.astype("float32"), readable


@pytest.fixture(scope="module")
def autoencoder():
    return TinyAutoencoder()


@pytest.fixture
def build(tmp_path, autoencoder):
    def build(source=(IMAGES, LABELS), **options):
        options = {
            "shard_size": 16,
            "batch_size": 6,
            "verbose": False,
            **options,
        }
        return LatentCache.build(
            source, autoencoder, tmp_path / "cache", **options
        )

    build.directory = tmp_path / "cache"
    return build


def moments_by_hand(autoencoder, images):
    """The convolution, one patch after the other, in double precision."""
    kernel, bias = (
        keras.ops.convert_to_numpy(v).astype("float64")
        for v in autoencoder.down.variables
    )
    rows = []
    for image in images.astype("float64"):
        row = np.zeros((4, 3, 8))
        for i in range(4):
            for j in range(3):
                patch = image[2 * i : 2 * i + 2, 2 * j : 2 * j + 2]
                row[i, j] = np.einsum("abc,abco->o", patch, kernel) + bias
        rows.append(row)
    return np.split(np.array(rows), 2, axis=-1)


def stored(directory):
    """All rows of the files, as they are on the disk."""
    paths = sorted(directory.glob("latents-*.npy"))
    return np.concatenate([np.load(path) for path in paths])


@pytest.mark.parametrize("flip", [False, True])
def test_moments_are_those_of_images_and_mirror_images(
    build, autoencoder, flip
):
    build(keep="moments", flip=flip)
    rows = stored(build.directory)
    assert rows.dtype == "float16"
    assert rows.shape == (NUM_IMAGES, 1 + flip, 4, 3, 8)
    views = [IMAGES, IMAGES[:, :, ::-1]][: 1 + flip]
    for view, images in enumerate(views):
        for part, expected in zip(
            np.split(rows[:, view], 2, axis=-1),
            moments_by_hand(autoencoder, images),
            strict=True,
        ):
            np.testing.assert_allclose(part, expected, rtol=2e-3, atol=1e-3)


def test_samples_are_draws_from_the_posterior(build, autoencoder):
    build(keep="samples", flip=True)
    rows = stored(build.directory)
    assert rows.shape == (NUM_IMAGES, 2, 4, 3, 4)
    noise = []
    for view, images in enumerate((IMAGES, IMAGES[:, :, ::-1])):
        mean, log_variance = moments_by_hand(autoencoder, images)
        noise.append((rows[:, view] - mean) / np.exp(log_variance / 2))
    noise = np.stack(noise)
    # 4800 standard normal numbers, none of them shared.
    assert abs(noise.mean()) < 0.06
    assert abs(noise.std() - 1) < 0.05
    assert abs(np.corrcoef(noise[0].ravel(), noise[1].ravel())[0, 1]) < 0.06
    shards = noise[0][:16].ravel(), noise[0][16:32].ravel()
    assert abs(np.corrcoef(*shards)[0, 1]) < 0.15


def test_reading_samples_gives_what_is_stored(build):
    cache = build(flip=False)
    rows = stored(build.directory)[:, 0]
    assert cache.samples.shape == (NUM_IMAGES, 4, 3, 4)
    indices = np.array([[49, 0, 16], [15, 16, -1]])
    found = cache.samples[indices]
    assert found.dtype == "float32"
    np.testing.assert_array_equal(found, rows[indices])
    np.testing.assert_array_equal(cache.samples[7], rows[7])
    np.testing.assert_array_equal(cache.samples[10:40:3], rows[10:40:3])
    assert cache.samples[np.array([], int)].shape == (0, 4, 3, 4)
    np.testing.assert_array_equal(cache.labels, LABELS)
    assert len(cache) == NUM_IMAGES


def test_reading_draws_one_of_the_mirrored(build):
    cache = build()
    rows = stored(build.directory)
    drawn = [
        np.array_equal(cache.samples[np.array([i, k])][0], rows[i, 1])
        for i in range(NUM_IMAGES)
        for k in range(8)
    ]
    assert 0.4 < np.mean(drawn) < 0.6


def test_reading_moments_draws_from_the_posterior(build):
    cache = build(keep="moments", flip=False)
    rows = stored(build.directory)[:, 0].astype("float64")
    mean, log_variance = np.split(rows, 2, axis=-1)
    reads = [cache.samples[np.array([3] * 20 + [k])][:20] for k in range(40)]
    noise = (np.stack(reads) - mean[3]) / np.exp(log_variance[3] / 2)
    assert noise.size == 20 * 40 * 48
    assert abs(noise.mean()) < 0.02
    assert abs(noise.std() - 1) < 0.02


def test_draws_depend_on_seed_and_indices_alone(build):
    cache = build(keep="moments")
    other = LatentCache(build.directory)
    seeded = LatentCache(build.directory, seed=1)
    indices = np.array([3, 20, 40])
    first = cache.samples[indices]
    cache.samples[np.array([1, 2])]
    np.testing.assert_array_equal(cache.samples[indices], first)
    np.testing.assert_array_equal(other.samples[indices], first)
    np.testing.assert_array_equal(other.samples[indices.astype("int32")], first)
    copy = pickle.loads(pickle.dumps(cache.samples))
    np.testing.assert_array_equal(copy[indices], first)
    assert np.all(seeded.samples[indices] != first)
    assert np.all(cache.samples[np.array([3, 20, 41])][:2] != first[:2])


def test_grouped_dataset_reads_it(build):
    cache = build(flip=False)
    batches = datasets.GroupedDataset(
        cache.samples, cache.labels, positives=4, unconditional=3
    )
    x, labels = batches[0]
    rows = stored(build.directory)[:, 0].reshape(NUM_IMAGES, -1)
    assert x["unconditional"].shape == (5, 3, 4, 3, 4)
    for label, group in zip(labels, x["positives"], strict=True):
        for sample in group.reshape(4, -1):
            found = np.flatnonzero((rows == sample).all(axis=1))
            assert LABELS[found].tolist() == [label]
    np.testing.assert_array_equal(batches[0][0]["positives"], x["positives"])
    (one,) = datasets.ArrayDataset(cache.samples, batch_size=7)[0]
    assert one.shape == (7, 4, 3, 4)


def test_unreadable_images_are_left_out_and_counted(build, capsys):
    all_rows = build(flip=False)
    complete = stored(build.directory)
    cache = _elsewhere(build, Folder(), verbose=True, flip=False)
    readable = np.setdiff1d(np.arange(NUM_IMAGES), UNREADABLE)
    assert cache.unreadable.tolist() == UNREADABLE
    assert len(cache) == len(readable) == len(all_rows) - 4
    np.testing.assert_array_equal(cache.labels, LABELS[readable])
    # The noise of an image does not depend on which others are readable, so
    # that the files agree up to the rounding of another batch.
    np.testing.assert_allclose(
        stored(cache.directory), complete[readable], atol=2e-3
    )
    np.testing.assert_allclose(
        cache.samples[np.arange(46)], complete[readable, 0], atol=2e-3
    )
    assert "4 could not be read" in capsys.readouterr().err


def _elsewhere(build, source, **options):
    build_there = LatentCache.build
    return build_there(
        source,
        TinyAutoencoder(),
        build.directory / "other",
        **{"shard_size": 16, "batch_size": 6, "verbose": False, **options},
    )


@pytest.mark.parametrize("keep", ["samples", "moments"])
def test_shards_and_batches_change_nothing_but_rounding(build, keep):
    build(keep=keep)
    other = _elsewhere(build, (IMAGES, LABELS), keep=keep, batch_size=50)
    np.testing.assert_allclose(
        stored(other.directory), stored(build.directory), atol=2e-3
    )


def test_a_killed_build_continues_with_the_missing_shards(build, capsys):
    with pytest.raises(KeyboardInterrupt):
        build(Folder(fails_at=35))
    with pytest.raises(ValueError, match="2 of 4 shards are not built yet"):
        LatentCache(build.directory)
    before = _times(build.directory)
    assert sorted(before) == ["latents-00000.npy", "latents-00001.npy"]
    cache = build(Folder(), verbose=True)
    after = _times(build.directory)
    assert len(after) == 4
    assert {name: after[name] for name in before} == before
    said = capsys.readouterr().err
    assert "Continuing" in said
    assert "2 of 4 shards" in said
    assert cache.unreadable.tolist() == UNREADABLE
    straight = _elsewhere(build, Folder())
    np.testing.assert_array_equal(
        stored(build.directory), stored(straight.directory)
    )


def _times(directory):
    return {p.name: p.stat().st_mtime_ns for p in directory.glob("latents-*")}


def test_a_build_that_is_complete_encodes_nothing(build, monkeypatch):
    build()

    def fail(*args):
        raise AssertionError

    monkeypatch.setattr(TinyAutoencoder, "moments", fail)
    build()


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[-10] ^= 4
    path.write_bytes(content)


def cut(path):
    path.write_bytes(path.read_bytes()[:-100])


@pytest.mark.parametrize(
    "harm", [cut, lambda path: path.unlink()], ids=["cut", "removed"]
)
def test_a_shard_of_a_wrong_size_is_named_and_rebuilt(build, capsys, harm):
    build()
    rows = stored(build.directory)
    harm(build.directory / "latents-00002.npy")
    with pytest.raises(
        ValueError, match=r"missing: 1\..*latents-00002\.npy: it"
    ):
        LatentCache(build.directory)
    before = _times(build.directory)
    build(verbose=True)
    assert "latents-00002.npy is damaged" in capsys.readouterr().err
    np.testing.assert_array_equal(stored(build.directory), rows)
    after = _times(build.directory)
    changed = [name for name in after if after[name] != before.get(name)]
    assert changed == ["latents-00002.npy"]


def test_a_damaged_shard_is_never_used(build):
    build()
    rows = stored(build.directory)
    flip_a_bit(build.directory / "latents-00001.npy")
    cache = LatentCache(build.directory)  # the size is right
    cache.samples[np.arange(16)]
    with pytest.raises(ValueError, match=r"latents-00001\.npy: its sha256"):
        cache.samples[np.array([0, 16])]
    with pytest.raises(ValueError, match=r"missing: 1\. .*latents-00001\.npy"):
        cache.verify()
    build().verify()
    np.testing.assert_array_equal(stored(build.directory), rows)


def test_damaged_labels_are_never_used(build):
    build()
    flip_a_bit(build.directory / "labels.npy")
    with pytest.raises(ValueError, match=r"labels\.npy: its sha256"):
        LatentCache(build.directory)
    np.testing.assert_array_equal(build().labels, LABELS)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"keep": "moments"}, "keep='moments', where the cache has 'samples'"),
        ({"flip": False}, "flip=False, where the cache has True"),
        ({"shard_size": 8}, "shard_size=8, where the cache has 16"),
        ({"seed": 1}, "seed=1, where the cache has 0"),
        ({"source": (IMAGES, LABELS[::-1])}, "source='.*', where the cache"),
        ({"source": (-IMAGES, LABELS)}, "source='.*', where the cache"),
        ({"source": IMAGES[:20]}, "num_images=20, where the cache has 50"),
    ],
)
def test_refuses_to_mix_caches(build, options, match):
    build()
    times = _times(build.directory)
    with pytest.raises(ValueError, match=match):
        build(**options)
    assert _times(build.directory) == times


def test_refuses_another_autoencoder(build):
    build()
    other = TinyAutoencoder()
    other.down.bias.assign(other.down.bias + 1)
    with pytest.raises(ValueError, match=r"autoencoder='\w+', where the cache"):
        LatentCache.build(
            (IMAGES, LABELS), other, build.directory, shard_size=16
        )


def test_images_without_labels(build):
    cache = build(IMAGES)
    assert cache.labels is None
    assert not (build.directory / "labels.npy").exists()
    batches = datasets.GroupedDataset(cache.samples, positives=4)
    assert batches[0][0].shape == (1, 4, 4, 3, 4)


def test_names_a_directory_without_a_cache(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"LatentCache\.build.*nothing"):
        LatentCache(tmp_path / "nothing")
    (tmp_path / "manifest.json").write_text(json.dumps({"format": 99}))
    with pytest.raises(ValueError, match="something else"):
        LatentCache(tmp_path)


def test_names_a_cache_without_images(build):
    with pytest.raises(ValueError, match="No image"):
        build(Folder(unreadable=list(range(NUM_IMAGES))))


def test_latents_beyond_half_precision_are_refused(build, autoencoder):
    huge = TinyAutoencoder()
    huge.down.bias.assign(huge.down.bias + 1e5)
    with pytest.raises(ValueError, match=r"65504.*image 0"):
        LatentCache.build(
            IMAGES, huge, build.directory, keep="moments", verbose=False
        )


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"keep": "mean"}, ValueError, "keep='mean'"),
        ({"flip": 1}, TypeError, "flip=1"),
        ({"batch_size": 0}, ValueError, "batch_size=0"),
        ({"shard_size": 1.5}, TypeError, "shard_size=1.5"),
        ({"source": "folder"}, TypeError, "str without labels, fingerprint"),
        ({"source": (IMAGES, LABELS[:3])}, ValueError, r"shape \(3,\)"),
        ({"source": (IMAGES, LABELS / 2)}, ValueError, "float64"),
        ({"source": IMAGES[:0]}, ValueError, "non-empty"),
        ({"source": IMAGES[0]}, ValueError, "images.shape="),
        ({"source": (IMAGES * 127).astype("uint8")}, ValueError, "127.5"),
        ({"source": IMAGES[:, :7]}, ValueError, "multiples of 2"),
    ],
)
def test_names_an_argument_that_cannot_be(build, options, error, match):
    with pytest.raises(error, match=match):
        build(**options)


@pytest.mark.parametrize(
    "spoiled",
    [
        lambda images, readable: (images, readable.astype(int)),
        lambda images, readable: (images[readable], readable),
        lambda images, readable: (images, readable[:1]),
    ],
)
def test_names_a_source_that_answers_something_else(build, spoiled):
    """Such as zeros and ones, of which `~` makes other numbers."""

    class Spoiled(Folder):
        def read(self, indices):
            return spoiled(*super().read(indices))

    with pytest.raises(ValueError, match=r"`read\(indices\)`.*6 indices"):
        build(Spoiled())


def test_refuses_a_source_of_random_crops(build):
    source = Folder()
    source.crop_scale = (0.2, 1.0)
    with pytest.raises(ValueError, match=r"once.*crop_scale=\(0.2, 1.0\)"):
        build(source)
    source.crop_scale = None
    build(source)


def test_names_something_that_is_no_autoencoder(tmp_path):
    with pytest.raises(TypeError, match="autoencoder of type Dense"):
        LatentCache.build(IMAGES, keras.layers.Dense(3), tmp_path)


@pytest.mark.parametrize(
    ("key", "error", "match"),
    [
        (50, IndexError, "50 latents.*index 50"),
        (np.array([0, -51]), IndexError, "index -51"),
        (np.array([True, False]), TypeError, "type bool"),
        (0.5, TypeError, "float64"),
    ],
)
def test_names_an_index_that_cannot_be(build, key, error, match):
    with pytest.raises(error, match=match):
        build().samples[key]


def test_interrupted_manifest_is_the_last_complete_one(build, monkeypatch):
    """Killed between a shard and its entry: the shard is built again."""
    write = shard_files.write_manifest
    calls = []

    def fail(directory, manifest):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        write(directory, manifest)

    monkeypatch.setattr(latent_builder.shard_files, "write_manifest", fail)
    with pytest.raises(KeyboardInterrupt):
        build()
    monkeypatch.undo()
    manifest = shard_files.read_manifest(build.directory)
    assert [s is None for s in manifest["shards"]] == [False, *[True] * 3]
    build().verify()


def test_fit_takes_latents_and_labels_like_arrays(build):
    cache = build(flip=False)
    generator = generators.DiT(
        image_shape=(4, 3, 4), patch_size=1, num_classes=5, hidden_dim=8
    )
    source = data_sources.as_source(
        cache.samples, cache.labels, None, generator, batch_size=20
    )
    assert isinstance(source.x, datasets.GroupedDataset)
    x, labels = source.x[0]
    assert x.shape == (1, 20, 4, 3, 4)
    rows = stored(build.directory)[labels[0] == LABELS].reshape(10, -1)
    assert all(
        (rows == sample).all(axis=1).any() for sample in x.reshape(20, -1)
    )

import numpy as np

from contracts import in_one_program
from contracts import numpy
from keras_drift.encoders.unet_decoder import Join
from keras_drift.encoders.unet_decoder import UNetDecoder


def upsampled_by_hand(x, sizes):
    """Bilinear, by the centers of pixels; constant beyond the outer ones."""
    for axis, size in enumerate(sizes, start=1):
        old = x.shape[axis]
        centers = (np.arange(size) + 0.5) * old / size - 0.5
        centers = np.clip(centers, 0, old - 1)
        low = np.floor(centers).astype(int)
        high = np.minimum(low + 1, old - 1)
        share = (centers - low).reshape((-1,) + (1,) * (x.ndim - axis - 1))
        x = np.take(x, low, axis) * (1 - share) + np.take(x, high, axis) * share
    return x


def test_upsamples_to_the_size_of_the_finer_map():
    rng = np.random.default_rng(0)
    coarse = rng.normal(size=(2, 2, 3, 4)).astype("float32")
    fine = rng.normal(size=(2, 3, 6, 2)).astype("float32")
    join = Join(2)
    join.build(coarse.shape)
    seen = []
    join.norm.call = lambda x: seen.append(numpy(x)) or x
    join(coarse, fine)
    upsampled = upsampled_by_hand(coarse.astype("float64"), (3, 6))
    expected = np.concatenate([upsampled, fine], axis=-1)
    np.testing.assert_allclose(seen[0], expected, atol=1e-6)


def test_makes_a_map_as_fine_as_the_finest():
    sizes = {"conv1": (9, 8, 2), "layer1": (9, 8, 2), "layer2": (5, 4, 4)}
    sizes |= {"layer3": (3, 2, 8), "layer4": (2, 1, 16)}
    rng = np.random.default_rng(0)
    maps = {
        name: rng.normal(size=(2, *size)).astype("float32")
        for name, size in sizes.items()
    }
    decoder = UNetDecoder(2, 3)
    decoder.build(None)
    program = in_one_program(decoder)
    before = numpy(program(maps))
    assert before.shape == (2, 9, 8, 3)
    # Every map is looked at.
    for name in maps:
        changed = {**maps, name: maps[name][::-1]}
        assert np.abs(numpy(program(changed)) - before).max() > 1e-3, name

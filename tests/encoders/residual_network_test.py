import numpy as np
import pytest

from contracts import in_one_program
from contracts import numpy
from keras_drift.encoders.group_norm import group_norm
from keras_drift.encoders.residual_network import ResidualBlock
from keras_drift.encoders.residual_network import ResidualNetwork

# The images of the first test have an odd and an even side.
X = np.random.default_rng(0).normal(size=(2, 5, 4, 2)).astype("float32")


def randomized(layer):
    """Moves all weights of a layer, so that none is neutral."""
    rng = np.random.default_rng(1)
    for variable in layer.variables:
        noise = rng.normal(scale=0.3, size=variable.shape)
        variable.assign(variable + noise.astype("float32"))
    return layer


def conv_by_hand(x, kernel, stride):
    """A convolution, padded by half a kernel on every side."""
    kernel = numpy(kernel).astype("float64")
    half = kernel.shape[0] // 2
    padded = np.pad(x, [(0, 0), (half, half), (half, half), (0, 0)])
    rows, columns = -(-x.shape[1] // stride), -(-x.shape[2] // stride)
    out = np.zeros((len(x), rows, columns, kernel.shape[-1]))
    for row, column in np.ndindex(rows, columns):
        top, left = row * stride, column * stride
        size = len(kernel)
        window = padded[:, top : top + size, left : left + size]
        out[:, row, column] = np.tensordot(window, kernel, 3)
    return out


def norm_by_hand(x, norm, groups):
    batch, _, _, channels = x.shape
    grouped = x.reshape(batch, -1, groups, channels // groups)
    mean = grouped.mean(axis=(1, 3), keepdims=True)
    variance = ((grouped - mean) ** 2).mean(axis=(1, 3), keepdims=True)
    x = ((grouped - mean) / np.sqrt(variance + 1e-6)).reshape(x.shape)
    return x * numpy(norm.gamma) + numpy(norm.beta)


def block_by_hand(x, block, stride, groups):
    y = conv_by_hand(x, block.conv1.kernel, stride)
    y = np.maximum(norm_by_hand(y, block.norm1, groups), 0)
    y = conv_by_hand(y, block.conv2.kernel, 1)
    y = norm_by_hand(y, block.norm2, groups)
    if stride > 1:
        x = conv_by_hand(x, block.shortcut.kernel, stride)
        x = norm_by_hand(x, block.shortcut_norm, groups)
    return np.maximum(x + y, 0)


@pytest.mark.parametrize(("halve", "channels"), [(False, 2), (True, 4)])
def test_block_is_two_convolutions_beside_a_shortcut(halve, channels):
    block = ResidualBlock(channels, halve=halve)
    block.build(X.shape)
    randomized(block)
    # Small activations, so that the epsilons of the norms show.
    x = 1e-3 * X
    expected = block_by_hand(x.astype("float64"), block, 1 + halve, channels)
    found = numpy(in_one_program(block)(x))
    assert found.shape == ((2, 3, 2, 4) if halve else X.shape)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("channels", "groups"),
    [(1, 1), (6, 6), (16, 16), (32, 32), (33, 11), (40, 20), (96, 32)],
)
def test_groups_divide_the_channels(channels, groups):
    assert group_norm(channels).groups == groups


def test_norm_has_a_small_epsilon():
    norm = randomized_norm(64)
    x = np.random.default_rng(0).normal(size=(2, 3, 3, 64)) * 1e-3
    expected = norm_by_hand(x, norm, 32)
    found = numpy(norm(x.astype("float32")))
    np.testing.assert_allclose(found, expected, atol=1e-4)


def randomized_norm(channels):
    norm = group_norm(channels)
    norm.build((None, None, None, channels))
    return randomized(norm)


def test_stages_double_channels_and_halve_the_resolution():
    network = ResidualNetwork(2, (1, 2, 1, 1))
    network.build(X.shape)
    maps, block_maps = in_one_program(network)(X)
    shapes = {name: value.shape[1:] for name, value in maps.items()}
    assert shapes == {
        "conv1": (5, 4, 2),
        "layer1": (5, 4, 2),
        "layer2": (3, 2, 4),
        "layer3": (2, 1, 8),
        "layer4": (1, 1, 16),
    }
    assert sorted(block_maps) == [
        "layer1_blk1",
        "layer2_blk1",
        "layer2_blk2",
        "layer3_blk1",
        "layer4_blk1",
    ]
    # The maps of blocks are those ahead of the norm of the stage.
    for stage, norm in enumerate(network.stage_norms, start=1):
        last = f"layer{stage}_blk{network_blocks(block_maps, stage)}"
        groups = norm.groups
        normed = norm_by_hand(numpy(block_maps[last]), norm, groups)
        # Norms of a few positions magnify rounding.
        np.testing.assert_allclose(
            numpy(maps[f"layer{stage}"]), normed, atol=1e-3
        )


def network_blocks(block_maps, stage):
    return sum(name.startswith(f"layer{stage}_") for name in block_maps)

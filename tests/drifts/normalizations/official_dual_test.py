import numpy as np

import contracts
from keras_drift import drifts
from keras_drift import kernels

BANDWIDTH = 0.4


def field_by_hand(x, data, x_weights, data_weights):
    """The formula of the release, in float64, of one group and bandwidth."""
    points = np.concatenate([x, data])
    weights = np.concatenate([x_weights, data_weights])
    distances = np.linalg.norm(x[:, None] - points[None], axis=-1)
    distances = np.maximum(distances, 1e-4)
    mean = np.mean(distances * weights) / np.mean(weights)
    logits = distances / mean
    logits[np.arange(len(x)), np.arange(len(x))] += 100.0
    k = np.exp(-logits / BANDWIDTH)
    # Points of weight zero take part in both softmaxes.
    over_points = k / k.sum(axis=1, keepdims=True)
    over_samples = k / k.sum(axis=0, keepdims=True)
    affinities = np.sqrt(np.maximum(over_points * over_samples, 1e-6)) * weights
    repel, attract = affinities[:, : len(x)], affinities[:, len(x) :]
    return repel.sum(axis=1, keepdims=True) * (attract @ data) - attract.sum(
        axis=1, keepdims=True
    ) * (repel @ x)


def test_absent_points_take_part_in_the_softmaxes():
    rng = np.random.default_rng(0)
    x, data = rng.normal(size=(5, 2)), rng.normal(size=(6, 2)) + 0.5
    x_weights, data_weights = np.ones(5), np.array([1.0, 0, 2, 1, 0, 1])
    x_weights[3] = 0
    drift = contracts.in_one_program(
        drifts.KernelDrift(
            kernels.Laplacian(BANDWIDTH), normalization="official_dual"
        )
    )
    velocity = contracts.numpy(
        drift(
            x.astype("float32"),
            data.astype("float32"),
            positive_weights=data_weights.astype("float32"),
            negative_weights=x_weights.astype("float32"),
        )
    )
    # A sample of weight zero repels nobody, but moves like the others, and
    # counts in the mean square: the release knows no absent samples.
    expected = field_by_hand(x, data, x_weights, data_weights)
    scale = np.sqrt(np.mean(np.square(expected)))
    size = np.sqrt(np.mean(np.square(velocity)))
    np.testing.assert_allclose(velocity / size, expected / scale, rtol=1e-3)
    # Were they removed, the field would be another.
    present = x_weights > 0
    without = field_by_hand(
        x[present],
        data[data_weights > 0],
        x_weights[present],
        data_weights[data_weights > 0],
    )
    without /= np.sqrt(np.mean(np.square(without)))
    assert np.abs(expected[present] / scale - without).max() > 0.01

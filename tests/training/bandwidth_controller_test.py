import numpy as np
import pytest
from keras import ops

from contracts import numpy
from keras_drift import drifts
from keras_drift import kernels
from keras_drift.drifts.signal import Signal
from keras_drift.training import FeatureDrifts
from keras_drift.training.bandwidth_controller import BandwidthController

SIGNAL = Signal(*ops.convert_to_tensor([[1.0, 1.0], [0.0, 1.0]]))
NOISE = Signal(*ops.convert_to_tensor([[1.0, 1.0], [1.0, 0.0]]))


def drift(widths=(2.0, 0.5)):
    return drifts.KernelDrift(kernels.Gaussian(widths))


def widths(drift):
    return numpy(drift.bandwidth)


def test_starts_at_the_initial_bandwidth_and_stays_within_bounds():
    controller = BandwidthController(4.0, 0.4, 0.5)
    part = drift()
    controller.begin(part, 0)
    np.testing.assert_allclose(widths(part), [4.0, 1.0])
    for reached, kept in ((1.0, 1.0), (0.1, 0.4), (9.0, 4.0)):
        part.anneal(reached)
        controller.begin(part, 7)
        np.testing.assert_allclose(widths(part)[0], kept, rtol=1e-6)


def test_follows_the_share_at_the_largest_bandwidth():
    controller = BandwidthController(4.0, 0.4, 0.5)
    part = drift()
    controller.update(part, [(part, SIGNAL)])
    np.testing.assert_allclose(
        widths(part), np.exp(0.1 * 0.5) * np.array([2.0, 0.5]), rtol=1e-5
    )
    part = drift()
    controller.update(part, [(part, NOISE)])
    np.testing.assert_allclose(
        widths(part), np.exp(-0.1 * 0.25) * np.array([2.0, 0.5]), rtol=1e-5
    )
    # Wherever it stands among the others.
    part = drift((0.5, 2.0))
    controller.update(part, [(part, NOISE)])
    assert widths(part)[1] > 2.0


def test_rests_at_the_threshold():
    part = drift()
    signal = Signal(*ops.convert_to_tensor([[4.0, 1.0], [1.0, 1.0]]))
    BandwidthController(4.0, 0.4, 0.75).update(part, [(part, signal)])
    np.testing.assert_allclose(widths(part), [2.0, 0.5], rtol=1e-6)


def test_never_leaves_the_bounds():
    controller = BandwidthController(2.0, 1.9, 0.5)
    part = drift()
    for signal, bound in ((SIGNAL, 2.0), (NOISE, 1.9)):
        for _ in range(20):
            controller.update(part, [(part, signal)])
        np.testing.assert_allclose(widths(part)[0], bound, rtol=1e-6)


def test_changes_all_drifts_of_a_model_together():
    both = FeatureDrifts({"a": drift((1.0, 0.5)), "*": drift((2.0, 0.5))})
    parts = [(both.drifts[0], SIGNAL), (both.drifts[1], NOISE)]
    BandwidthController(4.0, 0.4, 0.5).update(both, parts)
    np.testing.assert_allclose(
        widths(both),
        np.exp(0.1 * (0.5 - 0.25) / 2) * np.array([1.0, 0.5, 2.0, 0.5]),
        rtol=1e-5,
    )


def test_a_measurement_of_no_bandwidth_is_refused():
    both = FeatureDrifts({"a": drift(), "*": drifts.EnergyDistanceDrift()})
    with pytest.raises(ValueError, match=r"fields of.*EnergyDistanceDrift"):
        BandwidthController(4.0, 0.4, 0.5).update(
            both, [(both.drifts[1], SIGNAL)]
        )


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ((0.0, 0.1, 0.5), "initial=0.0"),
        ((1.0, -0.1, 0.5), "final=-0.1"),
        ((1.0, 2.0, 0.5), "final=2.0"),
        ((1.0, 0.1, 1.0), "threshold=1.0"),
        ((1.0, 0.1, 0.0), "threshold=0.0"),
    ],
)
def test_names_a_wrong_argument(arguments, named):
    with pytest.raises(ValueError, match=f"Received: .*{named}"):
        BandwidthController(*arguments)


def test_tells_its_arguments():
    config = {"initial": 4.0, "final": 0.4, "threshold": 0.5}
    assert BandwidthController(**config).get_config() == config

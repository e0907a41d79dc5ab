import numpy as np
import pytest

from contracts import numpy
from keras_drift import DriftModel
from keras_drift import PowerLawGuidance
from keras_drift import datasets
from keras_drift import drifts
from keras_drift.models import targets
from small_models import class_mlp
from small_models import fitted


def test_guidance_weighs_unconditional_data(classes):
    model = DriftModel(class_mlp(), guidance_sampler=PowerLawGuidance(), seed=0)
    batches = datasets.GroupedDataset(*classes, positives=6, unconditional=4)
    x, _, _ = model.prepare_batch(batches[0], False)
    scales = numpy(x["guidance"]).reshape(3, 6)
    assert np.all(scales == scales[:, :1])
    assert np.all((scales >= 1) & (scales <= 4))
    weights = numpy(targets.unconditional_weights(model.drift, x, 3))
    # All but the sample itself repel it: 5 of 6.
    expected = (scales[:, :1] - 1) * 5 / 4
    np.testing.assert_allclose(weights, expected.repeat(4, axis=1), rtol=1e-5)


def test_guidance_of_velocities_takes_the_scales(classes):
    drift = drifts.KernelDrift(guidance_mode="velocity")
    model = DriftModel(
        class_mlp(), drift, guidance_sampler=PowerLawGuidance(2.0), seed=0
    )
    batches = datasets.GroupedDataset(*classes, positives=6, unconditional=4)
    x, y, _ = model.prepare_batch(batches[0], False)
    samples = model(x)
    features = model.encoder(samples)
    (found,) = targets.find(model, features, x, y, None).values()
    groups = numpy(samples).reshape(3, 6, 2)
    expected = groups + numpy(
        drift(
            groups,
            y,
            unconditional=x["unconditional"],
            guidance_scale=numpy(x["guidance"]).reshape(3, 6)[:, 0],
        )
    )
    np.testing.assert_allclose(
        numpy(found["place"]).reshape(3, 6, 2), expected, rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize("mode", ["distribution", "velocity"])
def test_trained_guidance_is_an_input_of_sampling(classes, mode):
    model = DriftModel(
        class_mlp(),
        drifts.KernelDrift(guidance_mode=mode),
        guidance_sampler=PowerLawGuidance(),
        seed=0,
    )
    fitted(model, *classes, epochs=2)
    plain = model.generate(labels=[0, 1, 2], seed=0)
    strong = model.generate(labels=[0, 1, 2], guidance=3.0, seed=0)
    assert np.abs(plain - strong).max() > 0

import numpy as np
import pytest

import contracts
import small_models
from contracts import numpy
from keras_drift import DriftModel
from keras_drift import PowerLawGuidance
from keras_drift import datasets
from keras_drift import drifts
from keras_drift.training.drift_objective import unconditional_weights
from small_models import class_mlp
from small_models import fitted


def test_guidance_sets_weights_of_unconditional_data(classes):
    model = DriftModel(class_mlp(), guidance_sampler=PowerLawGuidance(), seed=0)
    batches = datasets.GroupedDataset(*classes, positives=6, unconditional=4)
    batch = model.prepare_batch(batches[0], False)
    scales = numpy(batch.inputs["guidance"]).reshape(3, 6)
    assert np.all(scales == scales[:, :1])
    assert np.all((scales >= 1) & (scales <= 4))
    weights = numpy(
        unconditional_weights(batch.guidance_scale, 6, 4, "excluded")
    )
    # The negatives of a sample are five of the six.
    expected = (scales[:, :1] - 1) * 5 / 4
    np.testing.assert_allclose(weights, expected.repeat(4, axis=1), rtol=1e-5)


def test_velocity_guidance_receives_the_scales(classes):
    drift = drifts.KernelDrift(guidance_mode="velocity")
    model = DriftModel(
        class_mlp(), drift, guidance_sampler=PowerLawGuidance(2.0), seed=0
    )
    batches = datasets.GroupedDataset(*classes, positives=6, unconditional=4)
    batch = model.prepare_batch(batches[0], False)

    def compute():
        samples = model(batch)
        features = model.objective.features(samples)
        (target,) = model.objective.targets(features, batch).values()
        return samples, target.starts[0] + target.steps[0]

    samples, found = map(numpy, small_models.in_one_program(model, compute))
    groups = samples.reshape(3, 6, 2)
    expected = groups + numpy(
        contracts.in_one_program(drift)(
            groups,
            batch.positives,
            unconditional=batch.unconditional,
            guidance_scale=batch.guidance_scale,
        )
    )
    np.testing.assert_allclose(
        found.reshape(3, 6, 2),
        expected,
        rtol=1e-5,
        atol=1e-5,
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

"""Evaluation: one batch size everywhere, and no effect on training."""

import keras
import numpy as np
import pytest

import user_line
from contracts import numpy
from keras_drift import DriftModel
from keras_drift import PowerLawGuidance
from keras_drift import callbacks
from keras_drift import datasets
from keras_drift import drifts
from keras_drift import generators
from keras_drift import metrics
from keras_drift.training import data_sources
from small_models import class_mlp
from small_models import fitted
from small_models import gaussian_model
from small_models import small_mlp


def zero_learning_rate():
    return keras.optimizers.SGD(0.0)


@pytest.fixture(scope="module")
def unchanging():
    """A model that no training changes, but in its random numbers."""
    model = gaussian_model()
    model.generator.set_weights(
        [np.full(w.shape, 0.1) for w in model.generator.get_weights()]
    )
    model.compile(zero_learning_rate(), metrics=[metrics.SlicedWasserstein()])
    return model, model.training_state()


def test_validation_equals_evaluation_for_every_training_source(
    points, unchanging
):
    model, start = unchanging
    held_out = datasets.eight_gaussians(45, seed=1)
    losses = []
    for source in (
        points,  # 64 samples, in batches of 24
        datasets.GroupedDataset(points, positives=24),
        (part for part in [(points[:24],)] * 3),
    ):
        model.restore_training_state(start)
        size = 24 if source is points else None
        history = model.fit(
            source,
            batch_size=size,
            steps_per_epoch=None if size else 1,
            validation_data=held_out,
            validation_batch_size=20,
            verbose=0,
        ).history
        losses.append(history["val_loss"][0])
        alone = model.evaluate(held_out, batch_size=20, verbose=0)
        assert history["val_loss"][0] == pytest.approx(alone[0], rel=1e-6)
    assert losses == pytest.approx([losses[0]] * 3, rel=1e-6)


def test_validation_split_uses_the_same_batch_size(points, unchanging):
    model, start = unchanging
    losses = []
    for options in (
        {"x": points, "validation_split": 0.5},
        {"x": points[:32], "validation_data": points[32:]},
    ):
        model.restore_training_state(start)
        history = model.fit(**options, batch_size=12, verbose=0).history
        losses.append(history["val_loss"][0])
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)


def test_one_more_sample_makes_no_batch_of_one(points):
    model = gaussian_model()
    fitted(model, points)
    norms = [
        model.evaluate(data, batch_size=32, verbose=0, return_dict=True)
        for data in (points[:32], points[:33])
    ]
    assert norms[1]["drift_norm"] == pytest.approx(
        norms[0]["drift_norm"], rel=0.2
    )


def test_batches_are_weighted_by_their_number_of_samples(points, unchanging):
    model, _ = unchanging
    parts = [points[:40], points[40:]]
    together = model.evaluate(
        ((part,) for part in parts), steps=2, verbose=0, return_dict=True
    )
    # Noise differs between the batches; only their weights are tested.
    model.drift_norm.reset_state()
    model.drift_norm.update_state(1.0, 40)
    model.drift_norm.update_state(3.0, 24)
    assert float(model.drift_norm.result()) == pytest.approx(1.75)
    assert np.isfinite(together["drift_norm"])


def test_labels_and_samples_make_batches_of_256_by_default():
    samples = np.zeros((600, 2), "float32")
    model = DriftModel(class_mlp(), seed=0)
    model.compile("adam")
    model.fit(samples, np.arange(600, dtype="int32") % 3, verbose=0)
    positives, _ = model.run.data[0]
    assert 256 - 3 < positives.shape[0] * positives.shape[1] <= 256


@pytest.mark.parametrize("weighted", [True, False])
def test_batches_of_arrays_are_full_and_keep_their_order(points, weighted):
    weights = np.arange(1, 65) if weighted else None
    source = data_sources.as_source(
        points, None, weights, small_mlp(), batch_size=24, shuffle=False
    )
    for (batch,), start in zip(source.x, (0, 20, 40), strict=True):
        if weighted:
            np.testing.assert_array_equal(
                batch["weights"].ravel(), np.arange(start + 1, start + 25)
            )
            batch = batch["positives"]
        # On TensorFlow a batch is one group, so that its size is known.
        np.testing.assert_array_equal(
            batch.reshape(24, 2), points[start : start + 24]
        )


def test_grouped_validation_is_the_same_in_every_epoch(classes):
    model = DriftModel(class_mlp(), seed=0)
    model.compile(zero_learning_rate())
    for validation in (
        classes,
        datasets.GroupedDataset(*classes, positives=6),
    ):
        history = model.fit(
            *classes, validation_data=validation, epochs=3, verbose=0
        ).history
        assert len(set(history["val_loss"])) == 1


DRIFTS = {
    "kernel": "kernel_drift",
    "independent": drifts.KernelDrift(self_interaction="independent"),
    "sliced": drifts.SlicedWassersteinDrift(num_projections=4),
}


@pytest.mark.parametrize("name", DRIFTS)
def test_evaluation_and_callbacks_do_not_change_training(points, name):
    watching = {
        "validation_data": points[:16],
        "callbacks": [callbacks.DriftMonitor(points[:16])],
    }
    model = DriftModel(small_mlp(), DRIFTS[name], seed=0)
    # With averages: swapping them in and out must not matter either.
    model.compile(keras.optimizers.SGD(0.1, use_ema=True))
    start = model.training_state()
    weights = []
    for options in ({}, watching):
        keras.utils.set_random_seed(0)
        model.restore_training_state(start)
        model.fit(points, batch_size=32, epochs=3, verbose=0, **options)
        weights.append(model.get_weights())
    for alone, watched in zip(*weights, strict=True):
        np.testing.assert_array_equal(alone, watched)


def test_evaluation_is_repeatable_and_changes_no_state(points):
    drift = drifts.SlicedWassersteinDrift(num_projections=4)
    model = DriftModel(small_mlp(), drift, seed=0)
    metric = metrics.SlicedWasserstein()
    fitted(model, points, compile_options={"metrics": [metric]})
    before = [numpy(v) for v in model.variables]
    first = model.evaluate(points, batch_size=24, verbose=0)
    assert first == model.evaluate(points, batch_size=24, verbose=0)
    batch = model.test_on_batch(points)
    assert batch == model.test_on_batch(points)
    metric_variables = {id(v) for v in model.metrics_variables}
    for old, variable in zip(before, model.variables, strict=True):
        if id(variable) not in metric_variables:
            np.testing.assert_array_equal(old, numpy(variable))


def test_refuses_guidance_without_negatives(classes):
    model = DriftModel(
        class_mlp(),
        num_generated=1,
        guidance_sampler=PowerLawGuidance(),
        seed=0,
    )
    model.compile("adam")
    with pytest.raises(ValueError, match="guidance would have no effect"):
        model.fit(*classes, verbose=0)


def test_positives_of_weight_zero_affect_neither_loss_nor_metric(
    points, unchanging
):
    model, start = unchanging
    logs = []
    for filling in (
        points[40:48],
        np.full((8, 2), np.nan),
        np.full((8, 2), 1e12),
    ):
        data = np.concatenate([points[:40], filling]).astype("float32")
        weights = np.r_[np.ones(40), np.zeros(8)].astype("float32")
        model.restore_training_state(start)
        logs.append(
            model.test_on_batch(data, sample_weight=weights, return_dict=True)
        )
    for other in logs[1:]:
        assert other == pytest.approx(logs[0], rel=1e-5)
        assert np.all(np.isfinite(list(other.values())))


def test_samples_of_weight_zero_count_in_no_batch(points):
    model = DriftModel(small_mlp(), seed=0)
    model.compile("adam", metrics=[metrics.SlicedWasserstein()])
    far = np.full((32, 2), 1e3, "float32")
    padded = np.concatenate([points[:32], far])
    weights = np.repeat([1.0, 0.0], 32)
    options = {"verbose": 0, "return_dict": True}
    expected = model.evaluate(
        points[:32], sample_weight=np.ones(32), batch_size=16, **options
    )
    found = model.evaluate(
        padded, sample_weight=weights, batch_size=16, **options
    )
    assert found == pytest.approx(expected, rel=1e-4)
    history = model.fit(
        padded, sample_weight=weights, batch_size=16, verbose=0
    ).history
    assert history["sliced_wasserstein"][0] < 10


@pytest.mark.parametrize(
    "cls",
    [
        metrics.SlicedWasserstein,
        metrics.FrechetDistance,
        metrics.EnergyDistance,
        metrics.NearestNeighborPrecision,
    ],
)
def test_the_metric_of_a_group_without_a_positive_is_unknown(points, cls):
    model = DriftModel(small_mlp(), seed=0)
    model.compile("adam", metrics=[cls(name="metric")])
    weights = np.ones((1, 32), "float32")

    def batches():
        for weight in (1.0, 0.0):
            yield (
                {"positives": points[None, :32], "weights": weight * weights},
            )

    found = model.evaluate(batches(), steps=2, verbose=0, return_dict=True)
    assert np.isnan(found["metric"])
    assert np.isfinite(found["loss"])


@pytest.mark.parametrize("cls", [metrics.Coverage, metrics.Density])
def test_metrics_of_neighborhoods_are_logged(cls, points):
    model = DriftModel(small_mlp(), seed=0)
    for metric in (cls(k=7), cls):
        model.compile("adam", metrics=[metric])
        history = model.fit(points, verbose=0).history
        assert 0 < history[f"{cls().name}_floor"][0] < 2


def class_model(*compiled):
    """A model of three classes that generates the law of `class_data`."""
    noise = keras.Input((2,), name="noise")
    inputs = {
        "noise": noise,
        "labels": keras.Input((), dtype="int32", name="labels"),
        "guidance": keras.Input((), name="guidance"),
    }
    generator = generators.Generator(
        inputs, keras.layers.Rescaling(1.0)(noise), 3
    )
    model = DriftModel(generator, seed=0)
    model.compile(zero_learning_rate(), metrics=list(compiled))
    return model


def class_data(*counts):
    labels = np.repeat(np.arange(len(counts)), counts)
    rng = np.random.default_rng(0)
    return rng.normal(size=(len(labels), 2)).astype("float32"), labels


@pytest.mark.parametrize(
    ("counts", "positives"),
    [
        ((8, 8, 8), 8),  # all that there are
        ((9, 60, 200), 8),  # equally many in two halves
        ((200, 200, 200), 85),  # what `fit` draws
        ((200, 3, 200), 4),  # a batch of 12 or more, with copies
    ],
)
def test_evaluation_draws_no_copies_of_small_classes(counts, positives):
    data = class_data(*counts)
    model = class_model()
    source = model._source(*data, None, fixed=True).x
    assert source.positives == positives
    assert source.groups_per_batch == 3
    assert source.draws_copies == (min(counts) < positives)
    # Training draws as many of a rare class as of others.
    assert model._source(*data, None).x.positives == 85


def test_a_perfect_generator_of_small_classes_is_at_its_floor():
    model = class_model(metrics.NearestNeighborAccuracy())
    logs = model.evaluate(*class_data(40, 8, 8), verbose=0, return_dict=True)
    found, floor = (
        logs[f"nearest_neighbor_accuracy{end}"] for end in ("", "_floor")
    )
    assert found == pytest.approx(0.5, abs=0.15)
    assert floor == pytest.approx(0.5, abs=0.15)


def test_copies_in_evaluation_are_warned_of():
    rare = class_data(40, 40, 3)
    batches = datasets.GroupedDataset(*class_data(8, 9, 20), positives=9)
    model = class_model(metrics.EnergyDistance())
    with user_line.warns("4 positives of each class, 3 samples"):
        model.evaluate(*rare, verbose=0)
    with user_line.warns("9 positives of each class, 8 samples"):
        model.evaluate(batches, verbose=0)
    with user_line.warns("9 positives of each class, 8 samples"):
        model = DriftModel(class_mlp())
        model.compile(metrics=[metrics.EnergyDistance()])
        model.fit(batches, validation_data=batches, verbose=0)
    class_model().evaluate(batches, verbose=0)  # the loss needs no halves


def test_the_floor_of_all_batches_does_not_vanish_with_their_number():
    """Halves of different batches shared samples: 0.0006 instead of 0.02."""
    samples, labels = class_data(100, 100, 100)
    model = class_model(metrics.FrechetDistance())
    floors = []
    for steps in (4, 40):
        data = datasets.GroupedDataset(
            samples, labels, positives=50, steps_per_epoch=steps
        )
        logs = model.evaluate(data, verbose=0, return_dict=True)
        floors.append(logs["frechet_distance_floor"])
    # Both have seen all samples, half of them each.
    assert floors[1] == pytest.approx(floors[0], rel=0.01)
    assert floors[0] > 0.002


def lone(self_interaction):
    drift = drifts.KernelDrift(
        normalization="dual", self_interaction=self_interaction
    )
    return DriftModel(small_mlp(), drift, num_generated=1, seed=0)


def test_warns_of_lone_samples_that_nothing_repels(points):
    model = lone("excluded")
    model.compile("sgd")
    before = model.get_weights()
    with user_line.warns(r"no negatives.*one generated"):
        model.fit(points, epochs=1, batch_size=16, verbose=0)
    for start, end in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(start, end)


def lone_and_guided():
    return DriftModel(
        class_mlp(),
        drifts.KernelDrift(normalization="dual", guidance_mode="velocity"),
        num_generated=1,
        guidance_sampler=PowerLawGuidance(2.0, 4.0),
        seed=0,
    )


@pytest.mark.parametrize("guided", [True, False])
def test_other_lone_samples_are_trained_without_a_warning(
    points, classes, guided, recwarn
):
    model = lone_and_guided() if guided else lone("independent")
    model.compile("sgd")
    before = model.generator.get_weights()
    model.fit(*(classes if guided else (points,)), batch_size=16, verbose=0)
    assert not any("no negatives" in str(each.message) for each in recwarn)
    assert not np.array_equal(before[0], model.generator.get_weights()[0])

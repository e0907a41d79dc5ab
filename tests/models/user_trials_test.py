"""Faults that trials as a user found: each was silent, or lost something."""

import pathlib

import keras
import numpy as np
import pytest
from keras import ops

import user_line
from contracts import numpy
from keras_drift import DriftModel
from keras_drift import callbacks
from keras_drift import datasets
from keras_drift import drifts
from keras_drift import generators
from keras_drift import kernels
from keras_drift import metrics
from keras_drift import schedules
from keras_drift.datasets.arrays import sample_arrays
from keras_drift.training import batches
from keras_drift.training.training_batch import TrainingBatch
from small_models import fitted
from small_models import gaussian_model
from small_models import small_mlp


def test_monitor_and_validation_of_other_ranks_do_not_disturb_each_other(
    points,
):
    model = DriftModel(small_mlp(), seed=0)
    model.compile("adam")
    history = model.fit(
        points,
        epochs=3,
        validation_data=datasets.GroupedDataset(points, positives=32),
        callbacks=[callbacks.DriftMonitor(points)],
        verbose=0,
    ).history
    assert np.all(np.isfinite(history["val_loss"]))


def test_a_model_is_traced_once_for_evaluations_around_annealing(points):
    class Counting(DriftModel):
        traces = 0

        def prepare_batch(self, data, training=True):
            Counting.traces += not training
            return super().prepare_batch(data, training)

    model = Counting(small_mlp(), seed=0)
    annealing = schedules.ExponentialAnnealing(1.0, 0.1, 0.1)
    model.compile("adam")
    model.evaluate(points, verbose=0)
    once = Counting.traces
    for _ in range(2):
        model.fit(
            points,
            verbose=0,
            callbacks=[callbacks.BandwidthAnnealing(annealing)],
        )
        model.evaluate(points, verbose=0)
    expected = 3 * once if keras.backend.backend() == "torch" else once
    assert Counting.traces == expected


def test_accumulated_gradients_see_different_batches(points):
    seen = []

    class Watching(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            seen.append(self.model.run.data[0][0])

    optimizer = keras.optimizers.Adam(gradient_accumulation_steps=4)
    model = DriftModel(small_mlp(), seed=0)
    fitted(model, points, optimizer=optimizer, epochs=3, callbacks=[Watching()])
    assert np.abs(seen[0] - seen[1]).max() > 0
    assert np.abs(seen[1] - seen[2]).max() > 0


def test_weights_may_be_zero_in_the_beginning_of_the_data(points):
    weights = np.r_[np.zeros(32), np.ones(32)].astype("float32")
    model = DriftModel(small_mlp(), seed=0)
    history = fitted(model, points, sample_weight=weights, batch_size=48)
    assert np.isfinite(history.history["loss"][0])


def test_assigned_arguments_are_checked_as_those_of_the_constructor():
    model = gaussian_model()
    for name, value in (
        ("step_size", -1.0),
        ("num_generated", 0),
        ("frozen_steps", 0),
        ("loss_weights", {"typo*": 0.5}),
        ("drift", "kernel_drif"),
    ):
        old = getattr(model, name)
        with pytest.raises((TypeError, ValueError), match=name.split("_")[0]):
            setattr(model, name, value)
        assert getattr(model, name) is old
    model.drift = "mmd_drift"
    assert isinstance(model.drift, drifts.MMDDrift)


def test_arguments_cannot_change_behind_the_back_of_compiled_code(points):
    class Change(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.model.step_size = 0.1

    model = gaussian_model()
    with pytest.raises(ValueError, match="while `fit` is running"):
        fitted(model, points, callbacks=[Change()])


@pytest.mark.parametrize("change", ["unit_rms", "loss_weights", "schedule"])
def test_changes_inside_of_arguments_are_seen(points, change):
    friction = schedules.LinearFriction(1.0, 0.5, 100)
    model = DriftModel(
        small_mlp(),
        drifts.KernelDrift(kernels.Gaussian(0.7)),
        loss_weights={"*": 1.0},
        step_size=friction,
        seed=0,
    )
    model.compile(keras.optimizers.SGD(0.0))
    before = model.evaluate(points, verbose=0)[0]
    if change == "unit_rms":
        model.drift.unit_rms = True
    elif change == "loss_weights":
        model.loss_weights["*"] = 10.0
    else:
        friction.step_size = 5.0
    assert abs(model.evaluate(points, verbose=0)[0] / before - 1) > 0.1


def test_a_schedule_of_an_evaluation_is_not_that_of_training(points):
    model = DriftModel(small_mlp(), seed=0)
    model.compile("adam")
    annealing = callbacks.BandwidthAnnealing(
        schedules.ExponentialAnnealing(1.0, 0.1, 0.1)
    )
    model.evaluate(points, verbose=0, callbacks=[annealing])
    assert "bandwidth" not in model.fit(points, verbose=0).history
    with pytest.raises(ValueError, match="more than one `BandwidthAnnealing`"):
        model.fit(points, verbose=0, callbacks=[annealing, annealing])
    assert model.run.schedule is None


def test_features_of_weight_zero_are_not_computed(points):
    inputs = keras.Input((2,))
    overflowing = keras.ops.exp(inputs * 1e6)
    backbone = keras.Model(inputs, {"good": inputs * 1.0, "bad": overflowing})
    model = DriftModel(
        small_mlp(), encoder=backbone, loss_weights={"bad": 0.0}, seed=0
    )
    history = fitted(model, points).history
    assert np.all(np.isfinite([history["loss"], history["drift_norm"]]))


def test_every_logged_metric_has_a_name_of_its_own():
    model = DriftModel(small_mlp(), seed=0)
    with pytest.raises(ValueError, match=r"'sliced_wasserstein'.*more than"):
        model.compile(metrics=[metrics.SlicedWasserstein()] * 2)
    with pytest.raises(ValueError, match="'drift_norm'"):
        model.compile(metrics=[metrics.EnergyDistance(name="drift_norm")])
    with pytest.raises(ValueError, match="argument of the same name"):
        model.compile(loss_weights=[3.0])


def test_averages_and_best_weights_are_not_mixed_without_a_word(points):
    model = DriftModel(small_mlp(), seed=0)
    model.compile(keras.optimizers.SGD(0.1, use_ema=True))
    stop = keras.callbacks.EarlyStopping("val_loss", restore_best_weights=True)
    fit = {"validation_data": points, "verbose": 0}
    with user_line.warns("SwapEMAWeights"):
        model.fit(points, callbacks=[stop], **fit)
    swap = keras.callbacks.SwapEMAWeights(swap_on_epoch=False)
    with user_line.warns("SwapEMAWeights"):
        model.fit(points, callbacks=[swap, stop], **fit)
    swap = keras.callbacks.SwapEMAWeights(swap_on_epoch=True)
    model.fit(points, callbacks=[swap, stop], **fit)


def test_positives_for_metrics_are_counted_within_their_group():
    rng = np.random.default_rng(0)
    weights = rng.integers(0, 3, (3, 8)).astype("float32")
    weights[1] *= 1000.0
    positives = np.arange(24, dtype="float32").reshape(3, 8, 1)
    batch = TrainingBatch(
        {}, ops.convert_to_tensor(positives), weights=ops.array(weights)
    )
    found = numpy(batches.counted_positives(batch)).reshape(3, 8)
    for group, row in enumerate(found):
        index = row.astype(int) - 8 * group
        assert np.all((index >= 0) & (index < 8))
        assert np.all(weights[group, index] > 0)
        counts = np.bincount(index, minlength=8)
        shares = 8 * weights[group] / weights[group].sum()
        assert np.all(np.abs(counts - shares) < 1 + 1e-6)
        # Copies of a sample do not meet on both sides of a comparison.
        both = np.intersect1d(row[0::2], row[1::2])
        assert len(both) <= 1


@pytest.mark.parametrize("weighted", [False, True])
def test_classes_have_equal_shares_in_the_halves_of_metrics(weighted):
    """The floor compares them: 31 positives were 16 and 15, then 15 and 16."""
    positives = np.repeat(np.arange(4.0), 5).reshape(4, 5, 1)
    weights = ops.ones((4, 5)) if weighted else None
    batch = TrainingBatch({}, ops.array(positives), weights=weights)
    found = numpy(batches.counted_positives(batch))[:, 0]
    for half in (found[0::2], found[1::2]):
        np.testing.assert_array_equal(half, np.repeat(np.arange(4.0), 2))
    for shape in ((1, 5, 1), (4, 1, 1)):  # no classes to tell apart, no halves
        batch = TrainingBatch({}, ops.ones(shape))
        assert batches.counted_positives(batch).shape[0] == max(shape)


def test_classes_have_equal_shares_where_sizes_are_not_known():
    if keras.backend.backend() != "tensorflow":
        pytest.skip("sizes are always known")
    import tensorflow as tf

    for shape in ((None, 5, 1), (4, None, 1), (None, None, 1)):
        count = tf.function(
            lambda x: batches.counted_positives(TrainingBatch({}, x)),
            input_signature=[tf.TensorSpec(shape)],
        )
        assert len(count(tf.ones((4, 5, 1)))) == 16
        if shape[0] is None:
            assert len(count(tf.ones((1, 5, 1)))) == 5


@pytest.mark.parametrize(
    ("largest", "scale"), [(255.0, "images / 127.5 - 1"), (1.0, "images \\* 2")]
)
def test_images_of_another_range_are_noticed(largest, scale):
    """They trained in silence, and were shown gray or white."""
    images = np.linspace(0, largest, 8 * 16, dtype="float32")
    images = images.reshape(8, 4, 4, 1)
    with user_line.warns(scale):
        datasets.GroupedDataset(images)
    with user_line.warns(f"from 0 to {largest:g}"):
        datasets.ArrayDataset(images)
    datasets.GroupedDataset(images / largest * 2 - 1)  # warns of nothing
    datasets.ArrayDataset(images.reshape(8, 16))
    datasets.ArrayDataset(images / largest * 7.6)  # no images


def unscaled(largest=255.0, shape=(8, 2, 2, 3)):
    return np.linspace(0, largest, np.prod(shape), dtype="float32").reshape(
        shape
    )


def tiny_image_model(num_classes=None):
    generator = generators.DiT(
        (2, 2, 3), num_classes, hidden_dim=8, depth=1, patch_size=2
    )
    model = DriftModel(generator)
    model.compile("adam")
    return model


class OwnBatches(keras.utils.PyDataset):
    """Batches of a user, who forgot the scale."""

    def __len__(self):
        return 2

    def __getitem__(self, index):
        return (unscaled(),)


def scale_warnings(caught):
    found = [w for w in caught if "scale them to [-1, 1]" in str(w.message)]
    # At the line of the user, not one of this library.
    assert all(warning.filename == __file__ for warning in found)
    return found


@pytest.mark.filterwarnings("always:If these samples are images")
@pytest.mark.parametrize(
    ("num_classes", "data"),
    [
        (2, (unscaled(shape=(2, 4, 2, 2, 3)), np.arange(2))),  # groups
        (2, (unscaled(), np.arange(8) % 2)),
        (None, (unscaled(),)),
        (None, (OwnBatches(),)),
        (None, (iter([(unscaled(),)] * 2),)),
    ],
    ids=["groups", "labels", "samples", "own batches", "generator"],
)
def test_every_source_warns_once_of_images_in_another_range(num_classes, data):
    model = tiny_image_model(num_classes)
    with user_line.warns("images / 127.5 - 1") as caught:
        model.fit(*data, steps_per_epoch=2, verbose=0)
    assert len(scale_warnings(caught)) == 1


@pytest.mark.filterwarnings("always:If these samples are images")
def test_a_grouped_dataset_warns_when_it_is_made(recwarn):
    model = tiny_image_model()
    data = datasets.GroupedDataset(unscaled(), positives=4)
    assert len(scale_warnings(recwarn)) == 1
    model.fit(data, verbose=0)
    model.fit(data, steps_per_epoch=1, verbose=0)
    model.evaluate(data, verbose=0)
    assert len(scale_warnings(recwarn)) == 1


@pytest.mark.filterwarnings("always:If these samples are images")
def test_a_loop_of_batches_warns_once(recwarn):
    model = tiny_image_model()
    for _ in range(3):
        model.train_on_batch(unscaled())
    model.test_on_batch(unscaled())
    assert len(scale_warnings(recwarn)) == 1
    model.train_on_batch(unscaled() / 127.5 - 1)
    other = tiny_image_model()
    other.train_on_batch(unscaled() / 127.5 - 1)
    assert len(scale_warnings(recwarn)) == 1


def test_samples_that_are_absent_are_not_looked_at():
    images = unscaled() / 127.5 - 1
    images[0] = np.nan  # of weight zero
    weights = np.ones(8, "float32")
    weights[0] = 0
    model = tiny_image_model()
    # The others are in range: nothing is warned of.
    model.train_on_batch(images, sample_weight=weights)


def test_a_folder_of_images_says_what_takes_it(tmp_path):
    image = pytest.importorskip("PIL.Image")
    (tmp_path / "cat").mkdir()
    for name in ("0.png", "1.png"):
        image.new("RGB", (8, 8)).save(tmp_path / "cat" / name)
    folder = datasets.ImageFolder(tmp_path, image_size=4)
    model = DriftModel(small_mlp())
    model.compile("adam")
    pattern = r"GroupedDataset\(\*folder.load\(\)\)"
    with pytest.raises(TypeError, match=pattern):
        model.fit(folder)
    with pytest.raises(TypeError, match=pattern):
        datasets.GroupedDataset(folder)


def test_what_keras_reads_a_folder_with_is_data(tmp_path):
    pytest.importorskip("tensorflow")
    image = pytest.importorskip("PIL.Image")
    for index in range(4):
        image.new("RGB", (8, 8)).save(tmp_path / f"{index}.png")
    data = keras.utils.image_dataset_from_directory(
        tmp_path, labels=None, image_size=(2, 2), batch_size=4, verbose=False
    )
    generator = generators.DiT((2, 2, 3), hidden_dim=8, depth=1, patch_size=2)
    model = DriftModel(generator)
    model.compile("adam")
    history = model.fit(data.map(lambda x: x / 127.5 - 1), verbose=0)
    sample_arrays.refuse_folder(data)  # which has `class_names` and `load`
    assert np.isfinite(history.history["loss"][0])


def test_classes_in_the_place_of_a_number_name_the_argument():
    with pytest.raises(TypeError, match=r"generate\(labels=\.\.\.\)"):
        DriftModel(small_mlp()).generate([3, 1, 4])


@pytest.mark.parametrize(
    "path",
    [
        *("./nope", "../nope", "~/nope", "/nope", "nope/", "a/nope", ".nope"),
        *("a\\nope", pathlib.Path("nope")),
    ],
)
def test_what_is_written_as_a_path_is_a_folder_that_is_not_there(
    path, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="There is no such folder"):
        DriftModel.from_preset(path)
    with pytest.raises(ValueError, match=r"Names: .*Did you mean 'digits_dit'"):
        DriftModel.from_preset("digit_dit")


def test_a_path_that_is_no_preset_says_so(tmp_path):
    path = tmp_path / "model.keras"
    with pytest.raises(ValueError, match=r"There is no such folder.*hf://"):
        DriftModel.from_preset(path)
    DriftModel(small_mlp()).save(path)
    with pytest.raises(ValueError, match=r"keras\.saving\.load_model"):
        DriftModel.from_preset(path)

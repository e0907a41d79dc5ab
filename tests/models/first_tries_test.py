import keras
import numpy as np
import pytest

from contracts import numpy
from keras_drift import DriftModel
from keras_drift import PowerLawGuidance
from keras_drift import callbacks
from keras_drift import datasets
from keras_drift import drifts
from small_models import class_mlp
from small_models import fitted
from small_models import loss_of
from small_models import prepared
from small_models import small_mlp


def test_accepts_lists(points, classes):
    model = DriftModel(small_mlp(), seed=0)
    assert np.isfinite(fitted(model, points.tolist()).history["loss"][0])
    samples, labels = classes
    model = DriftModel(class_mlp(), seed=0)
    history = fitted(model, samples.tolist(), labels.tolist())
    assert np.isfinite(history.history["loss"][0])
    grouped = samples.reshape(20, 3, 2).swapaxes(0, 1)
    model.fit(grouped, [0, 1, 2], batch_size=3, verbose=0)


def test_every_fit_uses_other_batches(classes):
    seen = []

    class Watching(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            data = self.model.run.data
            seen.append(data[0][0])

    model = DriftModel(class_mlp(), seed=0)
    model.compile(keras.optimizers.SGD(0.0))
    for _ in range(2):
        model.fit(*classes, verbose=0, callbacks=[Watching()])
    assert np.abs(seen[0] - seen[1]).max() > 0


def test_batches_are_always_full(points):
    sizes = []

    class Watching(DriftModel):
        def prepare_batch(self, data, training=True):
            batch = super().prepare_batch(data, training)
            sizes.append(tuple(batch.positives.shape[1:]))
            return batch

    model = Watching(small_mlp(), seed=0)
    fitted(model, points, batch_size=24)
    assert set(sizes) == {(24, 2)}


def test_bandwidth_of_a_schedule_is_bounded_below(points):
    model = DriftModel(small_mlp(), seed=0)
    schedule = keras.optimizers.schedules.CosineDecay(1.0, 2)
    fitted(
        model,
        points,
        epochs=3,
        callbacks=[callbacks.BandwidthAnnealing(schedule)],
    )
    assert numpy(model.drift.bandwidth) == pytest.approx(1e-6)


def test_guidance_is_not_rounded_in_mixed_precision():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = DriftModel(
            class_mlp(), guidance_sampler=PowerLawGuidance(), seed=0
        )
        inputs = model.generator.sample_inputs(1, [0], 1.3001, seed=0)
        seen = {}
        model.generator.call = lambda x, training=None: seen.update(x) or x
        model.call(inputs)
    finally:
        keras.config.set_dtype_policy("float32")
    assert float(seen["guidance"][0]) == pytest.approx(1.3001, abs=1e-6)


def test_losses_of_layers_are_added(points):
    model = DriftModel(small_mlp(), seed=0)
    model.compile("adam")
    batch = prepared(model, points)
    plain = loss_of(model, batch)
    layer = model.generator.layers[1]
    layer.kernel_regularizer = keras.regularizers.L2(1.0)
    layer.kernel.regularizer = layer.kernel_regularizer
    more = loss_of(model, batch)
    penalty = float(np.sum(numpy(layer.kernel) ** 2))
    assert more - plain == pytest.approx(penalty, rel=1e-3)


def test_refuses_common_mistakes(points, classes):
    model = DriftModel(small_mlp(), seed=0)
    model.compile("adam")
    with pytest.raises(ValueError, match=r"floating-point.*uint8"):
        model.fit(points.astype("uint8"), verbose=0)
    with pytest.raises(ValueError, match="has no classes"):
        model.fit(datasets.GroupedDataset(points, unconditional=4), verbose=0)
    with pytest.raises(ValueError, match="`batch_size`"):
        model.fit(points, batch_size=0, verbose=0)
    with pytest.raises(ValueError, match="weights that are all zero"):
        model.fit(points, sample_weight=np.zeros(64), verbose=0)
    model = DriftModel(class_mlp(), seed=0)
    with pytest.raises(ValueError, match=r"also takes \['guidance', 'labels'"):
        model(np.zeros((3, 8), "float32"))
    with pytest.raises(ValueError, match="`n`"):
        model.generate(labels=[])


class FlatDrift(drifts.VelocityDrift):
    """A drift that does not list its bandwidths."""

    def velocities(self, x, positives, negatives, length_scale):
        return x


def test_refuses_a_drift_that_lists_no_bandwidths(points):
    with pytest.raises(ValueError, match=r"`\[velocity\]`(.|\n)*FlatDrift"):
        FlatDrift()(points, points)

"""Monitoring of training on held-out data."""

import keras
import numpy as np
from keras import ops

from keras_drift import checks
from keras_drift import user_warnings
from keras_drift.callbacks.attach import require_drift_model
from keras_drift.metrics import nearest_neighbor_precision
from keras_drift.metrics import nearest_neighbor_recall
from keras_drift.metrics import sliced_wasserstein
from keras_drift.metrics.encoded_metric import checked_encoder
from keras_drift.metrics.encoded_metric import encode

# Samples that are encoded at once.
_BATCH_SIZE = 256

# Drift collapse: the norm is below this fraction of its maximum, while the
# distance is above that fraction of its value at the same epoch.
_NORM_HAS_FALLEN = 0.1
_DISTANCE_HAS_NOT = 0.8

# What it reports, apart from the floors; all improve as they fall.
REPORTED = (
    "monitor_drift_norm",
    "monitor_distance",
    "monitor_precision",
    "monitor_recall",
)


class DriftMonitor(keras.callbacks.Callback):
    """Reports how far generated samples are from held-out data.

    The loss of a drifting model is flat by construction where fields are scaled
    to unit RMS. This callback adds to the logs of an epoch

    - `monitor_drift_norm`, the raw norm of the drift toward held-out data,
    - `monitor_distance`, the sliced Wasserstein distance of generated samples
      to held-out data, as many of each,
    - `monitor_precision`, the mean distance of generated samples to their
      nearest neighbors in the data, which detects blur, and `monitor_recall`,
      that of the data to generated samples, which detects missing modes, and
    - `monitor_floor`, `monitor_precision_floor` and `monitor_recall_floor`, the
      same between two halves of the held-out data: those of a perfect model.

    With `use_ema=True` the averaged weights are evaluated. Training is not
    affected. Epochs without a report repeat the last one, so that a `patience`
    counts all epochs.

    `EarlyStopping`, `ModelCheckpoint` and `ReduceLROnPlateau` after it can
    monitor what it reports, without a `mode`: lower is better.

    It warns of drift collapse: the norm has fallen while the distance has not,
    so the field vanishes although the samples are far from the data.

    Args:
        samples: float array `(n, *sample_shape)`, held-out data, at least 4;
            a few hundred to a few thousand are recommended.
        labels: ints `(n,)`, for a generator with classes.
        every: int >= 1, epochs between reports; the first epoch always has
            one. Defaults to `1`.
        num_projections: int >= 1, random projections of the distance. Defaults
            to `128`.
        seed: int, the seed of the noise and of the halves. Defaults to `0`.
        encoder: callable from samples `(n, *sample_shape)` to features `(n,
            ...)`, such as a Keras model, in whose features all distances are
            measured. Defaults to `None`: those of the samples themselves.

    Example:

    ```python
    monitor = kd.callbacks.DriftMonitor(held_out, held_out_labels)
    history = model.fit(batches, epochs=20, callbacks=[monitor])
    history.history["monitor_distance"][-1]
    ```
    """

    def __init__(
        self,
        samples,
        labels=None,
        every=1,
        num_projections=128,
        seed=0,
        encoder=None,
    ):
        super().__init__()
        self.samples = _as_array(samples)
        self.labels = None if labels is None else np.asarray(labels)
        if len(self.samples) < 4 or not np.all(np.isfinite(self.samples)):
            raise ValueError(
                "`samples` needs at least 4 held-out samples, all finite. "
                f"Received: samples of shape {self.samples.shape}"
            )
        if labels is not None and len(self.labels) != len(self.samples):
            raise ValueError(
                "Every held-out sample needs its label. Received: "
                f"{len(self.samples)} samples, {len(self.labels)} labels"
            )
        self.every = checks.positive_integer("every", every)
        self.num_projections = checks.positive_integer(
            "num_projections", num_projections
        )
        self.seed = checks.non_negative_integer("seed", seed)
        self.encoder = checked_encoder(encoder)
        # Two random halves, compared with as many generated samples.
        half = len(self.samples) // 2
        order = np.random.default_rng(seed).permutation(len(self.samples))
        self._first, self._second = order[:half], order[half : 2 * half]

    def set_model(self, model):
        require_drift_model(self, model)
        shape = model.generator.sample_shape
        if self.samples.shape[1:] != shape:
            raise ValueError(
                "The held-out samples must have the shape of the generated "
                f"ones, {shape}. Received: {self.samples.shape[1:]}"
            )
        if (self.labels is None) != (model.generator.num_classes is None):
            raise ValueError(
                "Held-out labels go with a generator with classes. Received: "
                f"labels={'none' if self.labels is None else 'given'}, "
                f"num_classes={model.generator.num_classes}"
            )
        super().set_model(model)

    def on_train_begin(self, logs=None):
        self._real = self._encoded(self.samples[self._first])
        found = self._distances_of(self.samples[self._second])
        self._floors = {
            "monitor_floor": found["monitor_distance"],
            "monitor_precision_floor": found["monitor_precision"],
            "monitor_recall_floor": found["monitor_recall"],
        }
        self._highest = self._last = None
        self._warned = False

    def on_epoch_end(self, epoch, logs=None):
        # In the first epoch `CSVLogger` fixes its columns. Between reports, NaN
        # would be the best value for ever of a callback that monitors one.
        reports = self._last is None or (epoch + 1) % self.every == 0
        if reports:
            with self.model.averaged_weights():
                norm = {"monitor_drift_norm": self._norm()}
                distances = self._distances_of(self._generated())
                self._last = {**norm, **distances}
        if logs is not None:
            logs.update(self._last, **self._floors)
        if reports:
            self._watch(
                epoch,
                self._last["monitor_drift_norm"],
                self._last["monitor_distance"],
                self._floors["monitor_floor"],
            )

    def get_state(self):
        """The highest norm and the last report, for a resumed run."""
        return {
            "highest": self._highest,
            "warned": self._warned,
            "last": self._last,
        }

    def set_state(self, state):
        """Goes on from what `get_state` returned."""
        self._highest, self._warned = state["highest"], state["warned"]
        self._last = state.get("last")  # not in older checkpoints

    def _generated(self):
        labels = None if self.labels is None else self.labels[self._first]
        return self.model.generate(len(self._first), labels, seed=self.seed)

    def _distances_of(self, samples):
        """Distances to the first half of the held-out samples."""
        x, y = self._encoded(samples), self._real
        return {
            "monitor_distance": float(
                sliced_wasserstein(x, y, self.num_projections)
            ),
            "monitor_precision": float(nearest_neighbor_precision(x, y)),
            "monitor_recall": float(nearest_neighbor_recall(x, y)),
        }

    def _encoded(self, samples):
        """Features of samples, as a tensor."""
        if self.encoder is None:
            return ops.convert_to_tensor(samples)
        parts = [
            encode(self.encoder, samples[i : i + _BATCH_SIZE])
            for i in range(0, len(samples), _BATCH_SIZE)
        ]
        return ops.concatenate(parts)

    def _norm(self):
        # In one batch if there are no classes: the norm depends on the number
        # of samples.
        size = len(self.samples) if self.labels is None else None
        logs = self.model.evaluate(
            self.samples, self.labels, size, verbose=0, return_dict=True
        )
        return float(logs["drift_norm"])

    def _watch(self, epoch, norm, distance, floor):
        if self._highest is None or norm > self._highest[0]:
            self._highest = (norm, distance)
        highest, distance_then = self._highest
        collapsed = (
            norm < _NORM_HAS_FALLEN * highest
            and distance > _DISTANCE_HAS_NOT * distance_then
            and distance > 2 * floor
        )
        if collapsed and not self._warned:
            self._warned = True
            user_warnings.warn(
                f"Drift collapse at epoch {epoch + 1}: the drift norm has "
                f"fallen from {highest:.3g} to {norm:.3g}, but the distance of "
                f"the samples to held-out data is still {distance:.3g} "
                f"({distance_then:.3g} before; the floor is {floor:.3g}). "
                "The field has vanished before the samples reached the data. "
                "Train with `stop_gradient=True`, or with a wider bandwidth."
            )


def _as_array(samples):
    """Held-out samples as a float32 array."""
    checks.no_masked_entries("samples", samples)
    try:
        array = np.asarray(samples, "float32")
    except (TypeError, ValueError):
        array = None
    if array is None or array.ndim == 0:
        raise TypeError(
            "`samples` is an array of held-out data, `(n, *sample_shape)`. "
            f"Received: samples of type {type(samples).__name__}"
        )
    return array

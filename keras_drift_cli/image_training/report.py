"""Reports of training: is it learning?"""

import time

import keras
import numpy as np

import keras_drift as kd
from keras_drift import backend
from keras_drift.batched import Batched

_DIM = 64  # of the projected features: enough to see, cheap to compare
_BATCH = 64

EXPLANATION = """\
How to read the report. The loss is flat by construction: every field is scaled
to one length, so the loss says how many features there are, not how far the
samples are. Look at
  drift_norm  how far the drift wants to move samples, in units of the features.
              It ends at the sampling noise of a batch. Near zero, or growing
              without end, the run has failed; else it does not say how good the
              samples are;
  frechet     the distance of generated samples to held-out data, in features of
              the encoder. It falls toward `floor`, the distance of real data to
              other real data. While it falls, training helps; level far above
              the floor, the network or the features are too small, or the
              bandwidths do not fit; rising, the learning rate is too high.
The pictures in `grids` show what the numbers do not."""


class Features:
    """A short vector of features of each sample.

    The means of all features of the encoder over their tokens, projected at
    random to 64 numbers.

    Args:
        encoder: `encoders.Encoder`.
        sample_shape: tuple of ints.
    """

    def __init__(self, encoder, sample_shape):
        samples = keras.Input(sample_shape, name="samples")
        features = sorted(encoder(samples).items())
        means = [keras.ops.mean(feature, axis=1) for _, feature in features]
        vectors = keras.ops.concatenate(means, axis=-1)
        network = keras.Model({"samples": samples}, vectors)
        # Not `predict`, which several processes of JAX cannot call.
        self._program = Batched(network, backend.compiled)
        rng = np.random.default_rng(0)
        shape = (vectors.shape[-1], _DIM)
        self._matrix = rng.normal(size=shape) / np.sqrt(shape[0])

    def __call__(self, samples):
        samples = np.asarray(samples, "float32")
        return self._program({"samples": samples}, _BATCH) @ self._matrix


def frechet(x, y):
    """Fréchet distance of two sets of vectors, a float."""
    return float(kd.metrics.frechet_distance(x, y))


class Report(keras.callbacks.Callback):
    """Prints a line after every epoch, and adds it to `metrics.jsonl`.

    All processes of a run compute it, and the first one writes it.

    Args:
        run: `RunDirectory`.
        samples: float array, held-out data (latents, where those are trained).
        labels: ints.
        seed: int, of the noise.
    """

    def __init__(self, run, samples, labels, seed=0):
        super().__init__()
        self.run = run
        half = len(samples) // 2
        self.samples, self.labels = samples[: 2 * half], labels[: 2 * half]
        self.seed = seed

    def on_train_begin(self, logs=None):
        self._began = None
        self._features = Features(
            self.model.encoder, self.model.generator.sample_shape
        )
        half = len(self.samples) // 2
        vectors = self._features(self.samples)
        self._real, other = vectors[:half], vectors[half:]
        self.floor = frechet(self._real, other)
        print(EXPLANATION, flush=True)
        with self.model.averaged_weights():
            self.start = self._distance()
        print(
            f"Before {self._next_step()}: frechet {self.start:.4g}, floor "
            f"{self.floor:.4g}",
            flush=True,
        )

    def on_epoch_begin(self, epoch, logs=None):
        if self._began is None:
            step = epoch * self.params["steps"]
            self.run.continue_log("generator", step)
        self._began = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        seconds = time.perf_counter() - self._began
        with self.model.averaged_weights():
            distance = self._distance()
        steps = self.params["steps"]
        numbers = {
            "epoch": epoch + 1,
            "step": (epoch + 1) * steps,
            "loss": float(logs["loss"]),
            "drift_norm": float(logs["drift_norm"]),
            "frechet": distance,
            "floor": self.floor,
            "seconds_per_step": seconds / steps,
        }
        self.run.log(stage="generator", **numbers)
        left = (self.params["epochs"] - epoch - 1) * seconds
        print(
            f"\nstep {numbers['step']}: drift_norm {numbers['drift_norm']:.4g},"
            f" frechet {distance:.4g} (floor {self.floor:.4g}), about "
            f"{left / 60:.0f} minutes left",
            flush=True,
        )

    def _next_step(self):
        done = int(backend.host_value(self.model.optimizer.iterations))
        return (
            f"step {done + 1}, where it goes on" if done else "the first step"
        )

    def _distance(self):
        # As many samples as in the half that they are compared with, of the
        # same classes.
        half = len(self.samples) // 2
        options = {}
        if self.model.autoencoder is not None:
            options["decode"] = False
        found = self.model.generate(
            labels=self.labels[:half], seed=self.seed, **options
        )
        return frechet(self._features(found), self._real)

"""Mixin of `DriftModel` with generation and export."""

from keras_drift import backend
from keras_drift import checks
from keras_drift.batched import Batched
from keras_drift.models import arguments
from keras_drift.training.power_law_guidance import check_scales


class ModelSampling:
    """Mixin of `DriftModel`: generates samples, exports the generator."""

    _sampler = None

    def generate(
        self, n=None, labels=None, guidance=1.0, seed=None, batch_size=256
    ):
        """Generates samples: one compiled forward pass for each batch.

        Args:
            n: int >= 1, number of samples. Defaults to `None`: one for each
                label.
            labels: the class of each sample: ints `(n,)`, or one int for all.
                Defaults to `None`: the classes in order, cyclically.
            guidance: float >= 1, the guidance scale, or one for each sample,
                among the scales the model was trained for. Defaults to `1.0`.
            seed: int. The same seed gives the same noise on every backend, and
                the first samples do not depend on `n`. Defaults to `None`:
                random.
            batch_size: int >= 1, the maximum number of samples in one forward
                pass. Defaults to `256`.

        Returns:
            NumPy array `(n, *sample_shape)`, float32.
        """
        n = arguments.number_of_samples(n, labels)
        checks.positive_integer("batch_size", batch_size)
        check_scales(guidance, self.guidance_sampler)
        inputs = self.generator.sample_inputs(n, labels, guidance, seed)
        backend.sync(self)
        if self._sampler is None or not self._sampler.serves(self.generator):
            self._sampler = Batched(self.generator, backend.compiled)
        return self._sampler(inputs, batch_size)

    def export(self, filepath, **kwargs):
        """Exports the generator for inference.

        The artifact maps the inputs of the generator to samples.

        Args:
            filepath: path of the artifact.
            **kwargs: passed to `keras.Model.export`.
        """
        return self.generator.export(filepath, **kwargs)

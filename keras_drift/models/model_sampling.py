"""Mixin of `DriftModel` with generation and export."""

import numpy as np

from keras_drift import backend
from keras_drift import checks
from keras_drift import user_warnings
from keras_drift.batched import Batched
from keras_drift.generators import Generator
from keras_drift.models import arguments
from keras_drift.training.power_law_guidance import check_scales


class ModelSampling:
    """Mixin of `DriftModel`: generates samples, decodes and exports them."""

    _sampler = None
    # An autoencoder with fresh weights, and the first of them; or `None`.
    _fresh = None

    def __setattr__(self, name, value):
        if name != "autoencoder":
            super().__setattr__(name, value)
            return
        # Saved with the model, but not one of its layers: its weights stay
        # out of training steps and of the state of a run.
        value = arguments.checked_autoencoder(self.generator, value)
        object.__setattr__(self, name, value)

    def remember_fresh_autoencoder(self):
        """Remembers that the autoencoder was made from its config alone."""
        variables = getattr(self.autoencoder, "variables", None)
        if variables:
            first = backend.host_value(variables[0])
            object.__setattr__(self, "_fresh", (self.autoencoder, first))

    def _warn_of_fresh_autoencoder(self):
        """Warns once if the autoencoder has the weights of its creation."""
        autoencoder, first = self._fresh or (None, None)
        self._fresh = None
        if autoencoder is None or autoencoder is not self.autoencoder:
            return
        if np.array_equal(backend.host_value(autoencoder.variables[0]), first):
            user_warnings.warn(
                "The autoencoder of this model has fresh weights, so decoded "
                "samples are noise: `from_config` made it, and `set_weights` "
                "sets the weights of generator, drift and encoder. Assign "
                "`model.autoencoder = original.autoencoder`, or load the model "
                "from a file or preset. Received: "
                f"autoencoder={autoencoder!r}"
            )

    @property
    def image_shape(self):
        """The shape of a sample that `generate` returns, decoded."""
        shape = self.generator.sample_shape
        if self.autoencoder is None:
            return shape
        return self.autoencoder.image_shape(shape)

    def generate(
        self,
        n=None,
        labels=None,
        guidance=1.0,
        seed=None,
        batch_size=256,
        decode=True,
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
                pass. Decoding takes at most the `batch_size` of the
                autoencoder. Defaults to `256`.
            decode: bool, whether an autoencoder decodes the samples to images.
                Defaults to `True`.

        Returns:
            NumPy array `(n, *sample_shape)`, float32; or `(n, *image_shape)`,
            decoded.
        """
        n = arguments.number_of_samples(n, labels)
        checks.positive_integer("batch_size", batch_size)
        arguments.checked_seed(seed)
        check_scales(guidance, self.guidance_sampler)
        decoder = self.autoencoder if checks.boolean("decode", decode) else None
        if decoder is not None:
            decoder.require()
            self._warn_of_fresh_autoencoder()
        inputs = self.generator.sample_inputs(n, labels, guidance, seed)
        backend.sync(self)
        if self._sampler is None or not self._sampler.serves(self.generator):
            self._sampler = Batched(self.generator, backend.compiled)
        samples = self._sampler(inputs, batch_size)
        if decoder is None:
            return samples
        return decoder.decode(samples, min(batch_size, decoder.batch_size))

    def export(self, filepath, format=None, decode=True, **kwargs):
        """Exports the generator, and the decoder behind it, for inference.

        The artifact maps the inputs of the generator, noise included, to what
        `generate` returns, without Python code of this library. Formats,
        backends and options are those of `Generator.export`.

        Args:
            filepath: path of the artifact: `"*.onnx"` for ONNX Runtime and
                browsers, `"*.xml"` for OpenVINO, `"*.tflite"` for LiteRT,
                `"*.pt2"` for PyTorch, a folder for TensorFlow.
            format: str, as in `Generator.export`. Defaults to `None`: that
                which the ending of the path names.
            decode: bool, as in `generate`. Defaults to `True`.
            **kwargs: passed to `Generator.export`.

        Example:

        The digits of `model.generate(labels=[3, 1, 4], seed=0)`, by ONNX
        Runtime:

        ```python
        model = keras_drift.DriftModel.from_preset("digits_dit")
        model.export("digits.onnx")

        session = onnxruntime.InferenceSession("digits.onnx")
        inputs = model.generator.sample_inputs(3, labels=[3, 1, 4], seed=0)
        images = session.run(["samples"], inputs)[0]
        ```
        """
        network = self.generator
        if checks.boolean("decode", decode) and self.autoencoder is not None:
            self.autoencoder.require()
            self._warn_of_fresh_autoencoder()
            network = Generator(
                network.input,
                self.autoencoder.call_decoder(network.output),
                network.num_classes,
                network.style_codebook_size,
            )
        network.export(filepath, format, **kwargs)

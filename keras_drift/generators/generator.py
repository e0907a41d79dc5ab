"""The base class of all generators."""

import keras
import numpy as np
from keras import ops

from keras_drift import checks
from keras_drift import export
from keras_drift.own_arguments import RecordsArguments
from keras_drift.own_arguments import own_arguments
from keras_drift.own_arguments import taken_arguments
from keras_drift.presets import PresetMixin


@keras.saving.register_keras_serializable("keras_drift")
class Generator(RecordsArguments, PresetMixin, keras.Model):
    """Base class of one-step generators: noise and condition to sample.

    Its input is a dict: `"noise"`, Gaussian, `(batch, *noise_shape)`; with
    style tokens `"styles"`, int32 codes `(batch, num_style_tokens)`; with
    classes `"labels"`, int32 `(batch,)`, and `"guidance"`, float32 `(batch,)`,
    the strength of the condition (1 is plain). `sample_inputs` makes one.

    Subclasses build a functional graph from `condition_inputs` and hand it to
    this class. Their plain arguments are saved; those with others write
    `get_config`, with `base_config()` for `name`, `trainable` and `dtype`. A
    generator of this class itself is saved with its graph.

    Args:
        inputs: dict of symbolic inputs.
        outputs: symbolic samples, `(batch, *sample_shape)`.
        num_classes: int or `None`, without classes.
        style_codebook_size: int, how many values a style code has. Defaults
            to `0`.
        name: str or `None`, as for `keras.Model`.
        trainable: bool, as for `keras.Model`.
    """

    # Arguments of this constructor that the config of a subclass lacks.
    _of_graph = ("inputs", "outputs", "num_classes", "style_codebook_size")

    def __init__(
        self,
        inputs,
        outputs,
        num_classes,
        style_codebook_size=0,
        name=None,
        trainable=True,
    ):
        # No `**kwargs`: functional models drop those that they do not know.
        super().__init__(inputs=inputs, outputs=outputs, name=name)
        if not trainable:  # as an argument, Keras would freeze no layer
            self.trainable = False
        self.num_classes = num_classes
        self.style_codebook_size = style_codebook_size
        self.noise_shape = tuple(inputs["noise"].shape[1:])
        self.sample_shape = tuple(outputs.shape[1:])
        self.input_keys = tuple(sorted(inputs))

    def sample_noise(self, batch_size, seed=None):
        """Draws the random inputs.

        Args:
            batch_size: int >= 1.
            seed: int >= 0: drawn on the host, so the same on every backend, and
                the first samples do not depend on how many follow. A
                `keras.random.SeedGenerator`: drawn on the device, also inside
                compiled code, and different at each call. `None`: an int picked
                at random. Defaults to `None`.

        Returns:
            A dict: `"noise"`, and `"styles"` where the generator has them.
        """
        if not isinstance(seed, keras.random.SeedGenerator):
            checks.positive_integer("batch_size", batch_size)
            return self._host_noise(batch_size, seed)
        shape = (batch_size, *self.noise_shape)
        noise = {
            "noise": keras.random.normal(shape, dtype="float32", seed=seed)
        }
        if "styles" in self.input_keys:
            noise["styles"] = keras.random.randint(
                (batch_size, self._num_styles),
                0,
                self.style_codebook_size,
                seed=seed,
            )
        return noise

    def sample_inputs(self, batch_size, labels=None, guidance=1.0, seed=None):
        """Draws noise, and adds the condition.

        Args:
            batch_size: int >= 1.
            labels: int, or ints `(batch_size,)`, in `[0, num_classes)`.
                Defaults to `None`: one class after the other, cyclically.
            guidance: float, or floats `(batch_size,)`, the strength of the
                condition; without classes it has no effect. Defaults to `1.0`.
            seed: as in `sample_noise`.

        Returns:
            The dict that the generator takes.
        """
        inputs = self.sample_noise(batch_size, seed)
        if self.num_classes is None:
            if labels is not None:
                self.check_labels(labels)
            return inputs
        if labels is None:
            labels = np.arange(batch_size) % self.num_classes
        labels = self.check_labels(labels)
        guidance = np.asarray(guidance, "float32")
        inputs["labels"] = _one_each("labels", labels, batch_size)
        guidance = _one_each("guidance", guidance, batch_size)
        if "guidance" in self.input_keys:
            inputs["guidance"] = guidance
        if isinstance(seed, keras.random.SeedGenerator):
            # Keras does not take arrays and tensors together.
            return keras.tree.map_structure(ops.convert_to_tensor, inputs)
        return inputs

    def check_labels(self, labels):
        """Returns `labels` as int32, which must name classes."""
        if self.num_classes is None:
            raise ValueError(
                "This generator has no classes: give it `num_classes`, or "
                f"leave out `labels`. Received: labels={labels!r}"
            )
        array = np.asarray(labels)
        if array.dtype.kind not in "iu":
            raise ValueError(
                "`labels` are class numbers, integers from 0 to "
                f"{self.num_classes - 1}. Received: labels of type "
                f"{array.dtype}, {_excerpt(array)}"
            )
        wrong = (array < 0) | (array >= self.num_classes)
        if np.any(wrong):
            raise ValueError(
                f"`labels` are class numbers from 0 to {self.num_classes - 1}. "
                f"Received: {_excerpt(array[wrong])}"
            )
        return array.astype("int32")

    def export(self, filepath, format=None, **kwargs):
        """Exports the network to another runtime, independent of this library.

        The artifact takes the dict that `sample_inputs` returns, noise
        included, in batches of any size, and returns the samples.

        Formats, and the backends that write them:

        | `format` | path | runtime | backends |
        |---|---|---|---|
        | `"onnx"` | `*.onnx` | ONNX Runtime, browsers | all |
        | `"openvino"` | `*.xml` | OpenVINO | all |
        | `"tf_saved_model"` | a folder | TensorFlow | JAX, TensorFlow |
        | `"litert"` | `*.tflite` | LiteRT | TensorFlow |
        | `"torch"` | `*.pt2` | PyTorch | PyTorch |

        They need `pip install "keras-drift[export-jax]"`, or with the name of
        another backend. A preset saved on one backend loads on every other, and
        can be exported there. After `generator.quantize("int8")` dense layers
        are exported in 8 bits: from JAX in every format, from TensorFlow in all
        but `"litert"`, from PyTorch in `"torch"`.

        Args:
            filepath: path of the file or folder to write, atomically. An
                artifact of the same format is replaced.
            format: str, one of the above. Defaults to `None`: that which the
                ending of the path names; no ending, a SavedModel.
            **kwargs: `verbose=False`, to print nothing; `opset_version`, an
                int, for `"onnx"` and `"openvino"`; what
                `keras.Model.export` takes for the other formats.

        Raises:
            ValueError: if the running backend cannot write the format, or the
                network computes in another precision than it takes.
            OSError: if the folder cannot be written to, before the network is
                converted.

        Example:

        >>> import keras_drift as kd
        >>> generator = kd.generators.MLP(2, hidden_dims=(8,))
        >>> generator.export("/tmp/points.onnx")  # doctest: +SKIP
        Exported as 'onnx': /tmp/points.onnx
          takes noise (batch, 2) float32
          returns samples (batch, 2) float32
        """
        export.write(self, filepath, format, **kwargs)

    def base_config(self):
        """The entries of the config of every generator that makes its layers.

        Of `name`, `trainable` and `dtype`, those that the constructor takes. A
        generator is frozen or trained as a whole: the `trainable` of single
        layers is not part of its config. Set it again after loading.
        """
        common = {
            "name": self.name,
            "trainable": self.trainable,
            "dtype": _policy_config(self.dtype_policy),
        }
        taken = taken_arguments(type(self))
        common = {key: common[key] for key in common if key in taken}
        return {**common, **own_arguments(self)}

    def get_config(self):
        """The arguments of a subclass; of this class, the graph itself."""
        if type(self).__init__ is not Generator.__init__:
            return self.base_config()
        network = keras.Model(self.input, self.output, name=self.name)
        return {
            "network": keras.saving.serialize_keras_object(network),
            "num_classes": self.num_classes,
            "style_codebook_size": self.style_codebook_size,
            "name": self.name,
            "trainable": self.trainable,
        }

    def preset_config(self):
        """The config of a preset, which follows the global dtype policy."""
        config = super().preset_config()
        if "dtype" in config["config"]:
            config["config"]["dtype"] = None
        return config

    @property
    def _num_styles(self):
        return self.input["styles"].shape[1]

    def _host_noise(self, batch_size, seed):
        if seed is None:
            seed = np.random.randint(2**31)
        checks.non_negative_integer(
            "seed",
            seed,
            "is a non-negative integer, a `SeedGenerator` or `None`",
        )
        # A stream each, so that no array's size shifts the other's values.
        noise_seed, style_seed = np.random.SeedSequence(seed).spawn(2)
        noise = np.random.default_rng(noise_seed).standard_normal(
            (batch_size, *self.noise_shape), "float32"
        )
        inputs = {"noise": noise}
        if "styles" in self.input_keys:
            inputs["styles"] = np.random.default_rng(style_seed).integers(
                self.style_codebook_size,
                size=(batch_size, self._num_styles),
                dtype="int32",
            )
        return inputs

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """Makes the generator that `get_config` describes."""
        if cls.__init__ is not Generator.__init__:
            return cls(**config)  # plain data
        config = {**config}
        network = keras.saving.deserialize_keras_object(
            config.pop("network"), custom_objects
        )
        return cls(network.input, network.output, **config)


def _policy_config(policy):
    """The name of a dtype policy; the config of one with more than a name."""
    if type(policy) is keras.DTypePolicy:
        return policy.name
    return keras.dtype_policies.serialize(policy)


def condition_inputs(num_classes=None, num_style_tokens=0):
    """Symbolic inputs of all that a generator may be conditioned on."""
    inputs = {}
    if num_classes is not None:
        checks.positive_integer("num_classes", num_classes)
        inputs["labels"] = keras.Input((), dtype="int32", name="labels")
        inputs["guidance"] = keras.Input((), dtype="float32", name="guidance")
    checks.non_negative_integer("num_style_tokens", num_style_tokens)
    if num_style_tokens:
        inputs["styles"] = keras.Input(
            (num_style_tokens,), dtype="int32", name="styles"
        )
    return inputs


def _one_each(name, values, batch_size):
    """One value for all samples, or for each, as `(batch_size,)`."""
    if values.shape not in {(), (1,), (batch_size,)}:
        raise ValueError(
            f"`{name}` is one value for all samples or one for each. Received: "
            f"{name} of shape {values.shape}, batch_size={batch_size}"
        )
    return np.broadcast_to(values, (batch_size,))


def _excerpt(array):
    shown = ", ".join(map(str, array.ravel()[:5].tolist()))
    return f"labels={shown}{', ...' if array.size > 5 else ''}"

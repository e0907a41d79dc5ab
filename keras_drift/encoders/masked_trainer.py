"""Mixin with the training interface of Keras, for masked autoencoders."""

import numpy as np
from keras import ops

from keras_drift import backend
from keras_drift import seed_states
from keras_drift.compile_config import PortableCompileConfig

# What a batch may hold; the last is for the batches that a step prepares.
_KEYS = {"images", "hidden", "classifier_weight"}


class MaskedTrainer(PortableCompileConfig, backend.TrainerGuard):
    """Mixin for `MaskedAutoencoder` with `compile`, `fit` and `evaluate`.

    It checks labels, routes the compiled metrics, and wraps Keras' own loops
    such that evaluation does not change the model and exceptions do not lose
    weights.
    """

    def compile(self, optimizer="adam", **kwargs):
        """Configures training; takes what `keras.Model.compile` takes.

        Args:
            optimizer: a Keras optimizer, its name or its config. Defaults to
                `"adam"`.
            **kwargs: passed to `keras.Model.compile`. `metrics` compare labels
                and logits, or images and reconstructions where there are no
                classes. `loss` is refused: a masked autoencoder has its own.
        """
        if kwargs.get("loss") is not None:
            raise ValueError(
                "The loss of a masked autoencoder is the reconstruction of "
                "what was hidden; add a classifier by `num_classes` and "
                f"`classifier_weight`. Received: loss={kwargs['loss']!r}"
            )
        super().compile(optimizer=optimizer, **kwargs)
        # Builds the metrics here: Keras would compare the labels with all
        # outputs.
        side = self.mask_patch_size
        images = ops.zeros((2, side, side, self.encoder.image_channels))
        outputs = {"reconstruction": images}
        if self.num_classes is not None:
            outputs["logits"] = ops.zeros((2, self.num_classes))
        self.compute_metrics(images, ops.zeros((2,), "int32"), outputs)
        self.reset_metrics()

    def fit(self, x=None, y=None, *args, **kwargs):
        """Trains the model; takes what `keras.Model.fit` takes.

        After an exception the model has the state of the last complete step.

        Args:
            x: images, a dict of `"images"` and `"hidden"`, or any data source
                that Keras takes, of batches of images or `(images, labels)`.
            y: ints `(num_images,)`, the labels; unused without classes.
            *args: passed to `keras.Model.fit`.
            **kwargs: passed to `keras.Model.fit`.

        Returns:
            A `keras.callbacks.History`.
        """
        self._assert_compile_called("fit")
        self._check_labels(y)
        with backend.keeps_weights(self):
            return super().fit(x, y, *args, **kwargs)

    def evaluate(self, x=None, y=None, *args, **kwargs):
        """Computes losses and metrics on held-out images.

        It takes the arguments of `keras.Model.evaluate`. It does not change the
        model. Every call has the same masks, the n-th image the n-th of them,
        whatever the `batch_size`.
        """
        self._assert_compile_called("evaluate")
        self._check_labels(y)
        self._restart_evaluation()
        return super().evaluate(x, y, *args, **kwargs)

    def predict(self, x, *args, **kwargs):
        """Reconstructs images, under the masks of `evaluate`.

        It takes the arguments of `keras.Model.predict`.
        """
        self._restart_evaluation()
        return super().predict(x, *args, **kwargs)

    def predict_on_batch(self, x):
        """Reconstructs the images of one batch, see `predict`."""
        self._restart_evaluation()
        return super().predict_on_batch(x)

    def train_on_batch(self, x, y=None, *args, **kwargs):
        """One training step on one batch, as in `keras.Model`."""
        self._check_labels(y)
        return super().train_on_batch(x, y, *args, **kwargs)

    def test_on_batch(self, x, y=None, *args, **kwargs):
        """Evaluates one batch, without changing the model: see `evaluate`."""
        self._check_labels(y)
        self._restart_evaluation()
        return super().test_on_batch(x, y, *args, **kwargs)

    def make_train_function(self, force=False):
        """Compiles the training step, unless the encoder is frozen."""
        if not self.encoder.trainable:
            raise ValueError(
                "The encoder of this autoencoder is frozen, since a "
                "`DriftModel` uses it, so that training would not change it. "
                "To train it further, set `encoder.trainable = True` and "
                f"compile again. Received: encoder={self.encoder!r}"
            )
        return super().make_train_function(force)

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        """Updates the compiled metrics: of the labels, or else of the images.

        With classes they compare labels and logits; without, images and their
        reconstructions.
        """
        if self.num_classes is None:
            y, y_pred = split_batch(x)[0], y_pred["reconstruction"]
        else:
            y, y_pred = self._labels(y), y_pred["logits"]
        return super().compute_metrics(x, y, y_pred, sample_weight)

    def _restart_evaluation(self):
        backend.sync(self)
        # The same masks in every evaluation, so that losses are comparable.
        seed_states.assign(
            self._evaluation_seed.state, [seed_states.EVALUATION, 0]
        )

    def _next_numbers(self, batch):
        """The numbers of the next images of an evaluation: `(batch,)`."""
        # The state of a generator: Keras carries it from batch to batch, and
        # saves it with no model.
        variable = self._evaluation_seed.state
        state = ops.convert_to_tensor(variable)
        # Before the assignment, which changes the tensor on PyTorch.
        numbers = ops.cast(state[1], "int32") + ops.arange(batch, dtype="int32")
        step = ops.stack([ops.zeros((), "int32"), ops.cast(batch, "int32")])
        variable.assign(ops.add(state, ops.cast(step, state.dtype)))
        return numbers

    def _labels(self, labels):
        """The labels as int32 `(batch,)`."""
        if labels is None:
            raise ValueError(
                "The classifier of this autoencoder needs labels: `fit(images, "
                "labels)`, or batches `(images, labels)`. To train without, "
                "create it without `num_classes`. Received: no labels, "
                f"num_classes={self.num_classes}"
            )
        if len(labels.shape) > 1 and labels.shape[1:] != (1,):
            raise ValueError(
                "Labels are class numbers `(batch,)`. "
                f"Received: labels.shape={tuple(labels.shape)}"
            )
        return ops.cast(ops.reshape(labels, (-1,)), "int32")

    def _check_labels(self, labels):
        """Refuses arrays of labels that do not name classes."""
        if self.num_classes is None or not (
            isinstance(labels, (np.ndarray, list, tuple))
            or ops.is_tensor(labels)
        ):
            return
        array = ops.convert_to_numpy(labels)
        wrong = array[(array < 0) | (array >= self.num_classes)]
        if array.dtype.kind not in "iu" or wrong.size:
            raise ValueError(
                "`y` are class numbers, integers from 0 to "
                f"{self.num_classes - 1}. Received: type {array.dtype}, "
                f"{(wrong if wrong.size else array).ravel()[:5]}"
            )


def split_batch(inputs):
    """The images and the masks of a batch; masks not yet drawn are `None`."""
    if not isinstance(inputs, dict):
        return inputs, None
    if "images" not in inputs or set(inputs) - _KEYS:
        raise ValueError(
            "A batch is images, or a dict of 'images' and 'hidden'. "
            f"Received: a dict of {sorted(inputs)}"
        )
    images, hidden = inputs["images"], inputs.get("hidden")
    if hidden is not None:
        expected = (*images.shape[1:-1], 1)
        if tuple(hidden.shape[1:]) != expected:
            raise ValueError(
                f"Masks of these images have the shape (batch, *{expected}). "
                f"Received: hidden.shape={tuple(hidden.shape)}, "
                f"images.shape={tuple(images.shape)}"
            )
    return images, hidden

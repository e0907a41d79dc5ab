"""Mixin with the training interface of Keras, for drifting models."""

import functools

import keras
import numpy as np
from keras import ops

from keras_drift import backend
from keras_drift import user_warnings
from keras_drift.byte_order import native
from keras_drift.compile_config import PortableCompileConfig
from keras_drift.frozen import freeze
from keras_drift.training import averaged_weights as averages
from keras_drift.training import class_batches
from keras_drift.training import data_sources
from keras_drift.training import process_shares
from keras_drift.training import shares
from keras_drift.training import training_state as states
from keras_drift.training.trained_weights import TrainedWeights


class DriftTrainer(PortableCompileConfig, backend.TrainerGuard):
    """Mixin for `DriftModel` with `compile`, `fit`, `evaluate` and the like.

    It converts the data to data sources, and wraps Keras' own loops such that
    evaluation does not change the model and exceptions do not lose weights.
    """

    def compile(self, optimizer="adam", **kwargs):
        """Configures training; takes what `keras.Model.compile` takes.

        Args:
            optimizer: a Keras optimizer, its name or its config. Defaults to
                `"adam"`.
            **kwargs: passed to `keras.Model.compile`. `metrics` compare the
                positives of a batch with the generated samples, see
                `keras_drift.metrics`. `loss` is refused: a drifting model has
                its own. With `auto_scale_loss=True`, the default, the loss is
                scaled if the model, or any layer of its generator or encoder,
                computes in float16.
        """
        if kwargs.get("loss") is not None:
            raise ValueError(
                "The loss of a drifting model is the regression onto its "
                "drifted samples; choose a `drift` when creating the model "
                f"instead. Received: loss={kwargs['loss']!r}"
            )
        if kwargs.get("loss_weights") is not None:
            raise ValueError(
                "The losses of features are weighted by the argument of the "
                "same name of `DriftModel`. "
                f"Received: loss_weights={kwargs['loss_weights']!r}"
            )
        self._freeze_parts()
        super().compile(optimizer=optimizer, **kwargs)
        if kwargs.get("auto_scale_loss", True):
            self._scale_loss()
        # Keras' own has the type `floatx`, and a mean in half precision does
        # not follow its values. Not by an attribute, which Keras would track.
        vars(self)["_loss_tracker"] = keras.metrics.Mean("loss", "float32")
        self.run.forget_steps()
        # Builds the metrics here, whose variables would otherwise be created
        # inside compiled code.
        size = _samples_needed(kwargs.get("metrics"))
        zeros = np.zeros((size, *self.generator.sample_shape), "float32")
        self.compute_metrics(None, zeros, ops.convert_to_tensor(zeros))
        self.reset_metrics()
        self._check_names_of_metrics()

    def _scale_loss(self):
        """Scales the loss where gradients pass through layers in float16."""
        # Keras asks the policy of the model alone, not that of its layers.
        layers = (
            *self.generator._flatten_layers(),
            *self.encoder._flatten_layers(),
        )
        scaling = keras.optimizers.LossScaleOptimizer
        if (
            self.optimizer is not None
            and not isinstance(self.optimizer, scaling)
            and any(layer.compute_dtype == "float16" for layer in layers)
        ):
            self.optimizer = scaling(
                self.optimizer, name="loss_scale_optimizer"
            )

    def _check_names_of_metrics(self):
        """Refuses metrics that would share, or take, an entry of the logs."""
        compiled = self._compile_metrics
        names = [m.name for m in compiled.metrics] if compiled else []
        names += ["loss", self.drift_norm.name]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(
                "Every metric needs a name of its own in the logs: give "
                f"`name=...`. Received: {twice} more than once, where 'loss' "
                f"and {self.drift_norm.name!r} are those of the model"
            )

    def fit(
        self,
        x=None,
        y=None,
        batch_size=None,
        epochs=1,
        verbose="auto",
        callbacks=None,
        validation_split=0.0,
        validation_data=None,
        shuffle=True,
        class_weight=None,
        sample_weight=None,
        validation_batch_size=None,
        **kwargs,
    ):
        """Trains the model; takes what `keras.Model.fit` takes.

        After an exception the model has the state of the last complete step.

        Args:
            x: samples `(num_samples, *sample_shape)`, or any data source that
                Keras takes. A batch of a data source is positives, or
                `(positives, labels)`; positives are `(n, *sample_shape)`, or in
                groups `(groups, n, *sample_shape)` with labels `(groups,)`.
                Batches of a data source should all have one size.
            y: labels `(num_samples,)`, for a generator with classes. Samples
                and labels are converted to a `GroupedDataset`.
            batch_size: int, positives in a batch. Defaults to `None`: 256,
                because few samples give a poor estimate of the field. Batches
                of arrays are always full, see `datasets.ArrayDataset`. With
                classes, a batch holds one class for every 32 positives.
            epochs: int, passes over the data. Defaults to `1`.
            verbose: as in Keras.
            callbacks: list of `keras.callbacks.Callback`.
            validation_split: float in `[0, 1)`, the fraction of the arrays,
                from their end, that is held out for validation.
            validation_data: as `x`, or `(x, y)`, or `(x, y, sample_weight)`.
                It is evaluated as by `evaluate`, with the averaged weights if
                `use_ema=True`, on the same batches and with the same random
                numbers in every epoch.
            shuffle: bool, whether arrays without classes are shuffled in every
                epoch. Defaults to `True`.
            class_weight: not supported.
            sample_weight: weights of the samples, without classes.
            validation_batch_size: int, as `batch_size`, for arrays in
                `validation_data`. Defaults to `None`: the `batch_size`.
            **kwargs: passed to `keras.Model.fit`.

        Returns:
            A `keras.callbacks.History`.
        """
        self._check_ready("fit")
        self._freeze_parts()
        data_sources.refuse_class_weight(class_weight)
        data_sources.refuse_nested(x, self.generator)
        if validation_split and validation_data is None:
            (x, y, sample_weight), validation_data = data_sources.split(
                x, y, sample_weight, validation_split
            )
        callbacks = _in_order(callbacks)
        if "initial_epoch" not in kwargs:
            kwargs["initial_epoch"] = self._resume(callbacks, epochs)
        data = x, y, sample_weight
        source = self._training_source(data, batch_size, shuffle, kwargs)
        if validation_data is not None:
            validation_data = self._held_out(
                validation_data, validation_batch_size, batch_size
            )
        first_epoch = kwargs["initial_epoch"]
        length = data_sources.length(source.x)
        steps = kwargs.get("steps_per_epoch") or length
        process_shares.check_length(epochs, first_epoch, steps, length)
        self.run.equalize(self)
        if verbose == "auto" and backend.process_index() > 0:
            verbose = 0  # the first process shows the progress
        averages.warn_of_raw_weights(self, callbacks)
        with self.run.training(self, source, callbacks, first_epoch) as added:
            return super().fit(
                backend.without_autotuning(source.x),
                epochs=epochs,
                verbose=verbose,
                callbacks=self.run.callbacks_of_fit(
                    self,
                    source.x,
                    [*added, *callbacks],
                    first_epoch,
                    epochs=epochs,
                    verbose=verbose,
                    steps=steps,
                ),
                validation_data=validation_data,
                # Keras warns if it is asked to shuffle anything but arrays.
                shuffle=False,
                **kwargs,
            )

    def _training_source(self, data, batch_size, shuffle, kwargs):
        """The data source of `fit`, at the position of a restored run.

        It has epochs of `steps_per_epoch` batches itself, where it can: those
        are taken out of the `kwargs`.
        """
        x, *others = data
        num_steps = None
        if data_sources.has_positions(x):
            num_steps = kwargs.pop("steps_per_epoch", None)
        if data_sources.is_array_like(x):
            self.run.restore_data(None)
            return self._source(*data, batch_size, shuffle, num_steps=num_steps)
        if num_steps is not None:
            x = self.run.continued(x, num_steps)
        self.run.restore_data(x)
        return self._source(x, *others, batch_size)

    def _held_out(self, validation_data, batch_size, training_batch_size):
        """The data source of the validation of `fit`."""
        parts = keras.utils.unpack_x_y_sample_weight(validation_data)
        data_sources.refuse_nested(parts[0], self.generator)
        if batch_size is None and data_sources.is_array_like(parts[0]):
            batch_size = training_batch_size
        source = self._source(*parts, batch_size, fixed=True)
        self.run.steps.expect("validation", source.shapes)
        return backend.without_autotuning(source.x)

    def evaluate(
        self,
        x=None,
        y=None,
        batch_size=None,
        *args,
        sample_weight=None,
        **kwargs,
    ):
        """Computes loss, drift norm and metrics on held-out data.

        It takes the same data as `fit`, with the same default batch size, and
        the arguments of `keras.Model.evaluate`. It does not change the state of
        the model, and is deterministic: noise comes from a separate random
        stream. During `fit` the averaged weights are evaluated.

        Of arrays with labels, a batch holds no sample of a class twice, since
        metrics compare halves of it: where the smallest class has fewer samples
        than a batch of `fit` draws, it draws as many as that class has (but at
        least 12 in all, or half of the batch size if that is less; a warning
        says where there are copies).
        """
        self._check_ready("evaluate")
        by_fit = "_use_cached_eval_dataset" in kwargs
        if not by_fit:
            x = self._source(x, y, sample_weight, batch_size, fixed=True).x
            x = backend.without_autotuning(x)
            self.run.equalize(self)
        else:
            self.run.steps.expect_validation()
        with self.run.evaluation(self, by_fit):
            return super().evaluate(x, None, None, *args, **kwargs)

    def train_on_batch(self, x, y=None, sample_weight=None, **kwargs):
        """One training step on one batch, as in `keras.Model`."""
        self._check_ready("train_on_batch")
        self._freeze_parts()
        x, y, sample_weight = _native(x, y, sample_weight)
        with self.run.one_batch(self), shares.layouts(self):
            self._check_batch("train", x, y, sample_weight)
            self.run.equalize(self, again=False)
            return super().train_on_batch(x, y, sample_weight, **kwargs)

    def test_on_batch(self, x, y=None, sample_weight=None, **kwargs):
        """Evaluates one batch, without changing the model: see `evaluate`."""
        self._check_ready("test_on_batch")
        x, y, sample_weight = _native(x, y, sample_weight)
        self._check_batch("test", x, y, sample_weight)
        self.run.equalize(self, again=False)
        with self.run.evaluation(self):
            return super().test_on_batch(x, y, sample_weight, **kwargs)

    def make_train_function(self, force=False):
        """Compiles the training step, again if the model has changed."""
        del force  # what has not changed is not made again
        make = functools.partial(super().make_train_function, force=True)
        self.run.choose_step("train", self, make)
        return self.train_function

    def _resume(self, callbacks, epochs):
        """The first epoch of `fit`, from callbacks that can restore one."""
        resuming = [c for c in callbacks if hasattr(c, "resume")]
        first_epoch = max((c.resume(self) for c in resuming), default=0)
        ending = [c for c in resuming if hasattr(c, "is_ended")]
        if any(c.is_ended(callbacks) for c in ending):
            return max(first_epoch, epochs)
        if resuming and first_epoch >= epochs:
            user_warnings.warn(
                "Nothing is left to train: `epochs` counts those of earlier "
                f"runs as well. Received: epochs={epochs}, and a checkpoint "
                f"after epoch {first_epoch}"
            )
        return first_epoch

    def _check_ready(self, method):
        """Raises an error if the model cannot be trained or evaluated yet."""
        self._assert_compile_called(method)
        if method == "fit" and self.run.is_training:
            raise RuntimeError(
                "`fit` of this model is running: a callback that calls `fit` "
                "would replace its data, schedule and optimizer state. Call "
                "`train_on_batch` there, or `fit` after it has ended."
            )
        if self.optimizer is None and method in ("fit", "train_on_batch"):
            raise ValueError(
                f'`{method}` needs an optimizer: `compile("adam")`, for '
                "example. Received: a model compiled with optimizer=None"
            )
        self.encoder.require()
        self.drift.require_bandwidth()
        backend.check_placement(self)
        if backend.replicas_of(self) > 1:
            self._check_replicas()
        if backend.num_devices() > 1 and self.field_scope == "local":
            raise ValueError(
                "Under `keras.distribution` one program computes the field of "
                "the whole batch, on all devices: use field_scope='global'. "
                f"Received: field_scope='local', {backend.num_devices()} "
                "devices"
            )

    def _check_replicas(self):
        """Refuses what replicas cannot do."""
        if backend.RECEIVES_SHARES and self.steps_per_execution > 1:
            raise ValueError(
                "Several steps in one execution are for one device: use "
                "steps_per_execution=1 under a `Strategy`. Received: "
                f"steps_per_execution={self.steps_per_execution}, "
                f"{backend.replicas_of(self)} replicas"
            )
        if self.stop_gradient or self.field_scope == "local":
            return
        raise ValueError(
            "Gradients of a field do not pass from one replica to another: "
            "with several replicas, stop_gradient=False needs "
            "field_scope='local'. Received: stop_gradient=False, "
            f"field_scope='global', {backend.replicas_of(self)} replicas"
        )

    def _freeze_parts(self):
        """Freezes again what was made trainable with the whole model."""
        for part in (self.encoder, self.autoencoder):
            if part is not None and part.trainable_variables:
                freeze(part)

    def make_test_function(self, force=False):
        """Compiles the evaluation step, again if the model has changed."""
        del force  # what has not changed is not made again
        make = functools.partial(super().make_test_function, force=True)
        self.run.choose_step("test", self, make)
        return self.test_function

    def averaged_weights(self):
        """Context manager that swaps in the moving averages of the weights.

        With `use_ema=True` the optimizer keeps averages of the weights, which
        generate better samples; `fit` assigns them to the model at its end.
        This context assigns them temporarily, also in the middle of training:

        ```python
        with model.averaged_weights():
            samples = model.generate(16, seed=0)
        ```

        Without averages nothing changes, nor while
        `keras.callbacks.SwapEMAWeights` has them in the model.

        Returns:
            A context manager.
        """
        return averages.averaged_weights(self)

    def training_state(self):
        """Returns everything needed to resume training bit for bit.

        With `use_ema=True`, the end of `fit` replaces the weights by their
        averages: call it in a callback, at the end of an epoch, for the weights
        that training continues from.

        Returns:
            A dict: lists of NumPy arrays `"weights"` (bandwidths included),
            `"optimizer"` (step and averages included) and `"random"` (the
            states of all random generators), and `"data"`, the position in the
            last data source of `fit`, or `None`. Schedules are functions of the
            step of the optimizer.
        """
        return states.get(self)

    def restore_training_state(self, state):
        """Restores a state that `training_state` returned.

        Build and compile the model, and create the data source of the next
        `fit`, with the same arguments as before; give `fit` the
        `initial_epoch`.

        Args:
            state: dict, the result of `training_state`.
        """
        states.restore(self, state)

    def _source(
        self,
        x,
        y,
        sample_weight,
        batch_size=None,
        shuffle=False,
        fixed=False,
        num_steps=None,
    ):
        source = data_sources.as_source(
            x,
            y,
            sample_weight,
            self.generator,
            self.guidance_sampler is not None,
            batch_size,
            shuffle,
            0 if self.seed is None else self.seed,
            fixed,
            num_steps,
        )
        process_shares.check(source.x)
        compiled = self._compile_metrics
        if fixed and compiled is not None and compiled.metrics:
            class_batches.warn_of_copies(source.x)
        self.run.steps.expect("test" if fixed else "train", source.shapes)
        return source

    def _check_batch(self, kind, *data):
        if backend.RECEIVES_SHARES and backend.replicas_of(self) > 1:
            raise ValueError(
                "Keras gives every replica the whole batch of "
                f"`{kind}_on_batch`, not its share: use `fit` or `evaluate`. "
                "Received: "
                f"{backend.replicas_of(self)} replicas"
            )
        guided = self.guidance_sampler is not None
        shapes = data_sources.check_batch(data, self.generator, guided)
        if not self.run.scale_is_checked:  # the batches of a loop are alike
            self.run.scale_is_checked = True
            data_sources.warn_of_unscaled_images(data, self.generator)
        self.run.steps.expect(kind, shapes)


def _in_order(callbacks):
    """A list: what saves the run comes after all that may change or stop it."""
    callbacks = [] if callbacks is None else keras.tree.flatten(callbacks)
    saving = [each for each in callbacks if _saves_the_run(each)]
    others = [each for each in callbacks if not _saves_the_run(each)]
    swaps = averages.swaps_of(callbacks)
    return [*others, *([TrainedWeights(swaps)] if swaps else []), *saving]


def _saves_the_run(callback):
    backup = keras.callbacks.BackupAndRestore
    return hasattr(callback, "resume") or isinstance(callback, backup)


def _native(*data):
    """The parts of a batch, in the byte order of the machine."""
    return keras.tree.map_structure(native, data)


def _samples_needed(metrics):
    """The size of a batch that all of these metrics can compare."""
    metrics = [
        metric() if isinstance(metric, type) else metric
        for metric in keras.tree.flatten(metrics)
    ]
    return max([4, *(getattr(m, "min_real_samples", 2) for m in metrics)])

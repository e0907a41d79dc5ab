"""The model that users train."""

import keras
import numpy as np
from keras import ops

from keras_drift import backend
from keras_drift import checks
from keras_drift import drifts
from keras_drift import encoders
from keras_drift.generators import Generator
from keras_drift.models import batch as batches
from keras_drift.models import data_sources
from keras_drift.models import presets
from keras_drift.models import targets
from keras_drift.models.own_weights import OwnWeights
from keras_drift.models.power_law_guidance import check_scales
from keras_drift.models.power_law_guidance import checked_sampler
from keras_drift.models.sampler import Sampler


@keras.saving.register_keras_serializable("keras_drift")
class DriftModel(keras.Model):
    """One-step generative model, trained by a drift field.

    In every training step the generator draws samples, the drift says where
    they should move, and the generator is regressed onto the moved samples:
    `loss = mean |x - stop_gradient(x + step_size * V(x))|**2`. There is no
    adversary, teacher or ODE, and a sample is one forward pass.

    It is a Keras model: `compile` it with an optimizer (it has its own loss),
    `fit` it, add callbacks, `save` it.

    Args:
        generator: a `Generator`, such as `generators.MLP` or `generators.DiT`.
        drift: a `Drift`, its name or its config. Defaults to `"kernel_drift"`.
        encoder: an `Encoder` or any Keras model from samples to features; the
            drift is computed on each feature and the losses are added. Defaults
            to `None`: samples are compared as they are.
        step_size: float > 0, how far along its velocity a sample is asked to
            move; or a schedule, a function of the optimizer step, such as
            `schedules.LinearFriction`. Evaluation measures with its value at
            step 0, so that losses compare. Defaults to `1.0`.
        num_generated: int >= 1, samples drawn for each group. Defaults to
            `None`: as many as the group has positives.
        frozen_steps: int >= 1, how many optimizer steps follow one frozen
            field. More of them solve the regression better before the field is
            computed again. Defaults to `1`.
        stop_gradient: bool, whether the moved samples are held fixed while the
            generator follows. `False` lets the loss fall by shrinking the field
            rather than by moving the samples, and is there to show that.
            Defaults to `True`.
        guidance_sampler: a `PowerLawGuidance`, the guidance scales to train
            for; it needs a generator with classes and batches with
            unconditional samples. Defaults to `None`: no guidance.
        seed: int, of the noise of training. Defaults to `None`: picked at
            random. The state of the random generator is saved with the model.
        **kwargs: passed to `keras.Model`.

    Call arguments:
        inputs: dict of what the generator takes, see
            `generator.sample_inputs`; or a tensor, the noise alone.

    Returns:
        Samples, `(batch, *sample_shape)`, float32.

    Example:

    >>> import keras_drift as kd
    >>> data = kd.datasets.eight_gaussians(512, seed=0)
    >>> model = kd.DriftModel(kd.generators.MLP(output_dim=2), seed=0)
    >>> model.compile(optimizer="adam")
    >>> history = model.fit(data, batch_size=256, epochs=1, verbose=0)
    >>> sorted(history.history)
    ['drift_norm', 'loss']
    >>> model.generate(5, seed=0).shape
    (5, 2)

    Reference:

    - [Deng et al., 2026](https://arxiv.org/abs/2602.04770)
    """

    presets = presets.BUILT_IN

    def __init__(
        self,
        generator,
        drift="kernel_drift",
        encoder=None,
        step_size=1.0,
        num_generated=None,
        frozen_steps=1,
        stop_gradient=True,
        guidance_sampler=None,
        seed=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        # Guidance scales and noise reach the generator unrounded; it casts
        # what it wants cast.
        self.autocast = False
        if not isinstance(generator, Generator):
            raise TypeError(
                "`generator` is a `keras_drift.generators.Generator`, such as "
                f"`MLP` or `DiT`. Received: generator={generator!r}"
            )
        self.generator = generator
        self.drift = drifts.get(drift)
        self.encoder = encoders.get(encoder)
        if not callable(step_size):
            checks.positive_number("step_size", step_size)
        self.step_size = step_size
        if num_generated is not None:
            checks.positive_integer("num_generated", num_generated)
        self.num_generated = num_generated
        self.frozen_steps = checks.positive_integer(
            "frozen_steps", frozen_steps
        )
        self.stop_gradient = bool(stop_gradient)
        self.guidance_sampler = checked_sampler(guidance_sampler, generator)
        if self.frozen_steps > 1 and not self.stop_gradient:
            raise ValueError(
                "Several steps on one field need that field frozen: "
                "stop_gradient=True. Received: "
                f"frozen_steps={frozen_steps}, stop_gradient={stop_gradient}"
            )
        if not (self.stop_gradient or self.drift.differentiable):
            raise ValueError(
                "The gradient of a velocity that is a gradient itself, that of "
                "a `VariationalDrift`, is not to be had: choose another drift, "
                "or stop_gradient=True. Received: "
                f"drift={type(self.drift).__name__}, stop_gradient=False"
            )
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.drift_norm = keras.metrics.Mean(name="drift_norm")
        self.bandwidth_schedule = None
        self._traced_schedule = None
        self._sampler = None
        self.callbacks_in_use = ()
        self.encoder.build((None, *generator.sample_shape))
        self.built = True

    # === The step ===

    def train_step(self, *args):
        """One training step: fresh noise, then Keras' own step.

        Args:
            *args: what the backend passes, the data last.

        Returns:
            What Keras' own `train_step` returns.
        """
        *state, data = args
        batch, state = backend.run(self, state, self.prepare_batch, data, True)
        for _ in range(self.frozen_steps):
            logs, state = backend.step(super().train_step, state, batch)
        if self.bandwidth_schedule is not None:
            width, state = backend.run(self, state, self._largest_bandwidth)
            logs = {**logs, "bandwidth": width}
        return backend.step_result(logs, state)

    def test_step(self, *args):
        """One evaluation step: fresh noise, then Keras' own step."""
        *state, data = args
        batch, state = backend.run(self, state, self.prepare_batch, data, False)
        logs, state = backend.step(super().test_step, state, batch)
        return backend.step_result(logs, state)

    def prepare_batch(self, data, training=True):
        """Puts noise, guidance scales and negatives beside a batch of data.

        Args:
            data: what the data source yielded, see `fit`.
            training: bool; only training follows the bandwidth schedule.

        Returns:
            `(x, y, sample_weight)`: the inputs of the generator with whatever
            the loss needs beside them, the positives, and their weights.
        """
        if training and self.bandwidth_schedule is not None:
            width = self.bandwidth_schedule(self.optimizer.iterations)
            self.drift.anneal(width)
        batch = batches.parse(
            data, self.generator, self.guidance_sampler is not None
        )
        y = batch.positives
        groups = ops.shape(y)[0]
        count = self.num_generated or ops.shape(y)[1]
        x = self._draw_inputs(batch, groups, count)
        if self.drift.self_interaction == "independent":
            others = self._draw_inputs(batch, groups, count, x)
            x["negatives"] = self(others, training=training)
        if batch.unconditional is not None:
            x["unconditional"] = batch.unconditional
        if callable(self.step_size):
            step = self.optimizer.iterations if training else 0
            x["step_size"] = self.step_size(step)
        if training and self.frozen_steps > 1:
            features = self.encoder(self(x, training=True))
            x["goals"] = targets.find(self, features, x, y, batch.weights)
        return x, y, batch.weights

    def call(self, inputs, training=None):
        if not isinstance(inputs, dict):
            inputs = {"noise": inputs}
        missing = [k for k in self.generator.input_keys if k not in inputs]
        if missing:
            raise ValueError(
                f"The generator also takes {missing}. Use `generate`, or make "
                "inputs with `model.generator.sample_inputs(...)`. "
                f"Received: inputs {sorted(inputs)}"
            )
        inputs = {key: inputs[key] for key in self.generator.input_keys}
        return self.generator(inputs, training=training)

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        """The regression of the samples onto their moved, frozen selves."""
        features = self.encoder(y_pred)
        found = x.get("goals")
        if found is None:
            found = targets.find(self, features, x, y, sample_weight)
        loss = 0.0
        for name, feature in features.items():
            error = ops.cast(feature, "float32") - found[name]["place"]
            loss += ops.mean(ops.square(error / found[name]["unit"]))
        norms = [ops.mean(target["norm"]) for target in found.values()]
        self.drift_norm.update_state(ops.mean(ops.stack(norms)))
        for extra in self.losses:  # regularizers of the user's layers
            loss += ops.sum(ops.cast(extra, "float32"))
        return loss

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        """Updates the compiled metrics with all positives and all samples."""
        real = ops.reshape(y, (-1, *self.generator.sample_shape))
        return super().compute_metrics(x, real, y_pred)

    def _draw_inputs(self, batch, groups, count, like=None):
        """Inputs of the generator for `count` samples of every group."""
        x = self.generator.sample_noise(groups * count, self.seed_generator)
        if batch.labels is None:
            return x
        x["labels"] = ops.repeat(ops.cast(batch.labels, "int32"), count)
        if like is not None:
            x["guidance"] = like["guidance"]
        elif self.guidance_sampler is None:
            x["guidance"] = ops.ones((groups * count,))
        else:
            scales = self.guidance_sampler.sample(
                (groups,), self.seed_generator
            )
            x["guidance"] = ops.repeat(scales, count)
        return x

    def _largest_bandwidth(self):
        return ops.max(self.drift.bandwidth)

    # === Training and evaluation ===

    def compile(self, optimizer="adam", **kwargs):
        """Configures training; takes what `keras.Model.compile` takes.

        Args:
            optimizer: what Keras takes as one. Defaults to `"adam"`.
            **kwargs: `metrics` compare the positives of a batch with the
                generated samples, see `keras_drift.metrics`. There is no
                `loss`: a drifting model has its own.
        """
        if kwargs.get("loss") is not None:
            raise ValueError(
                "The loss of a drifting model is the regression onto its "
                "drifted samples; choose a `drift` when making the model "
                f"instead. Received: loss={kwargs['loss']!r}"
            )
        super().compile(optimizer=optimizer, **kwargs)
        # Metrics make their variables when they first see data. Now is better
        # than inside compiled code.
        zeros = np.zeros((4, *self.generator.sample_shape), "float32")
        self.compute_metrics(None, zeros, ops.convert_to_tensor(zeros))
        self.reset_metrics()

    def compile_from_config(self, config):
        """Compiles a loaded model as the saved one was."""
        # Keras does this itself only for models without a `compile` of their
        # own.
        self.compile(**keras.saving.deserialize_keras_object(config))
        self.optimizer.build(self.trainable_variables)

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
        **kwargs,
    ):
        """Trains the model; takes what `keras.Model.fit` takes.

        Args:
            x: samples `(num_samples, *sample_shape)`, or any data source that
                Keras takes. A batch of a data source is positives, or
                `(positives, labels)`; positives are `(n, *sample_shape)`, or in
                groups `(groups, n, *sample_shape)` with labels `(groups,)`.
            y: labels `(num_samples,)`, for a generator with classes. Samples
                and labels are put into a `GroupedDataset`.
            batch_size: int, positives in a batch. Defaults to `None`: 256,
                because a field of few samples is a poor one. Batches are always
                full: where they do not divide the samples, each draws its own.
                With classes, a batch holds a class for every 32 positives.
            epochs: int, passes over the data. Defaults to `1`.
            verbose: as in Keras.
            callbacks: list of `keras.callbacks.Callback`.
            validation_split: float in `[0, 1)`, the share of the arrays, from
                their end, that is kept for validation.
            validation_data: as `x`, or `(x, y)`.
            shuffle: bool, whether arrays without classes are shuffled in every
                epoch. Defaults to `True`.
            class_weight: not supported.
            sample_weight: weights of the samples, without classes.
            **kwargs: passed to `keras.Model.fit`.

        Returns:
            A `keras.callbacks.History`.
        """
        if class_weight is not None:
            raise ValueError(
                "`class_weight` is not supported: show a class more often "
                "instead, in batches of your own. "
                f"Received: class_weight={class_weight!r}"
            )
        if validation_split and validation_data is None:
            (x, y), validation_data = data_sources.split(x, y, validation_split)
        source = self._as_source(x, y, batch_size, sample_weight)
        source = data_sources.full_batches(
            source, self.generator.sample_shape, self._data_seed()
        )
        if validation_data is not None:
            held_out = keras.utils.unpack_x_y_sample_weight(validation_data)
            held_out = self._as_source(*held_out[:2], batch_size, held_out[2])
            validation_data = held_out.pack()
        # Installed again by the callback, if it is there this time.
        self.bandwidth_schedule = None
        callbacks = [] if callbacks is None else keras.tree.flatten(callbacks)
        self.callbacks_in_use = tuple(callbacks)
        return super().fit(
            source.x,
            source.y,
            source.batch_size,
            epochs,
            verbose,
            [OwnWeights(), *callbacks],
            validation_data=validation_data,
            # Keras warns if it is asked to shuffle anything but arrays.
            shuffle=shuffle and data_sources.is_array(source.x),
            sample_weight=source.sample_weight,
            **kwargs,
        )

    def evaluate(
        self,
        x=None,
        y=None,
        batch_size=None,
        *args,
        sample_weight=None,
        **kwargs,
    ):
        """Loss, drift norm and metrics on held-out data, without training.

        Takes what `fit` takes as data, and what `keras.Model.evaluate` takes.
        """
        if "_use_cached_eval_dataset" not in kwargs:
            source = self._as_source(x, y, batch_size, sample_weight)
            x, y, batch_size, sample_weight = source
        return super().evaluate(
            x, y, batch_size, *args, sample_weight=sample_weight, **kwargs
        )

    def make_train_function(self, force=False):
        """Makes the compiled step, again if the schedule has changed."""
        changed = self.bandwidth_schedule is not self._traced_schedule
        self._traced_schedule = self.bandwidth_schedule
        return super().make_train_function(force=force or changed)

    def _as_source(self, x, y, batch_size, sample_weight):
        guided = self.guidance_sampler is not None
        source = data_sources.as_source(
            x,
            y,
            batch_size,
            sample_weight,
            self.generator,
            guided,
            self._data_seed(),
        )
        first, source = data_sources.peek(source)
        if first is not None:
            batch = batches.parse(first, self.generator, guided)
            batches.check_values(batch, self.generator)
        return source

    def _data_seed(self):
        """Other draws in every `fit`; the same ones for the same seed."""
        if self.seed is None:
            return int(np.random.randint(2**31))
        steps = 0 if self.optimizer is None else int(self.optimizer.iterations)
        return self.seed + steps

    # === Sampling ===

    def generate(
        self, n=None, labels=None, guidance=1.0, seed=None, batch_size=256
    ):
        """Draws samples: one compiled forward pass for each batch.

        Args:
            n: int >= 1, how many. Defaults to `None`: one for each label.
            labels: the class of each sample: ints `(n,)`, or one int for all.
                Defaults to `None`: the classes in turn.
            guidance: float >= 1, the strength of the condition, or one for each
                sample; among the scales the model was trained for. Defaults to
                `1.0`.
            seed: int. The same seed gives the same noise on every backend, and
                the first samples do not depend on `n`. Defaults to `None`:
                picked at random.
            batch_size: int >= 1, how many are drawn in one forward pass.
                Defaults to `256`.

        Returns:
            NumPy array `(n, *sample_shape)`, float32.
        """
        if n is None and (labels is None or np.ndim(labels) == 0):
            if labels is None:
                raise ValueError(
                    "`generate` needs to know how many samples to draw: give "
                    "`n`, or `labels`, one for each. Received: n=None, "
                    "labels=None"
                )
            n = 1
        n = checks.positive_integer("n", len(labels) if n is None else n)
        checks.positive_integer("batch_size", batch_size)
        if np.ndim(labels) == 1 and len(labels) != n:
            raise ValueError(
                "`labels` names the class of each sample, so there must be `n` "
                f"of them. Received: n={n}, {len(labels)} labels"
            )
        check_scales(guidance, self.guidance_sampler)
        inputs = self.generator.sample_inputs(n, labels, guidance, seed)
        backend.sync(self)
        if self._sampler is None:
            self._sampler = Sampler(self.generator)
        return self._sampler(inputs, batch_size)

    # === Saving ===

    def save_to_preset(self, directory, metadata=None):
        """Writes the model as a preset: a folder that any backend can load.

        Args:
            directory: path of the folder. One that is there is replaced, once
                the new one is complete.
            metadata: optional dict of what others should know: `"description"`,
                `"training_data"`, `"metrics"`, `"license"`.
        """
        presets.save(self, directory, metadata or {})

    @classmethod
    def from_preset(cls, preset):
        """Loads a trained model.

        Args:
            preset: the name of a built-in preset, one of `DriftModel.presets`,
                or the path of a folder that `save_to_preset` wrote.

        Returns:
            A `DriftModel`, ready to `generate`; `compile` it to train on.

        Example:

        >>> import keras_drift as kd
        >>> model = kd.DriftModel.from_preset("digits_dit")
        >>> model.generate(labels=[3, 1, 4], seed=0).shape
        (3, 8, 8, 1)
        """
        return presets.load(cls, preset)

    def save_own_variables(self, store):
        """Writes the state of the random generator."""
        store["seed_generator_state"] = ops.convert_to_numpy(
            self.seed_generator.state.value
        )

    def load_own_variables(self, store):
        """Reads the state of the random generator."""
        state = np.asarray(store["seed_generator_state"])
        dtype = keras.backend.standardize_dtype(self.seed_generator.state.dtype)
        self.seed_generator.state.assign(state.astype(dtype))

    def get_config(self):
        serialize = keras.saving.serialize_keras_object
        return {
            **super().get_config(),
            "generator": serialize(self.generator),
            "drift": serialize(self.drift),
            "encoder": serialize(self.encoder),
            "step_size": serialize(self.step_size),
            "num_generated": self.num_generated,
            "frozen_steps": self.frozen_steps,
            "stop_gradient": self.stop_gradient,
            "guidance_sampler": serialize(self.guidance_sampler),
            "seed": self.seed,
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """Makes the model that `get_config` describes."""
        config = dict(config)
        for key in (
            "generator",
            "drift",
            "encoder",
            "step_size",
            "guidance_sampler",
        ):
            config[key] = keras.saving.deserialize_keras_object(
                config[key], custom_objects
            )
        return cls(**config)

"""Drifting model: generator, encoder and drift as one Keras model."""

import keras
from keras import ops

from keras_drift import backend
from keras_drift import checks
from keras_drift import encoders
from keras_drift import replaced_parts
from keras_drift.callbacks.drift_monitor import REPORTED
from keras_drift.metrics.improves_downwards import ImprovesDownwards
from keras_drift.models import arguments
from keras_drift.models.model_adaptation import ModelAdaptation
from keras_drift.models.model_preflight import ModelPreflight
from keras_drift.models.model_presets import ModelPresets
from keras_drift.models.model_sampling import ModelSampling
from keras_drift.models.model_saving import ModelSaving
from keras_drift.training import DriftObjective
from keras_drift.training import TrainingBatch
from keras_drift.training import adaptation
from keras_drift.training import bandwidth_schedule as schedules
from keras_drift.training import batches
from keras_drift.training import micro_batches as parts
from keras_drift.training import shares
from keras_drift.training.compiled_steps import ARGUMENTS
from keras_drift.training.drift_trainer import DriftTrainer
from keras_drift.training.run_state import RunState


@keras.saving.register_keras_serializable("keras_drift")
class DriftModel(
    DriftTrainer,
    ModelAdaptation,
    ModelPreflight,
    ModelSampling,
    ModelSaving,
    ModelPresets,
    keras.Model,
):
    """One-step generative model, trained by a drift field.

    In every training step samples `x` are generated, the drift `V` assigns a
    velocity to each of them, and the generator is regressed onto the samples
    moved along it: `loss = mean |x - stop_gradient(x + step_size * V(x))|**2`.
    There is no adversary, teacher or ODE, and a sample takes one forward pass.

    It is a Keras model: `compile` it with an optimizer (the loss is its own),
    `fit` it, add callbacks, `save` it.

    Args:
        generator: a `Generator`, such as `generators.MLP` or `generators.DiT`.
        drift: a `Drift`, its name or its config; or a dict from patterns of
            feature names, such as `"layer4*"`, to drifts. Defaults to
            `"kernel_drift"`.
        encoder: an `Encoder` or any Keras model from samples to features; the
            drift is computed on each feature and the losses are added. Defaults
            to `None`: samples are compared as they are.
        loss_weights: dict from patterns of feature names to the weights of
            their losses. Defaults to `None`: ones.
        step_size: float > 0, the step from a sample to its target, in units of
            its velocity; or a schedule, a function of the optimizer step, such
            as `schedules.LinearFriction`. Evaluation uses the value at step 0,
            so that losses are comparable. Defaults to `1.0`.
        bandwidth_schedule: a schedule of the largest bandwidth of the drift,
            a function of the optimizer step, saved with the model. Defaults to
            `None`: constant bandwidths, unless `fit` is given a
            `BandwidthAnnealing`.
        num_generated: int >= 1, generated samples in each group. Defaults to
            `None`: as many as the group has positives.
        frozen_steps: int >= 1, optimizer steps toward the targets of one frozen
            field. More of them solve the regression more accurately before the
            field is computed again. Defaults to `1`.
        stop_gradient: bool, whether the targets are constants of the
            regression. With `False` the loss can decrease by shrinking the
            field instead of moving the samples (drift collapse); this is for
            experiments. Defaults to `True`.
        guidance_sampler: a `PowerLawGuidance`, the distribution of the guidance
            scales to train for; it needs a generator with classes and batches
            with unconditional samples. Defaults to `None`: no guidance.
        autoencoder: an `autoencoders.Autoencoder` whose latents the samples
            are: `generate` decodes them to images, training does without it.
            Its weights are in files and presets of the model, but not among
            those of `get_weights` and `set_weights`: give a model made by
            `from_config` the autoencoder itself, `copy.autoencoder =
            model.autoencoder`. Defaults to `None`: the samples are what is
            generated.
        field_scope: the samples that a field is computed from where replicas
            each train on a part of every batch (TensorFlow's `Strategy`,
            processes of PyTorch). `"global"`: those of all replicas, so that
            the number of replicas changes nothing: negatives, positives, length
            scales, transport plans. `"local"`: those of the replica alone,
            which exchanges nothing but gradients, and follows the noisier field
            of a smaller batch; not under `keras.distribution` (JAX). Layers
            that draw random numbers or normalize over the batch see the part of
            their replica with either. Defaults to `"global"`.
        micro_batches: int >= 1: generator and encoder run on this many equal
            parts of a batch, one after another, and the backward pass
            recomputes each part, so that memory is needed for the activations
            of one. The field, the loss and the gradient are those of the whole
            batch, for one more forward pass. Choose it for batches that do not
            fit into memory. Data whose number is not a multiple of it are
            encoded in fewer parts. The generator can have no layers that draw
            random numbers, change variables or add losses, such as `Dropout`
            and `BatchNormalization`. Defaults to `1`.
        seed: int, for the noise of training. Defaults to `None`: random. The
            state of the random generator is saved with the model.
        **kwargs: passed to `keras.Model`.

    Call arguments:
        inputs: dict of the inputs of the generator, see
            `generator.sample_inputs`; or a tensor, which is the noise.

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

    def __init__(
        self,
        generator,
        drift="kernel_drift",
        encoder=None,
        loss_weights=None,
        step_size=1.0,
        bandwidth_schedule=None,
        num_generated=None,
        frozen_steps=1,
        stop_gradient=True,
        guidance_sampler=None,
        autoencoder=None,
        field_scope="global",
        micro_batches=1,
        seed=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        # Guidance scales and noise reach the generator in float32; it casts
        # its inputs itself.
        self.autocast = False
        self.generator = arguments.checked_generator(generator)
        self.drift = arguments.resolved_drift(drift)
        self.encoder = encoders.get(encoder)
        self.loss_weights = loss_weights
        self.step_size = step_size
        if bandwidth_schedule is not None:
            bandwidth_schedule = schedules.resolved(
                bandwidth_schedule, self.drift
            )
        self.bandwidth_schedule = bandwidth_schedule
        self.num_generated = num_generated
        self.frozen_steps = frozen_steps
        self.stop_gradient = checks.boolean("stop_gradient", stop_gradient)
        self.guidance_sampler = guidance_sampler
        self.autoencoder = autoencoder
        self.field_scope = field_scope
        self.micro_batches = micro_batches
        self.seed = arguments.checked_seed(seed)
        self.seed_generator = keras.random.SeedGenerator(self.seed)
        self.drift_norm = keras.metrics.Mean(name="drift_norm", dtype="float32")
        self._directions = ImprovesDownwards(["drift_norm", *REPORTED])
        self.run = RunState()
        encoders.build(self.encoder, generator.sample_shape)
        arguments.check(self)
        self.built = True

    @property
    def objective(self):
        """The `training.DriftObjective` of this model."""
        return DriftObjective(
            self.encoder,
            self.drift,
            self.loss_weights,
            self.stop_gradient,
            self.num_generated,
            self.field_scope,
            self.micro_batches,
        )

    def __setattr__(self, name, value):
        if name not in ARGUMENTS or not getattr(self, "built", False):
            super().__setattr__(name, value)
            return
        # In the hands of a user: as in the constructor, and seen by programs.
        value = arguments.assigned(self, name, value)
        arguments.check_with(self, name, value)
        if name in ("generator", "drift", "encoder"):
            replaced_parts.untrack(self, getattr(self, name))
            self.compiled = self.compiled and name != "generator"
        super().__setattr__(name, value)

    # === The step ===

    def train_step(self, *args):
        """One training step: samples noise, then calls Keras' own step.

        Args:
            *args: the arguments of the backend's `train_step`, the data last.

        Returns:
            The result of Keras' own `train_step`.
        """
        *state, data = args
        data = self.run.steps.with_known_sizes("train", data)
        batch, state = backend.run(self, state, self.prepare_batch, data, True)
        with backend.averaged_gradients(self.optimizer):
            for _ in range(self.frozen_steps):
                logs, state = backend.step(super().train_step, state, (batch,))
        if self.run.schedule_of(self) is not None:
            width, state = backend.run(self, state, self._largest_bandwidth)
            logs = {**logs, "bandwidth": width}
        return backend.step_result(logs, state)

    def test_step(self, *args):
        """One evaluation step: samples noise, then calls Keras' own step."""
        *state, data = args
        data = self.run.steps.with_known_sizes("test", data)
        batch, state = backend.run(self, state, self.prepare_batch, data, False)
        logs, state = backend.step(super().test_step, state, (batch,))
        return backend.step_result(logs, state)

    def prepare_batch(self, data, training=True):
        """Draws noise and guidance scales for a batch of data.

        Args:
            data: a batch of the data source, see `fit`.
            training: bool; schedules are evaluated in training only.

        Returns:
            A `training.TrainingBatch`.
        """
        step = self.optimizer.iterations if training else 0
        schedule = self.run.schedule_of(self)
        if training and schedule is not None:
            schedules.follow(schedule, self.drift, step)
        return batches.prepare(self, data, step, training)

    draw_inputs = batches.draw_inputs

    def call(self, inputs, training=None):
        num_parts = 1
        if isinstance(inputs, TrainingBatch):
            inputs, num_parts = inputs.inputs, self.micro_batches
        elif not isinstance(inputs, dict):
            inputs = {"noise": inputs}
        missing = [k for k in self.generator.input_keys if k not in inputs]
        if missing:
            raise ValueError(
                f"The generator also takes {missing}. Use `generate`, or make "
                "inputs with `model.generator.sample_inputs(...)`. "
                f"Received: inputs {sorted(inputs)}"
            )
        inputs = {key: inputs[key] for key in self.generator.input_keys}
        return parts.in_parts(self.generator, inputs, num_parts, training)

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        """Regression loss of generated samples and their targets.

        Args:
            x: `training.TrainingBatch`.
            y: unused; labels are in the batch.
            y_pred: the samples generated from `x.inputs`.
            sample_weight: unused; weights are in the batch.
            training: bool.
        """
        del y, sample_weight  # both are in the batch
        objective = self.objective
        features = objective.features(y_pred)
        targets = x.targets
        if targets is None:
            negatives = None
            if x.negative_inputs is not None:
                others = x._replace(inputs=x.negative_inputs)
                negatives = self(others, training=training)
            targets = self.compute_targets(features, x, negatives, training)
        norms = [ops.mean(each.norm, axis=-1) for each in targets.values()]
        self.drift_norm.update_state(
            ops.mean(ops.concatenate(norms)), ops.shape(y_pred)[0]
        )
        loss = objective.loss(features, targets, x.targets is not None)
        for extra in self.losses:  # regularizers of the user's layers
            loss += ops.sum(ops.cast(extra, "float32"))
        # The value is that of the whole batch, the gradient that of this share.
        mean = backend.global_mean(loss)
        if mean is not loss:
            # The difference is exactly 0, so all replicas report one number.
            loss = mean + (loss - ops.stop_gradient(loss))
        return backend.share_of_loss(loss)

    def compute_targets(self, features, batch, negatives=None, training=True):
        """The regression targets of a batch; they may adapt the bandwidth.

        Args:
            features: dict, see `training.DriftObjective.targets`.
            batch: see there.
            negatives: see there.
            training: bool, whether a learned bandwidth takes a step.

        Returns:
            What `training.DriftObjective.targets` does.
        """
        learns = training and adaptation.learns_bandwidth(self)
        targets = self.objective.targets(features, batch, negatives, learns)
        if learns or batch.measure_signal is not None:
            adaptation.adapt(self, targets)
        return targets

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        """Updates the compiled metrics with the positives and all samples.

        Of several groups with an odd number of positives each, the last one is
        left out: see `batches.counted_positives`.
        """
        if isinstance(x, TrainingBatch):
            y = batches.counted_positives(shares.all_positives(x))
            y_pred = backend.gather(y_pred)
        return super().compute_metrics(x, y, y_pred)

    def _largest_bandwidth(self):
        return ops.max(self.drift.bandwidth)

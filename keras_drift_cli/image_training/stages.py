"""The stages of a run. Each leaves its result in the folder of the run."""

import dataclasses
import functools
import shutil
import tempfile
import time

import keras
import numpy as np

import keras_drift as kd
from keras_drift.presets import handles
from keras_drift_cli.image_training import networks
from keras_drift_cli.image_training import processes
from keras_drift_cli.image_training import sources
from keras_drift_cli.image_training.report import Features
from keras_drift_cli.image_training.report import Report


class Run:
    """A run: its folder, its data, and what the stages have made so far.

    Args:
        directory: `RunDirectory`.
    """

    def __init__(self, directory):
        self.directory = directory
        self.config = directory.config
        self._sources = self._samples = None

    @property
    def sources(self):
        """The training and the held-out images."""
        if self._sources is None:
            found = sources.load(
                self.config,
                self.directory.path,
                self.config.training.crop_scale,
            )
            self._refuse_other_images(found)
            self._sources = found
        return self._sources

    def _refuse_other_images(self, found):
        """Refuses images that have changed since the run began."""
        fingerprints = [source.fingerprint for source in found]
        begun = self.directory.found("data").get("fingerprints")
        if begun not in (None, fingerprints):
            raise ValueError(
                "The images are not those that this run began with: files "
                "were added, removed or changed, so that other images would "
                "be held out. Give --run another folder, or begin again with "
                f"--redo data. Received: {len(found[0])} images to train on "
                f"and {len(found[1])} held out, instead of "
                f"{self.directory.found('data')['num_images']} and "
                f"{self.directory.found('data')['num_held_out']}"
            )

    @property
    def num_classes(self):
        return len(self.sources[0].class_names)

    @property
    def samples(self):
        """Latents or images in memory, and labels; `None`s if streamed."""
        if self._samples is None:
            self._samples = self._read_samples()
        return self._samples

    @property
    def sample_shape(self):
        data = self.config.data
        shape = (data.image_size, data.image_size, data.channels)
        if self.autoencoder is None:
            return shape
        return self.autoencoder.latent_shape(shape)

    @functools.cached_property
    def autoencoder(self):
        """The autoencoder of the run, or `None`; loaded once."""
        settings = self.config.latents
        if settings is None:
            return None
        if settings.autoencoder != "pca":
            return networks.new_autoencoder(self.config)
        return kd.autoencoders.PatchPCA.from_preset(self.directory / "pca")

    @functools.cached_property
    def discarded(self):
        """A temporary folder, for files that are not those of the run."""
        return tempfile.TemporaryDirectory(ignore_cleanup_errors=True)

    def check_groups(self):
        """Refuses groups that several processes do not divide."""
        groups = self.config.training.groups
        processes.check_groups(min(groups, self.num_classes))

    def encoder(self):
        """The encoder of the features, or `None`: images as they are."""
        settings = self.config.encoder
        if settings is None:
            return None
        handle = settings.preset or self.directory / "encoder"
        parts = [kd.encoders.MAEResNet.from_preset(handle)]
        if settings.convnext is not None:
            parts.append(kd.encoders.ConvNeXtV2.from_preset(settings.convnext))
        return kd.encoders.Union(parts, settings.include_samples)

    @functools.cached_property
    def held_out(self):
        """Samples for the reports, as the generator makes them, and labels."""
        images, labels = sources.read_all(
            self.sources[1], self.config.training.report_samples
        )
        if self.autoencoder is None:
            return images, labels
        return self.autoencoder.encode(images), labels

    def _read_samples(self):
        if self.config.latents is not None:
            cache = kd.datasets.LatentCache(self.directory / "latents")
            return cache.samples, cache.labels
        if self.config.streams_images:
            return None, None
        return networks.samples_in_memory(self.config, self.sources[0])


@processes.by_first
def check_data(run):
    """Counts the images, and reads some of them."""
    training, held_out = run.sources
    labels = np.asarray(training.labels)
    counts = np.bincount(labels, minlength=run.num_classes)
    images, _ = sources.read_all(training, 64)
    print(
        f"Images to train on: {len(training)}, held out: {len(held_out)}. "
        f"Classes: {run.num_classes}, of {counts.min()} images "
        f"({training.class_names[counts.argmin()]!r}) to {counts.max()} "
        f"({training.class_names[counts.argmax()]!r})."
    )
    if not counts.all():
        raise ValueError(
            "Every class needs an image to train on. Received: none of "
            f"{training.class_names[counts.argmin()]!r}"
        )
    run.check_groups()
    return {
        "num_images": len(training),
        "num_held_out": len(held_out),
        "num_classes": run.num_classes,
        "class_names": list(training.class_names),
        "fingerprints": [training.fingerprint, held_out.fingerprint],
        "mean_pixel": float(images.mean()),
    }


@processes.by_first
def cache_latents(run):
    """Encodes all images once."""
    settings = run.config.latents
    training, _ = run.sources
    if settings.autoencoder == "pca":
        pca = networks.new_autoencoder(run.config)
        images, _ = sources.read_all(training, 1000)
        pca.adapt(images)
        pca.save_to_preset(run.directory / "pca")
    cache = kd.datasets.LatentCache.build(
        training,
        run.autoencoder,
        run.directory / "latents",
        keep=settings.keep,
        flip=settings.flip,
    )
    return {"num_latents": len(cache.labels)}


@processes.by_first
def train_encoder(run):
    """Trains the masked autoencoder whose encoder compares samples."""
    train = run.config.encoder.train
    if train is None:
        return {"preset": run.config.encoder.preset}
    encoder = networks.encoder_of(run.config, run.sample_shape[-1])
    model = networks.masked_autoencoder(run.config, encoder, run.num_classes)
    epochs = networks.epochs_of(train.steps)
    batches = _encoder_batches(run, train.steps // epochs)
    history = model.fit(
        batches,
        epochs=epochs,
        shuffle=False,  # they are
        validation_data=run.held_out,
        verbose="auto",
        callbacks=[
            keras.callbacks.BackupAndRestore(run.directory / "encoder_backup"),
            batches.follows(),
        ],
    )
    model.encoder.save_to_preset(
        run.directory / "encoder",
        {"description": f"Encoder of: {run.config.description}"},
    )
    last = {k: v[-1] for k, v in history.history.items()}
    run.directory.continue_log("encoder")
    run.directory.log(stage="encoder", **last)
    return last


def _encoder_batches(run, steps):
    train, seed = run.config.encoder.train, run.config.seed
    samples, labels = run.samples
    if samples is None:
        source = run.sources[0]
        if train.crop_scale != run.config.training.crop_scale:
            # The generator has other crops of the same images.
            source = source.with_crops(train.crop_scale)
        return networks.DecodedBatches(
            source,
            train.batch_size,
            steps,
            seed,
            run.config.data.flip,
            random_crops=train.crop_scale is not None,
        )
    return networks.ShuffledBatches(
        samples, labels, train.batch_size, steps, seed
    )


def train_generator(run):
    """Trains the generator, or goes on where it was stopped.

    By all processes together, on all of their devices.
    """
    processes.by_first(lambda: run.sources)()  # may fetch or unpack them
    run.check_groups()  # there may be other processes than those of before
    # On one device of each process: these are not trained.
    batches, reports = _batches(run), Report(run.directory, *run.held_out)
    with kd.distribution.data_parallel():
        # Also of weights that are replaced: all processes begin with the same.
        keras.utils.set_random_seed(run.config.seed)
        model = networks.drift_model(
            run.config,
            run.sample_shape,
            run.num_classes,
            run.encoder(),
            run.autoencoder,
        )
        callbacks = [reports, *_monitors(run)]
        seconds = _fit_generator(run, model, batches, callbacks)
    # `fit` has replaced the weights by their averages.
    save = processes.by_first(model.save_to_preset)
    save(run.directory / "generator")
    return {"seconds": seconds}


def _fit_generator(run, model, batches, callbacks):
    """Trains to the end, and returns the seconds that it took."""
    training = run.config.training
    checkpoint = kd.callbacks.TrainingCheckpoint(
        run.directory / "checkpoints", keep=training.keep_checkpoints
    )
    first = checkpoint.restore(model)
    if first:
        print(f"Goes on after step {first * training.steps_per_epoch}.")
    else:
        # Not of a run that goes on: it would fill banks that are restored.
        memory = training.device_memory_gb
        print(
            model.preflight(
                batches, device_memory=None if memory is None else 1e9 * memory
            ),
            flush=True,
        )
    start = time.perf_counter()
    model.fit(
        batches,
        epochs=training.steps // training.steps_per_epoch,
        initial_epoch=first,
        verbose="auto",
        callbacks=[checkpoint, *callbacks],
    )
    return time.perf_counter() - start


def _batches(run):
    samples, labels = run.samples
    if samples is not None:
        return networks.batches_of(run.config, samples, labels)
    return networks.banked_batches(run.config, run.sources[0], run.sample_shape)


def _monitors(run):
    """Grids of samples, TensorBoard and Weights & Biases."""
    training = run.config.training
    found = [kd.callbacks.SampleGrid(run.directory / "grids", rows=6)]
    try:
        import tensorboard  # noqa: F401, only whether it is there
        import tensorflow  # noqa: F401, Keras' callback writes with it
    except ImportError as error:
        print(f"No logs for TensorBoard, which need {error.name}.")
    else:
        logs = run.directory / "tensorboard"
        if not processes.is_first():
            # They compute what is logged, as on JAX all have to, and no more.
            logs = run.discarded.name
        found.append(keras.callbacks.TensorBoard(str(logs)))
    if training.wandb is not None and processes.is_first():
        import wandb
        from wandb.integration.keras import WandbMetricsLogger

        wandb.init(
            project=training.wandb,
            dir=str(run.directory.path),
            id=run.directory.wandb_id(),
            resume="allow",
        )
        found.append(WandbMetricsLogger())
    return found


@processes.by_first
def evaluate(run):
    """Measures the generator at every guidance scale."""
    settings = run.config.evaluation
    model = kd.DriftModel.from_preset(run.directory / "generator")
    reference = settings.reference
    if reference is None:
        # Of the held-out images, or of those of training: whatever there is.
        reference, _ = sources.read_all(run.sources[1], settings.num_samples)
    options = {"inception_weights": settings.weights_path}
    if settings.features == "encoder":
        options = {"features": _encoder_features(run)}
    found = kd.evaluation.sweep_guidance(
        model,
        reference,
        settings.guidance,
        num_samples=settings.num_samples,
        seed=run.config.seed,
        batch_size=settings.batch_size,
        directory=run.directory / "evaluation",
        cache_dir=run.directory / "evaluation_cache",
        **options,
    )
    run.directory.continue_log("evaluate")
    for result in found["results"]:
        run.directory.log(stage="evaluate", **result)
    best = found["best"]
    print(f"The best guidance scale is {best['guidance']:g}: {_listed(best)}")
    return {"features": settings.features, **found}


def _encoder_features(run):
    """Features of images: those of the encoder of the run, or pixels."""
    encoder = run.encoder() or kd.encoders.Identity()
    features = Features(encoder, run.sample_shape)

    def of_images(images):
        samples = images.astype("float32") / 127.5 - 1.0
        if run.autoencoder is not None:
            samples = run.autoencoder.encode(samples)
        return features(samples)

    return of_images


def _listed(result):
    return ", ".join(
        f"{name} {value:.4g}"
        for name, value in result.items()
        if isinstance(value, float) and name != "guidance"
    )


@processes.by_first
def save_preset(run):
    """Writes the preset with its card."""
    model = kd.DriftModel.from_preset(run.directory / "generator")
    directory, encoder = run.directory, run.config.encoder
    path = directory / "preset"
    is_of_hub = encoder is not None and handles.is_remote(encoder.preset)
    model.save_to_preset(
        path,
        {
            "description": run.config.description,
            "training_data": directory.found("data"),
            "training": dataclasses.asdict(run.config.training),
            "seconds_of_training": directory.found("generator").get("seconds"),
            "metrics": directory.found("evaluate").get("best", {}),
            "features_of_metrics": directory.found("evaluate").get("features"),
            "measured_with": "keras-drift train",
        },
        # One of a hub is not copied: only training needs it. A folder may be
        # somewhere else where the preset is loaded.
        encoder=encoder.preset if is_of_hub else None,
    )
    labels = list(range(min(3, run.num_classes)))
    print(
        f"The preset: {path}\n"
        f'  model = keras_drift.DriftModel.from_preset("{path}")\n'
        f"  images = model.generate(labels={labels}, seed=0)\n"
        f"or\n  keras-drift draw {path} --out samples.png"
    )
    return {}


STAGES = {
    "data": check_data,
    "latents": cache_latents,
    "encoder": train_encoder,
    "generator": train_generator,
    "evaluate": evaluate,
    "preset": save_preset,
}
NAMES = tuple(STAGES)

# What a stage leaves in the folder of the run.
_MADE = {
    "data": ("unpacked",),
    "latents": ("latents", "pca"),
    "encoder": ("encoder", "encoder_backup"),
    "generator": ("checkpoints", "generator", "grids", "tensorboard"),
    "evaluate": ("evaluation", "evaluation_cache"),
    "preset": ("preset",),
}


def undo(directory, stages):
    """Deletes what stages, and all that come after the first, have made.

    Args:
        directory: `RunDirectory`.
        stages: list of names.
    """
    first = min(map(NAMES.index, stages))
    undone = NAMES[first:]
    # Recorded first: a stage of which a part is deleted is not complete.
    directory.forget(undone)
    directory.log(stage="redo", stages=undone)
    for name in undone:
        for folder in _MADE[name]:
            shutil.rmtree(directory / folder, ignore_errors=True)


def planned(config):
    """The stages of a configuration, in their order."""
    left_out = set()
    if config.latents is None:
        left_out.add("latents")
    if config.encoder is None:
        left_out.add("encoder")
    if config.generator is None:
        left_out |= {"generator", "evaluate", "preset"}
    if config.evaluation is None:
        left_out.add("evaluate")
    return [name for name in NAMES if name not in left_out]

"""The configuration of a run: dataclasses, read from YAML.

Every key of a YAML file is a field here; an unknown one is an error that names
the nearest known one. What a file leaves out has the default of its field, and
a section that it leaves out does not take place.
"""

import dataclasses
import pathlib

import yaml

from keras_drift_cli.image_training.config_checks import checked
from keras_drift_cli.image_training.parsing import ConfigError
from keras_drift_cli.image_training.parsing import nearest
from keras_drift_cli.image_training.parsing import parsed

CONFIGS = pathlib.Path(__file__).parent / "configs"


@dataclasses.dataclass
class Data:
    """Images with classes.

    `source` is `folder`, a tree with one folder for each class; `mnist` or
    `cifar10`, from `path` or downloaded by Keras; or `drawn`, small pictures
    that are drawn by a program.
    """

    source: str = "folder"
    path: str | None = None
    validation_path: str | None = None
    # The share of the images, where there is no `validation_path`; with 0,
    # samples are compared with the training images, as in published metrics.
    held_out: float = 0.1
    image_size: int = 256
    channels: int = 3
    flip: bool = True
    in_memory: bool = False  # decoded once and kept; with latents, unused
    workers: int = 8
    unreadable_share: float = 0.01


@dataclasses.dataclass
class Latents:
    """The autoencoder, whose latents the generator makes.

    `pca`, principal components of patches; or a preset or `hf://` handle.
    """

    autoencoder: str = "hf://stabilityai/sd-vae-ft-mse"
    channels: int = 16  # of `pca`
    patch_size: int = 8  # of `pca`
    keep: str = "moments"  # or "samples"
    flip: bool = True  # both mirror images are cached


@dataclasses.dataclass
class EncoderTraining:
    """Training of a masked autoencoder, whose encoder compares images."""

    base_channels: int = 64
    num_blocks: list[int] = dataclasses.field(
        default_factory=lambda: [3, 4, 6, 3]
    )
    patch_size: int = 1
    mask_ratio: float = 0.5
    mask_patch_size: int | None = None
    steps: int = 2000
    batch_size: int = 256
    learning_rate: float = 4e-3
    warmup_steps: int = 100
    weight_decay: float = 0.01
    ema: float = 0.999
    classifier_weight: float = 0.0  # at the end of a ramp
    classifier_steps: int = 0  # the last steps, which train the classifier too
    classifier_ramp: int = 1
    # Shares of the area: [0.2, 1.0] is that of the official encoders. `null`
    # for the center. For images that are streamed from a folder.
    crop_scale: list[float] | None = None
    dtype: str = "float32"


@dataclasses.dataclass
class Encoder:
    """The features that the drift compares: of a preset, or trained here."""

    preset: str | None = None
    train: EncoderTraining | None = None
    convnext: str | None = None  # another encoder beside it
    means: list[int] = dataclasses.field(default_factory=lambda: [2, 4])
    stds: list[int] = dataclasses.field(default_factory=lambda: [2, 4])
    every_k_blocks: int | None = 2
    include_samples: bool = True


@dataclasses.dataclass
class Generator:
    """A `DiT`; its shape and classes are those of the data."""

    patch_size: int = 2
    hidden_dim: int = 256
    depth: int = 6
    num_heads: int = 4
    mlp_ratio: float = 4.0
    cond_dim: int | None = None
    num_context_tokens: int = 16
    num_style_tokens: int = 32
    style_codebook_size: int = 64
    float32_attention: bool = True
    remat: bool = False
    dtype: str = "float32"


@dataclasses.dataclass
class Drift:
    """A `KernelDrift` with a Laplacian kernel."""

    bandwidths: list[float] = dataclasses.field(
        default_factory=lambda: [0.02, 0.05, 0.2]
    )
    normalization: str = "dual"
    self_interaction: str = "excluded"


@dataclasses.dataclass
class Guidance:
    """The guidance scales that the generator is trained for."""

    low: float = 1.0
    high: float = 4.0
    power: float = 3.0
    plain_fraction: float = 0.0


@dataclasses.dataclass
class Banks:
    """Queues of a stream, for data that cannot be indexed."""

    per_class: int = 128
    overall: int = 1000
    push_per_step: int = 64


@dataclasses.dataclass
class Training:
    """Training of the generator."""

    steps: int = 30_000
    steps_per_epoch: int = 1000  # reports, grids and checkpoints
    groups: int = 64  # classes in a batch
    positives: int = 64
    generated: int = 64
    unconditional: int = 16
    banks: Banks | None = None
    crop_scale: list[float] | None = None  # as that of `encoder.train`
    guidance: Guidance | None = dataclasses.field(default_factory=Guidance)
    learning_rate: float = 2e-4
    schedule: str = "constant"  # or "cosine", after the warm-up
    warmup_steps: int = 5000
    weight_decay: float = 0.01
    beta_2: float = 0.95
    clipnorm: float = 2.0
    ema: float = 0.999
    keep_checkpoints: int = 2
    report_samples: int = 1000
    device_memory_gb: float | None = None  # refuses what does not fit
    wandb: str | None = None  # the project


@dataclasses.dataclass
class Evaluation:
    """The metrics at the end."""

    num_samples: int = 50_000
    guidance: list[float] = dataclasses.field(default_factory=lambda: [1.0])
    features: str = "inception"  # or "encoder", with what was trained here
    weights_path: str | None = None  # of Inception
    reference: str | None = None  # images or statistics; the held-out images
    batch_size: int = 64


@dataclasses.dataclass
class Config:
    """A run. Sections that are `None` do not take place."""

    description: str = ""
    seed: int = 42
    data: Data = dataclasses.field(default_factory=Data)
    latents: Latents | None = None
    encoder: Encoder | None = None
    generator: Generator | None = None
    drift: Drift = dataclasses.field(default_factory=Drift)
    training: Training = dataclasses.field(default_factory=Training)
    evaluation: Evaluation | None = None

    @property
    def streams_images(self):
        """Whether images are decoded as they are needed, and not kept."""
        data = self.data
        in_files = data.source == "folder" or (
            data.source == "cifar10" and data.path is not None
        )
        return in_files and not data.in_memory and self.latents is None


def find(name):
    """The path of a configuration: a file, or one that has a name.

    Args:
        name: str, the path of a YAML file, or the name of a file of `CONFIGS`.

    Returns:
        A `pathlib.Path`.
    """
    path = pathlib.Path(name).expanduser()
    if path.suffix in (".yaml", ".yml"):
        if not path.is_file():
            raise ValueError(f"There is no such file. Received: {name}")
        return path
    known = sorted(p.stem for p in CONFIGS.glob("*.yaml"))
    if name not in known:
        raise ValueError(
            f"A configuration is a YAML file, or one of {', '.join(known)}."
            f"{nearest(name, known)} Received: {name}"
        )
    return CONFIGS / f"{name}.yaml"


def load(path, overrides=()):
    """Reads a configuration.

    Args:
        path: of a YAML file.
        overrides: pairs `("section.key", value)`.

    Returns:
        A `Config`.
    """
    try:
        values = yaml.safe_load(pathlib.Path(path).read_text("utf-8")) or {}
    except yaml.YAMLError as error:
        raise ValueError(f"{path} is not valid YAML: {error}") from error
    if not isinstance(values, dict):
        raise ValueError(
            f"{path} holds sections with keys. Received: {values!r}"
        )
    try:
        for name, value in overrides:
            _override(values, name, value)
        return checked(parsed(Config, values, ""))
    except ConfigError as error:
        raise ValueError(f"{path}: {error}") from error


def dump(config):
    """The configuration with all its defaults, as YAML."""
    return yaml.safe_dump(dataclasses.asdict(config), sort_keys=False)


def parsed_override(text):
    """A pair `("section.key", value)` of a text `section.key=value`."""
    name, separator, value = text.partition("=")
    if not separator:
        raise ValueError(
            "`--set` takes `section.key=value`, such as `training.steps=100`. "
            f"Received: {text}"
        )
    try:
        return name, yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise ValueError(
            f"`--set` takes a value in YAML. Received: {text} ({error})"
        ) from error


def _override(values, name, value):
    *sections, key = name.split(".")
    for depth, section in enumerate(sections, 1):
        if values.get(section) is None:
            values[section] = {}
        values = values[section]
        if not isinstance(values, dict):
            raise ConfigError(
                f"`{'.'.join(sections[:depth])}` is a value and has no keys. "
                f"Received: {name}={value!r}"
            )
    values[key] = value

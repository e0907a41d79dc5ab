"""Converts the weights of the official release to presets.

The generators and encoders of
[Deng et al., 2026](https://arxiv.org/abs/2602.04770) have names, such as
`"drift_l2_latent_imagenet256"` and `"mae_latent_640"`, by which `from_preset`
fetches and converts them on first use. This module converts folders as well, of
the release or of a run of its trainer, in Python and on the command line:

```shell
python -m keras_drift.converters.official ARTIFACT_OR_NAME OUT
```
"""

import argparse

from keras_drift.converters import official_networks
from keras_drift.converters import official_release
from keras_drift.converters.artifact import METADATA
from keras_drift.converters.artifact import WEIGHTS
from keras_drift.converters.artifact import Artifact
from keras_drift.global_policy import global_policy
from keras_drift.presets import cache
from keras_drift.presets import registry


def load(artifact):
    """Makes the network of an artifact, with its weights.

    Args:
        artifact: path of a folder with `ema_params.msgpack` and
            `metadata.json`, or of a run of the official trainer.

    Returns:
        From a generator a `DriftModel`, with the drift of the release and, if
        the folder ends in the path of a released model
        (`models/gen/jax/latent_L_sota`), a reference to its encoder and the
        guidance scales of its training. From a masked autoencoder an
        `encoders.MAEResNet`.

    Raises:
        ValueError: if a file is missing or damaged, or if weights and
            configuration do not match.
    """
    return _load(Artifact(artifact))


def convert(artifact, directory):
    """Writes the preset of an artifact.

    Args:
        artifact: path of a folder, see `load`; or a name, which is fetched: of
            a released preset, such as `"drift_l2_latent_imagenet256"`, or of
            the release, such as `"latent_L_sota"`.
        directory: path of the preset.

    Returns:
        The `DriftModel` or `encoders.MAEResNet` that was written.
    """
    name = official_release.name_of(artifact)
    if name is not None:
        artifact = official_release.fetch(name, directory)
    artifact = Artifact(artifact)
    official_release.report(
        f"converting {artifact.num_bytes / 1e9:.3g} GB of weights to "
        f"{str(directory)!r}"
    )
    card = official_release.card(artifact)
    # Whatever the global policy is now: a preset is kept.
    with global_policy("float32"):
        network = _load(artifact)
        network.save_to_preset(directory, card)
    return network


def cached(name):
    """The folder of a released preset, fetched and converted on first use.

    Args:
        name: str, the name of a released preset.

    Returns:
        A `pathlib.Path` in the cache, see `presets.cache.root`.
    """
    return cache.preset(name, lambda folder: convert(name, folder))


def _load(artifact):
    entry = official_release.entry_of(artifact.folder)
    return official_networks.network(artifact, entry.get("training", {}))


def main(arguments=None):
    """The command line.

    Args:
        arguments: list of str. Defaults to `None`: those of the process.
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        network = convert(options.artifact, options.out)
    except (ImportError, OSError, ValueError) as error:
        parser.exit(1, f"error: {error}\n")
    name = type(network).__name__
    place = "keras_drift" if name == "DriftModel" else "keras_drift.encoders"
    print(
        f"Wrote a preset of {network.count_params():,} parameters. Load it "
        f"with {place}.{name}.from_preset({options.out!r})."
    )


def _parser():
    parser = argparse.ArgumentParser(
        prog="python -m keras_drift.converters.official",
        description="Convert a generator or an encoder of the official release "
        "of drifting models, or of a run of its trainer, to a preset of "
        "keras_drift, which from_preset loads on every backend.",
        epilog=f"Names: {', '.join(registry.released_names())}.",
    )
    parser.add_argument(
        "artifact",
        metavar="ARTIFACT_OR_NAME",
        help=f"folder with {WEIGHTS} and {METADATA}, or folder of a run of the "
        "official trainer, or name of a released network, which is fetched "
        "from the Hugging Face hub",
    )
    parser.add_argument("out", metavar="OUT", help="folder of the new preset")
    return parser


if __name__ == "__main__":
    main()

"""List the presets that have names, or describe one."""

import json

HELP = "list the presets that have names, or describe one"
EXAMPLES = """\
Examples:
  keras-drift presets                 models
  keras-drift presets --all           generators and encoders as well
  keras-drift presets digits_dit      all that is known of one

Presets that are downloaded are fetched and converted on first use. A metric is
shown with its floor, the value for two sets of data, where that was measured.

In Python:
  keras_drift.DriftModel.presets
"""
COLUMNS = ("name", "parameters", "image", "metric", "download", "license")
# The metric of a line: the first of these that the preset has.
_METRICS = (
    "fid",
    "frechet_distance",
    "sliced_wasserstein",
    "nearest_neighbor_accuracy",
)


def add_arguments(parser):
    """Adds the options of this command."""
    parser.add_argument("name", nargs="?", metavar="NAME")
    parser.add_argument(
        "--all",
        action="store_true",
        help="lists generators, encoders and autoencoders as well",
    )


def run(options):
    """Prints a table, or the metadata of one preset as JSON."""
    import keras_drift as kd
    from keras_drift import checks

    models = kd.DriftModel.presets
    parts = {}
    for base in (
        kd.generators.Generator,
        kd.encoders.Encoder,
        kd.autoencoders.Autoencoder,
    ):
        parts |= base.presets
    if options.name is None:
        print(table(models | parts if options.all else models))
        return
    known = models | parts
    if options.name not in known:
        raise ValueError(
            "No preset has this name."
            f"{checks.did_you_mean(options.name, known)} "
            f"Names: {', '.join(known)}. Received: {options.name}"
        )
    print(json.dumps(known[options.name], indent=2))


def table(presets):
    """Formats presets as a table.

    Args:
        presets: dict from names to metadata.

    Returns:
        A str of one line for each, and a heading.
    """
    lines = [COLUMNS, *rows(presets)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(map(str.ljust, line, widths)).rstrip() for line in lines
    )


def rows(presets):
    """The cells of presets under `COLUMNS`.

    Args:
        presets: dict from names to metadata.

    Returns:
        List of tuples of str.
    """
    return [
        (
            name,
            _count(metadata.get("num_parameters", 0)),
            "x".join(map(str, metadata.get("image_shape", ()))) or "-",
            _metric(metadata.get("metrics", {})),
            _gigabytes(metadata.get("download_bytes")),
            _license(metadata),
        )
        for name, metadata in presets.items()
    ]


def _count(parameters):
    millions = parameters / 1e6
    if millions < 1000:
        return f"{millions:.3g}M"
    return f"{millions / 1000:.3g}B"


def _gigabytes(size):
    return "-" if size is None else f"{size / 1e9:.2g} GB"


def _metric(metrics):
    for name in _METRICS:
        if name in metrics:
            floor = metrics.get(f"{name}_floor")
            end = "" if floor is None else f" (floor {floor:.3g})"
            return f"{name.replace('_', ' ')} {metrics[name]:.3g}{end}"
    return "-"


def _license(metadata):
    """The license up to its first sentence."""
    return str(metadata.get("license", "-")).partition(":")[0]

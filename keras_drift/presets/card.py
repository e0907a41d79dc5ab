"""The model card of a preset, in Markdown."""

import json
import re

# Licenses by the names of the Hugging Face hub; others are quoted.
_LICENSES = (
    "apache-2.0",
    "bsd-3-clause",
    "cc-by-4.0",
    "cc-by-nc-4.0",
    "cc-by-sa-4.0",
    "cc0-1.0",
    "gpl-3.0",
    "mit",
    "openrail",
)
_LICENSE_OF_WEIGHTS = re.compile(r"([\w.+-]+)( \(weights\))?(; [^;]*\(data\))?")
_NOT_STATED = "Not stated."


def license_id(metadata):
    """The license of the weights, as hubs call it, or `None`.

    Args:
        metadata: dict, of a preset. The license may be followed by
            `"(weights)"`, and by those of data after a semicolon. Anything else
            may restrict it, and then it is none that hubs know.
    """
    stated = str(metadata.get("license") or "").strip()
    match = _LICENSE_OF_WEIGHTS.fullmatch(stated)
    name = match[1].lower() if match else None
    return name if name in _LICENSES else None


def text(uri, class_path, metadata, picture=None):
    """Writes a card.

    Args:
        uri: str, the address of the preset on its hub.
        class_path: str, such as `"generators.MLP"`, below `keras_drift`.
        metadata: dict, of the preset.
        picture: str, the name of the file of a sample grid. Defaults to
            `None`: without one.

    Returns:
        A str, Markdown with the header of the Hugging Face hub.
    """
    name = uri.rstrip("/").split("/")[-1]
    parts = [
        _header(metadata),
        f"# {name}",
        str(metadata.get("description") or _NOT_STATED),
    ]
    if picture is not None:
        parts.append(f"![Generated samples]({picture})")
    parts += [
        "## How to use it",
        _usage(uri, class_path, metadata),
        "## Training data",
        str(metadata.get("training_data") or _NOT_STATED),
        "## Measured",
        _metrics(metadata),
        "## Network",
        _network(class_path, metadata),
        "## License",
        str(metadata.get("license") or _NOT_STATED),
    ]
    return "\n\n".join(parts) + "\n"


def _header(metadata):
    lines = ["---", "library_name: keras_drift"]
    known = license_id(metadata)
    if known is not None:
        lines.append(f"license: {known}")
    elif metadata.get("license"):
        # JSON strings are YAML strings.
        quoted = json.dumps(str(metadata["license"]))
        lines += ["license: other", f"license_name: {quoted}"]
    lines += ["tags:", "- keras", "- keras_drift", "- one-step-generation"]
    return "\n".join([*lines, "---"])


def _usage(uri, class_path, metadata):
    lines = [
        "```python",
        '# pip install "keras-drift[hub,jax]"',
        "import os",
        "",
        'os.environ["KERAS_BACKEND"] = "jax"  # or "tensorflow", "torch"',
        "import keras_drift as kd",
        "",
    ]
    options = ""
    if metadata.get("has_weights") is False:
        options = ", load_weights=False"
    load = f'kd.{class_path}.from_preset("{uri}"{options})'
    if class_path == "DriftModel":
        lines += [
            f"model = {load}",
            "samples = model.generate(8, seed=0)  # one forward pass",
            "print(samples.shape, samples.min(), samples.max())",
        ]
    else:
        lines += [f"network = {load}", "network.summary()"]
        if not class_path.startswith("generators."):
            lines[-1] = "print(network.count_params())"
    return "\n".join([*lines, "```"])


def _metrics(metadata):
    metrics = metadata.get("metrics")
    if not isinstance(metrics, dict) or not metrics:
        return _NOT_STATED
    lines = ["| metric | value | floor |", "|---|---|---|"]
    for name, value in metrics.items():
        of = name.removesuffix("_floor")
        if of != name and of in metrics:
            continue  # in the line of its metric
        if isinstance(value, (dict, list)):
            continue  # no single value
        floor = metrics.get(f"{name}_floor", "")
        cells = (name.replace("_", " "), value, floor)
        lines.append(f"| {' | '.join(map(_cell, cells))} |")
    lines += [
        "",
        "The floor is the value for two sets of data.",
        f"Measured with: {metadata.get('measured_with') or _NOT_STATED}",
    ]
    return "\n".join(lines)


def _network(class_path, metadata):
    lines = [f"- class: `keras_drift.{class_path}`"]
    for key in ("num_parameters", "image_shape"):
        if metadata.get(key) is not None:
            value = metadata[key]
            shown = f"{value:,}" if isinstance(value, int) else f"{value}"
            lines.append(f"- {key.replace('_', ' ')}: {shown}")
    lines.append(
        f"- written by keras_drift {metadata.get('keras_drift_version')} and "
        f"Keras {metadata.get('keras_version')}; it loads on every backend"
    )
    return "\n".join(lines)


def _cell(value):
    shown = f"{value:.4g}" if isinstance(value, float) else str(value)
    return shown.replace("|", "\\|").replace("\n", " ")

"""Say what is installed, on what Keras runs, and what is missing."""

import importlib.metadata
import importlib.util
import os
import platform
import re

from keras_drift_cli import backends

HELP = "say what is installed, and what is missing"
EXAMPLES = """\
The exit status is 1 if a model cannot run: if no backend is installed, or not
the one that was chosen. Extras that are missing are listed with the line that
installs them.

Example:
  keras-drift doctor
  keras-drift --backend torch doctor
"""
_PACKAGE = "keras-drift"
_PURPOSES = {
    "examples": "training on images, digits, pictures, animations",
    "sharded": "checkpoints of weights that are sharded over hosts (JAX)",
    "hub": "presets on hubs",
    "imagenet": "Stable Diffusion's autoencoder, input of ImageNet",
    "eval": "FID, Inception score, KID, precision and recall",
    "export-jax": "export to ONNX and OpenVINO",
    "export-tensorflow": "export to ONNX and OpenVINO",
    "export-torch": "export to ONNX and OpenVINO",
    "bench": "benchmarks",
    "docs": "the documentation site",
    "test": "tests",
}
_REQUIREMENT = re.compile(
    r"""([\w.-]+)(?:\[[^\]]*\])?[^;]*;.*extra\s*==\s*["']([\w-]+)["']"""
)


def add_arguments(parser):
    """This command has no options."""
    del parser


def run(options):
    """Prints the report; returns 1 if a model cannot run."""
    name = os.environ.get("KERAS_BACKEND")
    print(f"python       {platform.python_version()}, {platform.platform()}")
    for package in (_PACKAGE, "keras", "numpy"):
        print(f"{package:12} {version(package) or 'missing'}")
    print(f"backend      {name or '-'} ({options.backend_reason})")
    for each in backends.NAMES:
        found = version(each)
        line = found or f'missing: pip install "{_PACKAGE}[{each}]"'
        print(f"  {each:10} {line}")
    healthy = _print_devices()
    print("extras")
    for extra, packages in extras().items():
        prefix, _, of_backend = extra.partition("export-")
        if not prefix and version(of_backend) is None:
            continue  # of another backend
        missing = [each for each in packages if version(each) is None]
        purpose = _PURPOSES.get(extra, "")
        if not missing:
            print(f"  {extra:18} complete ({purpose})")
            continue
        print(f"  {extra:18} without {', '.join(missing)} ({purpose})")
        print(f'  {"":18} pip install "{_PACKAGE}[{extra}]"')
    return 0 if healthy else 1


def version(package):
    """The version of an installed package, or `None`.

    A package that was not installed by pip, such as one on `PYTHONPATH`, is
    found by its module.
    """
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        module = package.replace("-", "_")
        found = importlib.util.find_spec(module)
        return "without version" if found else None


def extras():
    """The extras of this package and what they install, without backends.

    Returns:
        A dict from names to lists of packages.
    """
    try:
        requirements = importlib.metadata.requires(_PACKAGE) or ()
    except importlib.metadata.PackageNotFoundError:
        return {}
    found = {}
    for requirement in requirements:
        match = _REQUIREMENT.match(requirement)
        if match and match[2] not in backends.NAMES and match[1] != _PACKAGE:
            found.setdefault(match[2], []).append(match[1])
    return found


def _print_devices():
    """Prints on what Keras runs; returns whether it does."""
    try:
        import keras
    except (ImportError, ValueError) as error:
        print(f"devices      none: {error}")
        return False
    try:
        devices = keras.distribution.list_devices()
    except (AttributeError, NotImplementedError):
        devices = [keras.ops.convert_to_tensor(0.0).device]
    except Exception as error:  # a backend that is installed does not start
        print(f"devices      none: {type(error).__name__}: {error}")
        return False
    print(f"devices      {', '.join(map(str, devices))}")
    print(f"precision    {keras.config.dtype_policy().name}")
    return True

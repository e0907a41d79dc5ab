"""Optional dependencies, imported where they are needed."""

import importlib


def load(module, purpose, package, extra):
    """Imports a module of an optional dependency.

    Args:
        module: str, the name of the module.
        purpose: str, what needs it: the subject of the error's sentence, in
            the plural.
        package: str, the name of the package that users know.
        extra: str, the extra of keras-drift that installs it.

    Returns:
        The module.

    Raises:
        ModuleNotFoundError: if the package is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"{purpose} need the package {package}: "
            f'pip install "keras-drift[{extra}]".',
            name=error.name,
        ) from error

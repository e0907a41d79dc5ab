"""torch-fidelity, imported when used."""

import contextlib
import importlib
import sys
import types

from keras_drift import extras

_TORCHVISION = (
    "torchvision",
    "torchvision.datasets",
    "torchvision.transforms",
    "torchvision.transforms.functional",
)


def load(module):
    """Imports a module of torch-fidelity.

    Args:
        module: str, such as `"metric_fid"`.

    Returns:
        The module.
    """
    with _torchvision():
        return extras.load(
            f"torch_fidelity.{module}",
            "Published metrics",
            "torch-fidelity",
            "eval",
        )


def tensor(array):
    """A NumPy array as a tensor of PyTorch."""
    torch = extras.load("torch", "Published metrics", "torch", "eval")
    return torch.from_numpy(array)


class _StandIn(types.ModuleType):
    """A module with any class that is asked for, all of them empty."""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})


@contextlib.contextmanager
def _torchvision():
    """Stands in for torchvision where it cannot be imported.

    torch-fidelity 0.4 imports it for data sets and networks that are not used
    here. The wheels of PyPI for Linux are built for CUDA: beside a PyTorch for
    CPUs they raise when imported.
    """
    if "torch_fidelity" in sys.modules or _is_importable("torchvision"):
        yield
        return
    for name in _TORCHVISION:
        module = sys.modules[name] = _StandIn(name)
        parent, _, child = name.rpartition(".")
        if parent:
            setattr(sys.modules[parent], child, module)
    try:
        yield
    finally:
        # Nobody else takes them for torchvision.
        for name in _TORCHVISION:
            sys.modules.pop(name, None)


def _is_importable(name):
    try:
        importlib.import_module(name)
    except Exception:
        return False
    return True

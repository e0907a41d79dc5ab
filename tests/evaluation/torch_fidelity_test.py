import importlib
import subprocess
import sys

import numpy as np
import pytest

from keras_drift.evaluation import torch_fidelity

PROGRAM = """
import sys
from keras_drift.evaluation import torch_fidelity

class Broken:
    def find_spec(self, name, path=None, target=None):
        if name == "torchvision":
            raise RuntimeError("operator torchvision::nms does not exist")

sys.meta_path.insert(0, Broken())
assert "torch_fidelity" not in sys.modules
metric = torch_fidelity.load("metric_kid")
assert callable(metric.kid_features_to_metric)
assert not any(name.startswith("torchvision") for name in sys.modules)
"""


@pytest.mark.slow
def test_is_imported_beside_a_torchvision_that_does_not_work():
    subprocess.run([sys.executable, "-c", PROGRAM], check=True)


def test_the_stand_in_is_nobody_elses(monkeypatch):
    monkeypatch.delitem(sys.modules, "torch_fidelity", raising=False)
    monkeypatch.setattr(torch_fidelity, "_is_importable", lambda name: False)
    with torch_fidelity._torchvision():
        datasets = importlib.import_module("torchvision.datasets")
        assert issubclass(datasets.CIFAR10, object)
        transforms = importlib.import_module("torchvision.transforms")
        functional = sys.modules["torchvision.transforms.functional"]
        assert transforms.functional is functional
    assert not any(name.startswith("torchvision") for name in sys.modules)


def test_tensors_share_the_values():
    array = np.arange(3.0)
    assert torch_fidelity.tensor(array).double().tolist() == [0.0, 1.0, 2.0]


def test_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch_fidelity", None)
    monkeypatch.delitem(sys.modules, "torch_fidelity.metric_fid", raising=False)
    with pytest.raises(ModuleNotFoundError, match=r"keras-drift\[eval\]"):
        torch_fidelity.load("metric_fid")

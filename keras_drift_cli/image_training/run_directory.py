"""The folder of a run: what it is made with, and how far it is."""

import json
import pathlib
import platform
import shutil
import sys
import uuid

import keras
import numpy as np
import yaml

import keras_drift as kd
from keras_drift.atomic_files import write_bytes
from keras_drift_cli.image_training import config as configs
from keras_drift_cli.image_training import processes

# What stages that are not complete resume from.
_RESUMED = ("latents", "encoder_backup", "checkpoints")


class RunDirectory:
    """A folder that holds everything about a run.

    `config.yaml`, the configuration with all defaults; `environment.json`,
    versions and devices; `metrics.jsonl`, a line for every report;
    `stages.json`, the stages that are complete; and a folder for each stage.
    Of several processes, the first one writes to it, and the others read.

    Args:
        path: of the folder, created if needed.
        config: `config.Config`. A folder of another configuration is refused,
            unless no stage of it is complete or can be resumed: it is begun
            again.
    """

    def __init__(self, path, config):
        self.path = pathlib.Path(path)
        self.config = config
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._check_same()
            self._write("config.yaml", configs.dump(config))
        except OSError as error:
            raise OSError(
                "The folder of the run cannot be written to: give another one, "
                f"--run FOLDER. Received: {self.path} ({error})"
            ) from error
        environment = json.dumps(_environment(), indent=2)
        self._write("environment.json", environment)

    def __truediv__(self, name):
        return self.path / name

    def is_complete(self, stage):
        """Whether a stage has ended."""
        return stage in self._stages()

    def complete(self, stage, **found):
        """Records that a stage has ended, and what it found."""
        stages = {**self._stages(), stage: found}
        self._write("stages.json", json.dumps(stages, indent=2))

    def forget(self, stages):
        """Records that some stages have not ended."""
        kept = {k: v for k, v in self._stages().items() if k not in stages}
        self._write("stages.json", json.dumps(kept, indent=2))

    def wandb_id(self):
        """The name of this run at Weights & Biases, kept when it resumes."""
        path = self.path / "wandb_id"
        if not path.exists():
            self._write("wandb_id", uuid.uuid4().hex)
        return path.read_text()

    def found(self, stage):
        """What a complete stage found, a dict."""
        return self._stages().get(stage, {})

    def log(self, **numbers):
        """Adds a line to `metrics.jsonl`."""
        if not processes.is_first():
            return
        with open(self._metrics, "a", encoding="utf-8") as file:
            file.write(json.dumps(numbers) + "\n")

    def continue_log(self, stage, step=0):
        """Deletes the last lines of a stage which it is about to write again.

        A run that was killed may have written lines after the checkpoint that
        it goes on from, the last of them not to its end.

        Args:
            stage: str. Only lines at the end of the file, after those of any
                other stage, are deleted.
            step: int, the step that the stage goes on from. Lines up to it
                stay. Defaults to `0`.
        """
        if not self._metrics.exists():
            return
        lines = self._metrics.read_text("utf-8").splitlines(keepends=True)
        kept = len(lines)
        while kept and _is_later(lines[kept - 1], stage, step):
            kept -= 1
        if kept < len(lines):
            self._write(self._metrics.name, "".join(lines[:kept]))

    @property
    def _metrics(self):
        return self.path / "metrics.jsonl"

    def _write(self, name, text):
        """Writes a text file, whole or not at all."""
        if processes.is_first():
            write_bytes(self.path / name, text.encode())

    def _stages(self):
        return complete_stages(self.path)

    def _check_same(self):
        path = self.path / "config.yaml"
        if not path.exists():
            if any(self.path.iterdir()):
                raise ValueError(
                    "A run has a folder of its own. Received: "
                    f"{self.path}, which holds other files"
                )
            return
        old = _flat(yaml.safe_load(path.read_text("utf-8")))
        new = _flat(yaml.safe_load(configs.dump(self.config)))
        names = sorted(set(old) | set(new))
        changed = [n for n in names if old.get(n) != new.get(n)]
        folders = [self.path / name for name in _RESUMED]
        begun = any(f.is_dir() and any(f.iterdir()) for f in folders)
        if changed and not begun and not self._stages():
            shutil.rmtree(self.path / "unpacked", ignore_errors=True)
        elif changed:
            name = changed[0]
            raise ValueError(
                f"{self.path} is a run of another configuration: give --run "
                "another folder, or delete this one. Differences: "
                f"{', '.join(changed)}; {name} is {old.get(name)!r} there and "
                f"{new.get(name)!r} here."
            )


def complete_stages(path):
    """What the complete stages of a folder found: a dict, by their names."""
    path = pathlib.Path(path) / "stages.json"
    return json.loads(path.read_text("utf-8")) if path.is_file() else {}


def _is_later(line, stage, step):
    """Whether a line is one of a stage after a step, or was not completed."""
    if not line.endswith("\n"):
        return True
    found = json.loads(line)
    return found["stage"] == stage and found.get("step", step + 1) > step


def _flat(values, where=""):
    if not isinstance(values, dict):
        return {where: values}
    found = {}
    for key, value in values.items():
        found.update(_flat(value, f"{where}.{key}" if where else key))
    return found


def _environment():
    return {
        "backend": keras.backend.backend(),
        "keras": keras.__version__,
        "keras_drift": kd.__version__,
        "numpy": np.__version__,
        "python": sys.version.split()[0],
        "system": platform.platform(),
        "devices": [str(d) for d in keras.distribution.list_devices()]
        if keras.backend.backend() == "jax"
        else [],
        "command": sys.argv[1:],
    }

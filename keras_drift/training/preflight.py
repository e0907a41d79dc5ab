"""How a batch is divided over devices, and the memory of each."""

from typing import NamedTuple


class Preflight(NamedTuple):
    """How a training run is divided over devices: see `DriftModel.preflight`.

    Printed, it is a table for the beginning of a log.

    Attributes:
        devices: int, the devices that train.
        processes: int, the processes of the run.
        engine: str, what distributes the run, with its mesh.
        groups: int, groups in a batch of all processes.
        positives: int, positives in each group.
        generated: int, generated samples in each group.
        split: `"groups"` or `"samples"`, the axis of the field that is divided;
            `None` on one device.
        per_device: int, groups, or samples of each group, of one device.
        padding: int, how many of them, over all devices, are padding, which
            has weight zero.
        field_scope: `"global"` or `"local"`.
        memory: dict from what is held to its bytes on the device that holds
            most: `"generator"`, `"encoder"`, `"other weights"`, `"gradients"`,
            `"optimizer"`, `"averages"`, `"samples"`.
        device_memory: float, the bytes that there are, or `None`.
        notes: tuple of str, such as idle devices, or data that each holds.
    """

    devices: int
    processes: int
    engine: str
    groups: int
    positives: int
    generated: int
    split: str | None
    per_device: int
    padding: int
    field_scope: str
    memory: dict
    device_memory: float | None
    notes: tuple

    @property
    def total_memory(self):
        """The bytes of all that is counted in `memory`."""
        return sum(self.memory.values())

    def __str__(self):
        rows = [
            ("devices", f"{self.devices}, {self.engine}"),
            ("processes", str(self.processes)),
            ("batch", self._batch()),
            ("split", self._split()),
            ("field", self._field()),
            ("memory", "of one device, at least:"),
            *((f"  {k}", _size(n)) for k, n in self.memory.items() if n),
            ("  sum", self._sum()),
            (
                "  not counted",
                "features, activations, the field, copies in half precision",
            ),
            *(("note", note) for note in self.notes),
        ]
        width = max(len(name) for name, _ in rows)
        return "\n".join(f"{name.ljust(width)}  {text}" for name, text in rows)

    def _batch(self):
        return (
            f"groups: {self.groups:,}, each of {self.positives:,} positives "
            f"and {self.generated:,} generated samples"
        )

    def _split(self):
        if self.split is None:
            return "not divided"
        each = "" if self.split == "groups" else " of each group"
        padding = f", {self.padding} of all are padding" * bool(self.padding)
        return (
            f"{self.split}: {self.per_device:,}{each} on every device{padding}"
        )

    def _field(self):
        if self.field_scope == "local" and self.devices > 1:
            return "local: of the part of the batch on each device"
        return "global: of the whole batch"

    def _sum(self):
        if self.device_memory is None:
            return _size(self.total_memory)
        return f"{_size(self.total_memory)} of {_size(self.device_memory)}"


def _size(number):
    for unit in ("B", "kB", "MB"):
        if number < 1000:
            return f"{number:.4g} {unit}"
        number /= 1000
    return f"{number:,.2f} GB"

"""The table of a benchmark run: printed, and written as JSON."""

import json

import keras
import measuring

import keras_drift as kd

# Key of a row, width and format of its column, heading.
COLUMNS = (
    ("seconds", 10, ".4g", "seconds"),
    ("gflops", 9, ".1f", "GFLOP/s"),
    ("share_of_roofline", 7, ".0%", "share"),
    ("pairs_per_second", 9, ".2g", "pairs/s"),
    ("peer_seconds", 10, ".4g", "peer"),
    ("ratio", 7, ".2f", "ratio"),
    ("megabytes", 7, ".0f", "MB"),
)


class Report:
    """Collects what is measured; the file is complete after every row.

    Args:
        path: where the JSON goes.
        roofline: `measuring.Roofline`, to compare with.
    """

    def __init__(self, path, roofline):
        self.path = path
        self.roofline = roofline
        self.rows = []
        rates = ", ".join(
            f"{rate:.0f} ({precision})"
            for precision, rate in roofline.matmul_gflops.items()
        )
        print(
            f"{measuring.BACKEND} on {measuring.device()}: matrix products in "
            f"GFLOP/s: {rates}; copies at {roofline.copy_gbytes:.0f} GB/s\n"
        )
        headings = (f"{heading:>{width}s}" for _, width, _, heading in COLUMNS)
        print(f"{'':48s}{''.join(headings)}", flush=True)
        self._write()

    def add(self, section, name, found, work=None):
        """A row of the table.

        Args:
            section: the part of the benchmark.
            name: what was measured.
            found: dict with `seconds`, and what else is known.
            work: `measuring.Work`, for rates and the share of the roofline.
        """
        row = {"section": section, "name": name, **found}
        if work is not None:
            row.update(self._rates(work, found["seconds"]))
        self._append(row)
        cells = (
            f"{format(row[key], form) if key in row else '':>{width}s}"
            for key, width, form, _ in COLUMNS
        )
        print(f"{name:48s}{''.join(cells)}", flush=True)

    def note(self, section, name, exponent):
        """A fitted exponent."""
        self._append({"section": section, "name": name, "exponent": exponent})
        print(f"{name:48s}exponent {exponent:.2f}", flush=True)

    def fail(self, section, error):
        """A section that could not be measured to its end."""
        self._append(
            {"section": section, "name": section, "error": repr(error)}
        )
        print(f"{section:48s}failed: {error!r}", flush=True)

    def _rates(self, work, seconds):
        floor, bound = self.roofline.seconds(work)
        rates = {
            "gflops": work.flops / seconds / 1e9,
            "gbytes_per_second": work.bytes / seconds / 1e9,
            "roofline_seconds": floor,
            "bound": bound,
            "share_of_roofline": floor / seconds,
        }
        if work.pairs is not None:
            rates["pairs_per_second"] = work.pairs / seconds
        if work.samples is not None:
            rates["samples_per_second"] = work.samples / seconds
        return rates

    def _append(self, row):
        self.rows.append(row)
        self._write()

    def _write(self):
        self.path.parent.mkdir(parents=True, exist_ok=True)
        content = {
            "backend": measuring.BACKEND,
            "device": measuring.device(),
            "keras": keras.__version__,
            "keras_drift": kd.__version__,
            **self.roofline._asdict(),
            "rows": self.rows,
        }
        self.path.write_text(json.dumps(content, indent=2))

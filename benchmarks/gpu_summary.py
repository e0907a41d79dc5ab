"""Keeps `summary.json` of `gpu.sh`, and prints it.

    python benchmarks/gpu_summary.py OUT --environment
    python benchmarks/gpu_summary.py OUT --part NAME STATUS SECONDS LIMIT LOG
    python benchmarks/gpu_summary.py OUT

The first records the machine, the second what a part of the script has found,
the third prints everything. Needs no package.
"""

import argparse
import json
import os
import pathlib
import platform
import re
import subprocess
from importlib import metadata

PACKAGES = (
    "jax",
    "jaxlib",
    "jax-cuda12-plugin",
    "jax-cuda13-plugin",
    "torch",
    "keras",
    "numpy",
    "optree",
    "scipy",
    "pytest",
)
# What `timeout` returns for a command that ran too long.
STATUSES = {"0": "ok", "1": "failed", "124": "timed out", "137": "killed"}
GPU_FIELDS = "name,driver_version,memory.total,clocks.sm,clocks.max.sm"


def environment():
    """The machine and the versions of what is measured on it."""
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = None
    return {
        "gpu": _output_of(
            "nvidia-smi", f"--query-gpu={GPU_FIELDS}", "--format=csv,noheader"
        ),
        "commit": _output_of("git", "rev-parse", "HEAD"),
        "python": platform.python_version(),
        "system": platform.platform(),
        "cpus": os.cpu_count(),
        "versions": versions,
    }


def _output_of(*command):
    try:
        found = subprocess.run(command, capture_output=True, text=True)
    except OSError:
        return None
    return found.stdout.strip() or None


def tests_in(log):
    """What pytest says in the last part of a log, `None` without any tests."""
    text = log.read_text(errors="replace").rpartition("\n== ")[2]
    outcomes = re.findall(r"^\[gw\d+\].* (PASSED|FAILED|ERROR) ", text, re.M)
    if not outcomes:
        return None
    counts = {word.lower(): outcomes.count(word) for word in set(outcomes)}
    failures = re.findall(r"^(?:FAILED|ERROR) (.*)$", text, re.M)
    if not failures:  # killed before it could print why
        failures = re.findall(
            r"^\[gw\d+\].* (?:FAILED|ERROR) (.*)$", text, re.M
        )
    return {"counts": counts, "failures": failures}


def print_part(part):
    print(
        f"{part['name']:45s}{part['status']:>12s}{part['seconds']:>6d} s of "
        f"{part['limit']:d}"
    )
    found = part.get("tests")
    if found:
        print(f"    {found['counts']}")
        for failure in found["failures"]:
            print(f"    {failure[:160]}")


def print_benchmarks(folder):
    for path in sorted(folder.glob("bench_*.json")):
        content = json.loads(path.read_text())
        rates = ", ".join(
            f"{rate:.0f} ({precision})"
            for precision, rate in content["matmul_gflops"].items()
        )
        print(
            f"\n{content['backend']} on {content['device']}: products in "
            f"GFLOP/s: {rates}; copies at {content['copy_gbytes']:.0f} GB/s"
        )
        for row in content["rows"]:
            print(f"    {row['name']:46s}{_rates(row)}")


def _rates(row):
    if "error" in row:
        return row["error"][:100]
    forms = {
        "seconds": "{:.3g} s",
        "gflops": "{:.0f} GFLOP/s",
        "share_of_roofline": "{:.0%}",
        "pairs_per_second": "{:.2g} pairs/s",
        "samples_per_second": "{:.3g} samples/s",
        "megabytes": "{:.0f} MB",
    }
    return ", ".join(
        form.format(row[key]) for key, form in forms.items() if key in row
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--environment", action="store_true")
    parser.add_argument("--part", nargs=5)
    args = parser.parse_args()
    path = args.folder / "summary.json"
    if args.environment:
        summary = {"environment": environment(), "parts": []}
        print(json.dumps(summary["environment"], indent=2))
    else:
        summary = json.loads(path.read_text())
    if args.part:
        name, status, seconds, limit, log = args.part
        part = {
            "name": name,
            "status": STATUSES.get(status, status),
            "seconds": int(seconds),
            "limit": int(limit),
            "tests": tests_in(args.folder / log),
        }
        summary["parts"].append(part)
        print_part(part)
    path.write_text(json.dumps(summary, indent=2))
    if not (args.environment or args.part):
        print(f"\n{summary['environment']['gpu']}")
        for part in summary["parts"]:
            print_part(part)
        print_benchmarks(args.folder)


if __name__ == "__main__":
    main()

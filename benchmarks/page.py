"""Measures the page of `docs/demo` in headless Chromium, on WebAssembly.

    make page
    python benchmarks/page.py

For each model, and a browser without a cache: seconds from opening the page
until it shows its first images, and of processor time that the browser takes
for it, which is the better number on a busy machine; seconds from a click on
"Another seed" until it shows the next 25 images of a class and 50 of all
classes; and for a single image, without showing it.
"""

import argparse
import contextlib
import json
import os
import pathlib
import statistics
import sys
import time

from playwright.sync_api import sync_playwright

ROOT = pathlib.Path(__file__).parents[1]
sys.path.append(str(ROOT / "docs" / "demo"))

import browse_page  # noqa: E402

CLICK = """() => new Promise((resolve) => {
    const gallery = document.getElementById("gallery");
    const start = performance.now();
    document.getElementById("another").click();
    const ready = () => {
        if (gallery.ariaBusy === "true") requestAnimationFrame(ready);
        else resolve((performance.now() - start) / 1000);
    };
    ready();
})"""
DRAW = """async (size) => {
    const noise = Array.from({ length: size }, Math.random);
    const start = performance.now();
    await keras_drift.draw({ labels: [0], guidance: 1, noise });
    return (performance.now() - start) / 1000;
}"""


def processor_seconds():
    """Of all processes that this one has started (Linux)."""
    parents, seconds = {}, {}
    for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has ended
            fields = path.read_text().rpartition(")")[2].split()
            process = int(path.parent.name)
            parents[process] = int(fields[1])
            ticks = int(fields[11]) + int(fields[12])
            seconds[process] = ticks / os.sysconf("SC_CLK_TCK")

    def is_ours(process):
        parent = parents.get(process, 0)
        return parent == os.getpid() or (parent > 1 and is_ours(parent))

    return sum(seconds[process] for process in parents if is_ours(process))


def measure(browser, address, model, rounds):
    """Seconds without a cache: first images, next ones, a single image."""
    context = browser.new_context()  # with a cache of its own
    page = context.new_page()
    page.goto("about:blank")  # starts its processes
    before, start = processor_seconds(), time.perf_counter()
    page.goto(f"{address}?engine=wasm&model={model['name']}")
    browse_page.wait_until_ready(page)
    first = [time.perf_counter() - start, processor_seconds() - before]
    size = 1
    for length in model["noise_shape"]:
        size *= length
    page.evaluate(DRAW, size)  # another shape of batch
    found = {
        "first": first,
        "next": [page.evaluate(CLICK) for _ in range(rounds)],
        "single": [page.evaluate(DRAW, size) for _ in range(rounds)],
    }
    context.close()
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--page", default="outputs/page")
    parser.add_argument("--loads", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=10)
    args = parser.parse_args()
    models = pathlib.Path(args.page, "models.json").read_text("utf-8")
    print("seconds, median and maximum")
    print("| model | first images | processor | 75 more | a single image |")
    print("|---|---|---|---|---|")
    with browse_page.served(args.page) as address, sync_playwright() as tool:
        browser = browse_page.launch(tool)
        for model in json.loads(models)["models"]:
            found = [
                measure(browser, address, model, args.rounds)
                for _ in range(args.loads)
            ]
            values = (
                [one["first"][0] for one in found],
                [one["first"][1] for one in found],
                [second for one in found for second in one["next"]],
                [second for one in found for second in one["single"]],
            )
            cells = [
                f"{statistics.median(v):.3f}, {max(v):.3f}" for v in values
            ]
            print(f"| {model['name']} | {' | '.join(cells)} |", flush=True)
        browser.close()


if __name__ == "__main__":
    main()

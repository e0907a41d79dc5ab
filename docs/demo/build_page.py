"""Builds the page that generates images in the browser.

    npm ci --prefix docs/demo
    python docs/demo/build_page.py --output outputs/page

Exports the built-in models to ONNX and puts them, the sources of the page and
the files of onnxruntime-web that it runs into one folder of static files. `make
page` does both.
"""

import argparse
import json
import pathlib
import shutil

import keras_drift as kd

HERE = pathlib.Path(__file__).parent
SOURCES = HERE / "page"
RUNTIME = HERE / "node_modules" / "onnxruntime-web" / "dist"
RUNTIME_FILES = (
    # WebAssembly on the CPU.
    "ort.wasm.min.mjs",
    "ort-wasm-simd-threaded.mjs",
    "ort-wasm-simd-threaded.wasm",
    # WebGPU.
    "ort.jspi.min.mjs",
    "ort-wasm-simd-threaded.jspi.mjs",
    "ort-wasm-simd-threaded.jspi.wasm",
)
MODELS = {
    "digits_dit": "Digits",
    "mnist_mlp": "MNIST",
    "cifar10_mlp": "CIFAR-10",
}
DIGITS = "0, 1, 2, 3, 4, 5, 6, 7, 8, 9"


def build(output):
    """Writes the page.

    Args:
        output: path of the folder. A page that is there is replaced.
    """
    output = pathlib.Path(output)
    check_runtime()
    if output.exists() and not is_page_or_empty(output):
        raise ValueError(
            "The page replaces its folder, but this one holds other files. "
            f"Choose another. Received: output={str(output)!r}"
        )
    shutil.rmtree(output, ignore_errors=True)
    shutil.copytree(SOURCES, output)
    (output / "runtime").mkdir()
    for name in RUNTIME_FILES:
        shutil.copy(RUNTIME / name, output / "runtime" / name)
    (output / "models").mkdir()
    models = [export(name, title, output) for name, title in MODELS.items()]
    manifest = json.dumps({"models": models}, indent=2)
    (output / "models.json").write_text(manifest + "\n", "utf-8")


def is_page_or_empty(folder):
    """Whether a folder holds nothing but what `build` writes."""
    known = {file.name for file in SOURCES.iterdir()}
    known |= {"models", "models.json", "runtime"}
    is_source = folder.resolve() == SOURCES.resolve()
    return (
        folder.is_dir()
        and not is_source
        and {file.name for file in folder.iterdir()} <= known
    )


def check_runtime():
    """Raises a `FileNotFoundError` if onnxruntime-web is not installed."""
    missing = [name for name in RUNTIME_FILES if not (RUNTIME / name).exists()]
    if missing:
        raise FileNotFoundError(
            "The page needs onnxruntime-web: run `npm ci --prefix docs/demo`. "
            f"Received: no {', '.join(missing)} in {RUNTIME}"
        )


def export(name, title, output):
    """Exports a built-in model; returns its entry in `models.json`."""
    model = kd.DriftModel.from_preset(name)
    file = f"models/{name}.onnx"
    model.export(output / file, verbose=False)
    metadata = kd.DriftModel.presets[name]
    sampler = model.guidance_sampler
    return {
        "name": name,
        "title": title,
        "description": metadata["description"],
        "file": file,
        "bytes": (output / file).stat().st_size,
        "image_shape": list(model.image_shape),
        "noise_shape": list(model.generator.noise_shape),
        "classes": metadata.get("classes", DIGITS).split(", "),
        "guidance": [sampler.low, sampler.high] if sampler else [1.0, 1.0],
        "default_guidance": metadata["metrics"].get("guidance", 1.0),
    }


def main():
    """Builds the page, and says how to look at it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--output", default="outputs/page")
    output = parser.parse_args().output
    build(output)
    print(f"The page is in {output}. To look at it, run")
    print(f"    python -m http.server --bind 127.0.0.1 --directory {output}")
    print("and open http://127.0.0.1:8000 in a browser.")


if __name__ == "__main__":
    main()

"""Exported networks give the samples of `generate`."""

import contextlib
import functools
import io
import pathlib
import subprocess
import sys
import warnings

import full_disk
import keras
import numpy as np
import pytest

from keras_drift import DriftModel
from keras_drift import autoencoders
from keras_drift import export
from keras_drift import generators
from keras_drift.backend.export_formats import PACKAGES
from keras_drift.backend.export_formats import WITHOUT_INT8
from keras_drift.export import onnx_file
from runtimes import served

BACKEND = keras.backend.backend()
FORMATS = [*PACKAGES[BACKEND]]
ENDINGS = {
    "tf_saved_model": "",
    "onnx": ".onnx",
    "openvino": ".xml",
    "litert": ".tflite",
    "torch": ".pt2",
}
PRESETS = ["digits_dit", "mnist_mlp", "cifar10_mlp"]


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    generator = generators.MLP(2, hidden_dims=(8,), num_classes=3, num_codes=2)
    return DriftModel(generator)


@pytest.fixture(scope="module")
def exported(model, tmp_path_factory):
    """The model in each format, and what was printed; both made once."""
    folder = tmp_path_factory.mktemp("exported")

    @functools.cache
    def exported(format):
        path = folder / f"network{ENDINGS[format]}"
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            model.export(path)
        return path, printed.getvalue()

    return exported


@pytest.fixture(autouse=True)
def _converters_may_warn():
    """The runtimes, TensorFlow's first, warn about themselves."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def inputs_and_samples(model, n, guidance=1.0):
    inputs = model.generator.sample_inputs(n, guidance=guidance, seed=0)
    return inputs, model.generate(n, guidance=guidance, seed=0)


@pytest.mark.parametrize("format", FORMATS)
def test_a_batch_of_any_size_is_that_of_generate(model, format, exported):
    path, _ = exported(format)
    for n in (1, 3):
        inputs, samples = inputs_and_samples(model, n)
        np.testing.assert_allclose(served(path, inputs), samples, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("quantized", [False, True])
@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("preset", PRESETS)
def test_presets_are_exported_exactly(preset, format, quantized, tmp_path):
    if quantized and format in WITHOUT_INT8.get(BACKEND, ()):
        pytest.skip("refused, which another test sees")
    model = DriftModel.from_preset(preset)
    if quantized:
        model.generator.quantize("int8")
    path = tmp_path / f"network{ENDINGS[format]}"
    model.export(path, verbose=False)
    guidance = 1.0 if model.guidance_sampler is None else 1.5
    inputs, samples = inputs_and_samples(model, 5, guidance)
    np.testing.assert_allclose(served(path, inputs), samples, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("format", FORMATS)
def test_a_transformer_with_all_inputs_and_a_decoder(format, tmp_path):
    generator = generators.DiT(
        image_shape=(4, 4, 4),
        num_classes=3,
        hidden_dim=8,
        depth=1,
        num_heads=2,
        num_context_tokens=2,
        num_style_tokens=2,
        style_codebook_size=4,
    )
    rng = np.random.default_rng(0)
    for variable in generator.variables:
        noise = rng.normal(scale=0.3, size=variable.shape)
        variable.assign(variable + noise.astype("float32"))
    decoder = autoencoders.StableDiffusion()
    for variable in decoder.variables:
        variable.assign(rng.normal(scale=0.05, size=variable.shape))
    model = DriftModel(generator, autoencoder=decoder)
    path = tmp_path / f"network{ENDINGS[format]}"
    model.export(path, verbose=False)
    inputs, images = inputs_and_samples(model, 2)
    assert images.std() > 1e-2
    np.testing.assert_allclose(served(path, inputs), images, atol=1e-3)


def test_onnx_files_look_alike_on_all_backends(model, exported):
    onnx = pytest.importorskip("onnx")
    path, _ = exported("onnx")
    graph = onnx.load(path).graph
    signature = {
        value.name: [dim.dim_param or dim.dim_value for dim in dims]
        for value in (*graph.input, *graph.output)
        for dims in [value.type.tensor_type.shape.dim]
    }
    assert signature == {
        "labels": ["batch"],
        "guidance": ["batch"],
        "noise": ["batch", *model.generator.noise_shape],
        "samples": ["batch", 2],
    }
    folder_of_code = str(pathlib.Path(export.__file__).parents[2])
    assert folder_of_code.encode() not in path.read_bytes()


def test_replaces_a_file_in_the_version_asked_for(model, tmp_path, capsys):
    onnx = pytest.importorskip("onnx")
    path = tmp_path / "network.onnx"
    path.write_bytes(b"an older one")
    model.export(path, verbose=False, opset_version=18)
    versions = {x.domain: x.version for x in onnx.load(path).opset_import}
    assert versions[""] == 18
    assert not capsys.readouterr().out


WITHOUT_US = """
import sys, runtimes, numpy as np
path, inputs, samples = sys.argv[1:]
np.save(samples, runtimes.served(path, dict(np.load(inputs))))
assert "keras_drift" not in sys.modules
"""


def test_an_artifact_needs_no_code_of_ours(model, exported, tmp_path):
    path, _ = exported(FORMATS[0])
    inputs, samples = inputs_and_samples(model, 3)
    np.savez(tmp_path / "inputs.npz", **inputs)
    subprocess.run(
        [
            *(sys.executable, "-c", WITHOUT_US, path),
            *(tmp_path / "inputs.npz", tmp_path / "samples.npy"),
        ],
        check=True,
        cwd=pathlib.Path(__file__).parents[1],
    )
    served_alone = np.load(tmp_path / "samples.npy")
    np.testing.assert_allclose(served_alone, samples, atol=1e-5)


def test_says_what_the_artifact_takes(exported):
    path, printed = exported("onnx")
    assert printed.startswith(f"Exported as 'onnx': {path}\n  takes ")
    assert "labels (batch) int32" in printed
    assert printed.endswith("returns samples (batch, 2) float32\n")


def test_leaves_nothing_else(exported):
    path, _ = exported("openvino")
    names = {x.name for x in path.parent.iterdir()}
    known = {f"network{ending}" for ending in ENDINGS.values()}
    assert "network.bin" in names
    assert names - known == {"network.bin"}


def test_a_failed_export_leaves_the_last_artifact(model, tmp_path, monkeypatch):
    path = tmp_path / "network.onnx"
    path.write_bytes(b"the last one")

    def tidy(source, target, inputs, sample_shape):
        target.write_bytes(b"half of")
        raise OSError("no space left")

    monkeypatch.setattr(onnx_file, "tidy", tidy)
    with pytest.raises(OSError, match="no space left"):
        model.export(path, verbose=False)
    assert path.read_bytes() == b"the last one"
    assert [x.name for x in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("format", sorted(set(ENDINGS) - set(FORMATS)))
def test_names_the_backends_of_other_formats(model, format, tmp_path):
    with pytest.raises(ValueError, match=r"KERAS_BACKEND=.*Received") as error:
        model.export(tmp_path / f"network{ENDINGS[format]}", format)
    assert error.match(BACKEND)
    able = [name for name, formats in PACKAGES.items() if format in formats]
    assert all(name in str(error.value) for name in able)


def test_names_endings_and_formats(model, tmp_path):
    with pytest.raises(ValueError, match=r"'\.onnx', '\.xml'.*network\.h5"):
        model.export(tmp_path / "network.h5")
    with pytest.raises(ValueError, match=r"ends in '\.onnx'.*network\.pt2"):
        model.export(tmp_path / "network.pt2", "onnx")
    with pytest.raises(ValueError, match="onxx"):
        model.export(tmp_path / "network.onnx", "onxx")
    with pytest.raises(TypeError, match=r"only option.*opset"):
        model.export(tmp_path / "network.onnx", opset=18)
    with pytest.raises(ValueError, match=r"'\.onnx'.*network\.ONNX"):
        model.export(tmp_path / "network.ONNX")
    for version, error in ((1000, "from 13"), (5, "from 13"), ("18", "18")):
        with pytest.raises((TypeError, ValueError), match=error):
            model.export(tmp_path / "network.onnx", opset_version=version)
    assert not [*tmp_path.iterdir()]


@pytest.mark.skipif(BACKEND != "torch", reason="others write this version")
def test_a_version_that_the_converter_ignores_is_an_error(model, tmp_path):
    with pytest.raises(ValueError, match=r"version 18.*opset_version=13"):
        model.export(tmp_path / "network.onnx", opset_version=13)
    assert not [*tmp_path.iterdir()]


def test_keeps_the_files_beside_it(model, tmp_path):
    weights = tmp_path / "network.bin"
    weights.write_text("of the user")
    with pytest.raises(ValueError, match=r"network\.bin.*another file"):
        model.export(tmp_path / "network.xml")
    assert weights.read_text() == "of the user"


def test_keeps_what_users_add_to_a_saved_model(model, exported):
    if BACKEND == "torch":
        pytest.skip("PyTorch writes no SavedModel")
    path, _ = exported("tf_saved_model")
    (path / "labels.txt").write_text("of the user")
    with pytest.raises(ValueError, match="something else"):
        model.export(path)
    assert (path / "labels.txt").read_text() == "of the user"
    (path / "labels.txt").unlink()


@pytest.mark.parametrize("name", ["network.onnx", "network"])
def test_replaces_only_artifacts(model, name, tmp_path):
    if name == "network" and BACKEND == "torch":
        pytest.skip("PyTorch writes no SavedModel")
    (tmp_path / name).mkdir()
    (tmp_path / name / "work.txt").write_text("of the user")
    with pytest.raises(ValueError, match="something else"):
        model.export(tmp_path / name)
    assert (tmp_path / name / "work.txt").read_text() == "of the user"


def test_a_folder_without_the_right_to_write_is_refused_before_tracing(
    model, tmp_path, monkeypatch
):
    def trace(*args, **kwargs):
        raise AssertionError

    monkeypatch.setattr(type(model.generator), "__call__", trace)
    (tmp_path / "mine").mkdir(mode=0o500)
    with full_disk.mounted(tmp_path, "ro"):
        pattern = r"No artifact can be written.*Read-only.*new.network\.onnx"
        with pytest.raises(OSError, match=pattern):
            model.export(tmp_path / "new" / "network.onnx", format="onnx")
    with (
        full_disk.as_a_user(),
        pytest.raises(PermissionError, match="Choose another one, or make"),
    ):
        model.export(tmp_path / "mine" / "network.onnx")


def test_refuses_half_precision(tmp_path):
    generator = generators.MLP(2, hidden_dims=(8,), dtype="mixed_bfloat16")
    with pytest.raises(ValueError, match=r"in float32.*bfloat16"):
        generator.export(tmp_path / "network.onnx")


def test_refuses_what_runtimes_cannot_read_of_int8(tmp_path):
    if BACKEND not in WITHOUT_INT8:
        pytest.skip("this backend exports quantized networks in all formats")
    generator = generators.MLP(2, hidden_dims=(8,), num_classes=3)
    generator.quantize("int8")
    for format in WITHOUT_INT8[BACKEND]:
        path = tmp_path / f"network{ENDINGS[format]}"
        with pytest.raises(ValueError, match=r"Quantized.*int8"):
            generator.export(path)


def test_names_what_is_not_installed(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(
        ModuleNotFoundError, match=rf"keras-drift\[export-{BACKEND}\]"
    ):
        export.resolve(tmp_path / "network.onnx", None)

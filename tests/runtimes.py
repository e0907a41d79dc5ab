"""Exported networks, each run by the runtime that it is for."""

import pathlib

import numpy as np
import pytest


def served(path, inputs):
    """The samples of an artifact, as its own runtime computes them."""
    inputs = {name: np.asarray(value) for name, value in inputs.items()}
    return _RUNTIMES[pathlib.Path(path).suffix](str(path), inputs)


def _onnx(path, inputs):
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(path)
    return session.run(["samples"], inputs)[0]


def _openvino(path, inputs):
    openvino = pytest.importorskip("openvino")
    # Processors with bfloat16 take it otherwise.
    exact = {"INFERENCE_PRECISION_HINT": "f32"}
    program = openvino.Core().compile_model(path, "CPU", exact)
    return program(inputs)["samples"]


def _litert(path, inputs):
    litert = pytest.importorskip("ai_edge_litert.interpreter")
    runner = litert.Interpreter(path).get_signature_runner()
    return runner(**inputs)["output_0"]


def _torch(path, inputs):
    torch = pytest.importorskip("torch")
    tensors = {name: torch.as_tensor(value) for name, value in inputs.items()}
    return torch.export.load(path).module()(tensors).detach().numpy()


def _tensorflow(path, inputs):
    tf = pytest.importorskip("tensorflow")
    program = tf.saved_model.load(path)
    return program.serve(inputs).numpy()


_RUNTIMES = {
    ".onnx": _onnx,
    ".xml": _openvino,
    ".tflite": _litert,
    ".pt2": _torch,
    "": _tensorflow,
}

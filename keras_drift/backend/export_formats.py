"""Which backend exports networks in which format, and what it needs for it."""

# For each backend, the formats of `keras.Model.export` and the packages, other
# than the backend itself, that write them.
PACKAGES = {
    "jax": {
        "tf_saved_model": ("tensorflow",),
        "onnx": ("onnx", "jax2onnx"),
        "openvino": ("onnx", "jax2onnx", "openvino"),
    },
    "tensorflow": {
        "tf_saved_model": (),
        "onnx": ("onnx", "tf2onnx"),
        "openvino": ("onnx", "tf2onnx", "openvino"),
        "litert": (),
    },
    "torch": {
        "torch": (),
        "onnx": ("onnx", "onnxscript"),
        "openvino": ("onnx", "onnxscript", "openvino"),
    },
}

# For each backend, the formats that it cannot write of quantized networks.
WITHOUT_INT8 = {"tensorflow": ("litert",), "torch": ("onnx", "openvino")}

"""ONNX files with the same names and shapes on every backend."""

import importlib

# More than protocol buffers hold; of the rest of the file, some megabytes.
_MAX_BYTES = 2_000_000_000


def tidy(source, target, network, opset_version):
    """Gives an ONNX model the names that users know, in one file.

    Each backend names tensors and sizes in its own way, and what it notes about
    nodes may contain paths of the machine.

    Args:
        source: path of the file that the backend has written.
        target: path of the file to write. Weights of more than 2 GB lie beside
            it, in a file of the same name that ends in `.data`.
        network: the `keras.Model` that was written.
        opset_version: int, the version of ONNX that was asked for, or `None`.
    """
    onnx = importlib.import_module("onnx")
    model = onnx.load(source)
    _check_version(model, opset_version)
    graph = model.graph
    inputs = network.input
    names = {}
    for value in graph.input:
        name = _input_name(value.name, inputs)
        names[value.name] = value.name = name
        _set_shape(value, inputs[name].shape[1:])
    (samples,) = graph.output
    names[samples.name] = samples.name = "samples"
    _set_shape(samples, network.output.shape[1:])
    _rename(graph, names)
    _forget(model)
    large = sum(len(x.raw_data) for x in graph.initializer) > _MAX_BYTES
    onnx.save_model(
        model,
        target,
        save_as_external_data=large,
        location=f"{target.name}.data",
    )
    # Of the file, not of the parsed model: this may be larger than 2 GB.
    onnx.checker.check_model(str(target), full_check=True)


def _check_version(model, asked_for):
    """Refuses a file in another version: some converters ignore what is asked.

    Nothing but an error of theirs, or of the checker, would tell.
    """
    written = {x.domain: x.version for x in model.opset_import}[""]
    if asked_for not in (None, written):
        raise ValueError(
            "The converter of this backend writes the network in version "
            f"{written} of ONNX. Choose that, or leave `opset_version` out. "
            f"Received: opset_version={asked_for}"
        )


def _input_name(name, inputs):
    """The input that a backend calls, say, `args_0_noise`."""
    return next(key for key in inputs if name.endswith(key))


def _set_shape(value, shape):
    """Declares a shape with a free batch axis."""
    dims = value.type.tensor_type.shape
    del dims.dim[:]
    dims.dim.add().dim_param = "batch"
    for size in shape:
        dims.dim.add().dim_value = size


def _rename(graph, names):
    for node in graph.node:
        for tensors in (node.input, node.output):
            tensors[:] = [names.get(tensor, tensor) for tensor in tensors]
        for attribute in node.attribute:
            # The branches of a condition read the tensors around them.
            for inner in (attribute.g, *attribute.graphs):
                _rename(inner, names)


def _forget(model):
    """Removes remarks: stacks of calls, and shapes under old names."""
    del model.graph.value_info[:]
    for part in (model, model.graph, *model.graph.node):
        part.doc_string = ""
        del part.metadata_props[:]

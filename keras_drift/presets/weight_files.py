"""Files of weights: a single one, or shards with an index that names them."""

import math
import re

from keras_drift import array_sizes
from keras_drift import json_file

WEIGHTS = "model.weights.h5"
INDEX = "model.weights.json"
_SHARD = re.compile(r"model_\d{5}\.weights\.h5")
_MAX_BYTES = 16_000_000
_GB = 1024**3  # as Keras counts
# Of what a file holds beyond the variables: random states, metrics.
_EXTRA_BYTES = 2**20


def is_shard(name):
    """Whether a file has the name of a shard."""
    return _SHARD.fullmatch(name) is not None


def needs_shards(model, max_shard_size):
    """Whether the weights of a model are too large for one file.

    Args:
        model: `keras.Model`.
        max_shard_size: float > 0, in GB.
    """
    return num_bytes(model) > max_shard_size * _GB


def num_bytes(model):
    """The size of all that a model saves, an int."""
    # An autoencoder is saved with its model, but its weights are not among
    # those of the model.
    parts = (model, getattr(model, "autoencoder", None))
    variables = {
        id(variable): variable
        for part in parts
        for variable in getattr(part, "variables", ())
    }
    return sum(
        array_sizes.num_bytes(variable.shape, variable.dtype)
        for variable in variables.values()
    )


def shards(index):
    """The names of the shards that an index names, sorted.

    Args:
        index: `pathlib.Path` of a file that Keras or somebody else wrote.

    Raises:
        ValueError: if a name is not that of a shard, such as a path that leads
            to another folder. The message does not name the file.
    """
    weight_map = json_file.read(index, _MAX_BYTES).get("weight_map")
    if not isinstance(weight_map, dict):
        raise ValueError("it has no `weight_map`")
    names = set()
    for value in weight_map.values():
        for name in value if isinstance(value, list) else [value]:
            if not isinstance(name, str) or not is_shard(name):
                raise ValueError(
                    "a shard is called 'model_00000.weights.h5' and lies in "
                    f"the folder of the preset, not {name!r:.200}"
                )
            names.add(name)
    # Keras opens the first one whatever the index says.
    return sorted({"model_00000.weights.h5", *names})


def check(path, model):
    """Refuses a file that reads others, or unpacks to more than the weights.

    A compressed array of zeros takes next to no space in a file.

    Args:
        path: `pathlib.Path` of an HDF5 file.
        model: `keras.Model` that the weights are for.

    Raises:
        ValueError: the message does not name the file.
    """
    import h5py  # as late as Keras does: it takes a while

    declared = 0
    seen = set()  # a group may hold itself
    with h5py.File(path, "r") as file:
        waiting = [file]
        while waiting:
            group = waiting.pop()
            for name in group:
                link = group.get(name, getlink=True)
                if not isinstance(link, h5py.HardLink):
                    raise ValueError(f"{name!r:.80} is a link")
                item = group[name]
                address = h5py.h5o.get_info(item.id).addr
                if address in seen:
                    continue
                seen.add(address)
                if isinstance(item, h5py.Group):
                    waiting.append(item)
                    continue
                if item.external or item.is_virtual:
                    raise ValueError(f"{name!r:.80} reads another file")
                declared += math.prod(item.shape or ()) * item.dtype.itemsize
    size = num_bytes(model)
    # Four times: from float64 in the file to float16 in the network.
    if declared > 4 * size + _EXTRA_BYTES:
        raise ValueError(
            f"its arrays take {declared:,} bytes, and the network has no more "
            f"than {size:,} bytes of weights"
        )

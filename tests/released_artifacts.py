"""Artifacts of the official release, tiny ones of random weights."""

import hashlib
import json

import msgpack
import numpy as np

from hub_stand_in import COMMIT
from released_shapes import released_shapes

TINY = {
    "cond_dim": 8,
    "num_classes": 3,
    "noise_classes": 4,
    "noise_coords": 2,
    "input_size": 4,
    "in_channels": 2,
    "n_cls_tokens": 1,
    "patch_size": 2,
    "hidden_size": 8,
    "depth": 1,
    "num_heads": 2,
    "mlp_ratio": 4.0,
    "out_channels": 2,
    "use_qknorm": True,
    "use_swiglu": True,
    "use_rope": True,
    "use_rmsnorm": True,
    "use_bf16": True,
    "attn_fp32": False,
    "use_remat": False,
}
METADATA = {
    "format": "flax.msgpack",
    "kind": "gen",
    "backend": "jax",
    "ema_decay": 0.999,
    "step": 200000,
    "path": "params_ema/ema_params.msgpack",
    "model_config": TINY,
}


def random_arrays():
    rng = np.random.default_rng(0)
    return {
        name: rng.normal(scale=0.3, size=shape).astype("float32")
        for name, shape in released_shapes(TINY).items()
    }


def as_msgpack(arrays):
    """What Flax writes for a tree of arrays."""
    tree = {}
    for path, array in arrays.items():
        *folders, name = path.split("/")
        place = tree
        for folder in folders:
            place = place.setdefault(folder, {})
        content = [list(array.shape), array.dtype.name, array.tobytes()]
        place[name] = msgpack.ExtType(1, msgpack.packb(content))
    return msgpack.packb(tree)


def write(folder, metadata=METADATA, arrays=None):
    """Writes an artifact and returns its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    arrays = random_arrays() if arrays is None else arrays
    (folder / "ema_params.msgpack").write_bytes(as_msgpack(arrays))
    (folder / "metadata.json").write_text(json.dumps(metadata))
    return folder


def add_to_hub_cache(cache, source, folder):
    """Adds an artifact to a folder laid out like the cache of the hub.

    Args:
        cache: path of the cache.
        source: path of the artifact.
        folder: its path in the repository, such as
            `"models/gen/jax/latent_L_sota"`.

    Returns:
        The path of the weights among the blobs of the cache.
    """
    repository = cache / "models--Goodeat--drifting"
    snapshot = repository / "snapshots" / COMMIT / folder
    for path in (repository / "blobs", repository / "refs", snapshot):
        path.mkdir(parents=True, exist_ok=True)
    (repository / "refs" / "main").write_text(COMMIT)
    for name in ("metadata.json", "ema_params.msgpack"):
        content = (source / name).read_bytes()
        digest = hashlib.sha1(b"blob %d\0" % len(content) + content)
        if name == "ema_params.msgpack":  # a large file, in Git LFS
            digest = hashlib.sha256(content)
        blob = repository / "blobs" / digest.hexdigest()
        blob.write_bytes(content)
        (snapshot / name).symlink_to(blob)
    return blob

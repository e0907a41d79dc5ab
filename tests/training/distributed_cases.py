"""Five steps on one device, on eight and on a mesh, see `distributed_test`."""

import json
import sys

import jax
import keras
import numpy as np

import keras_drift as kd
from keras_drift import drifts
from keras_drift import kernels

# One device; groups or samples on eight; weights cut as well, by two.
PLACES = ("one device", "eight devices", "four by two")

GUIDED = {"guidance_sampler": kd.training.PowerLawGuidance()}


def kernel(**options):
    return drifts.KernelDrift(kernels.Gaussian(0.8), **options)


def dual(**options):
    return drifts.KernelDrift(kernels.Laplacian([0.5, 2.0]), "dual", **options)


# For each case a drift, the groups of a batch (0: flat batches) with their
# positives, and arguments of `DriftModel`.
CASES = {
    "kernel, one group": (
        lambda: kernel(unit_rms=True, relative=True, block_size=(3, 8)),
        (0, 20),
        {},
    ),
    "kernel, one group, two processes": (
        lambda: kernel(self_interaction="included"),
        (0, 16),
        {},
    ),
    "kernel, nine samples of a process": (
        lambda: kernel(self_interaction="included"),
        (0, 18),
        {"num_generated": 16},
    ),
    "kernel, three groups of a process": (
        lambda: kernel(unit_rms=True),
        (6, 4),
        {"num_generated": 8},
    ),
    "dual, one class of a process": (
        dual,
        (2, 16),
        {},
    ),
    "kernel, guided groups": (
        dual,
        (6, 5),
        {**GUIDED, "num_generated": 3},
    ),
    "sinkhorn, independent negatives": (
        lambda: drifts.SinkhornDrift(1.0, num_steps=3, relative=True),
        (8, 4),
        {"num_generated": 5},
    ),
    "sliced, one group": (
        lambda: drifts.SlicedWassersteinDrift(4, unit_rms=True),
        (0, 24),
        {"num_generated": 16},
    ),
    "sum, guided velocities": (
        lambda: drifts.Sum(
            [
                kernel(guidance_mode="velocity"),
                drifts.EnergyDistanceDrift(guidance_mode="velocity"),
            ]
        ),
        (16, 4),
        GUIDED,
    ),
    "transformer": (
        lambda: kernel(unit_rms=True),
        (8, 4),
        {},
    ),
    "dual, one group, moving negatives": (
        lambda: dual(self_interaction="independent", block_size=(3, 8)),
        (0, 18),
        {"stop_gradient": False},
    ),
}


def trained(name):
    """Losses, norms and weights of five steps; what a device holds of them."""
    make_drift, (groups, size), options = CASES[name]
    keras.utils.set_random_seed(0)
    model = kd.DriftModel(network(name), make_drift(), seed=0, **options)
    model.compile(keras.optimizers.Adam(0.01))
    losses = Losses()
    model.fit(
        shares(batches(groups, size, model), groups),
        steps_per_epoch=5,
        verbose=0,
        callbacks=[losses],
    )
    arrays = [v.value for v in model.generator.variables]
    arrays += [v.value for v in model.optimizer.variables]
    own = sum(array.addressable_shards[0].data.nbytes for array in arrays)
    return {
        "losses": losses.values,
        "weights": [np.asarray(w).tolist() for w in model.get_weights()],
        "share": own / sum(array.nbytes for array in arrays),
    }


def network(name):
    """The generator of a case."""
    classes = 16 if CASES[name][1][0] else None
    if name != "transformer":
        return kd.generators.MLP(2, hidden_dims=(8,), num_classes=classes)
    return kd.generators.DiT(
        image_shape=(4, 4, 1),
        num_classes=classes,
        patch_size=2,
        hidden_dim=16,
        depth=1,
        num_heads=2,
    )


class Losses(keras.callbacks.Callback):
    """The logs of all batches."""

    def __init__(self):
        super().__init__()
        self.values = []

    def on_train_batch_end(self, batch, logs=None):
        self.values.append([float(logs["loss"]), float(logs["drift_norm"])])


def batches(groups, size, model):
    """Batches of data, the same in every process."""
    rng = np.random.default_rng(1)
    shape = model.generator.sample_shape
    while True:
        x = rng.normal(size=(max(groups, 1), size, *shape)).astype("float32")
        if not groups:
            yield (x[0] + 1,)
            continue
        labels = rng.permutation(16)[:groups].astype("int32")
        x += np.expand_dims(labels, tuple(range(1, x.ndim))) / 4
        if model.guidance_sampler is not None:
            u = rng.normal(size=(groups, 3, *shape)).astype("float32")
            x = {"positives": x, "unconditional": u}
        yield x, labels


def shares(whole_batches, groups):
    """The share of this process: groups, or samples where there is one."""
    count, index = jax.process_count(), jax.process_index()

    def share(part):
        size = len(part) // count
        return part[index * size : (index + 1) * size]

    for batch in whole_batches:
        yield keras.tree.map_structure(share, batch) if count > 1 else batch


def distribution(place, name):
    if place == "one device":
        return None
    if place == "eight devices":
        # The batches of a process are its share already.
        return keras.distribution.DataParallel(auto_shard_dataset=False)
    mesh = keras.distribution.DeviceMesh(
        (4, 2), ["batch", "model"], keras.distribution.list_devices()
    )
    layouts = kd.distribution.layout_map(network(name), mesh, style="both")
    return keras.distribution.ModelParallel(layout_map=layouts)


def main(names, places=PLACES):
    results = {}
    for name in names:
        results[name] = {}
        for place in places:
            keras.distribution.set_distribution(None)
            keras.distribution.set_distribution(distribution(place, name))
            results[name][place] = trained(name)
    print(json.dumps(results))


if __name__ == "__main__":
    first, *others = sys.argv[1:]
    if first.startswith("process "):
        _, index, count, address = first.split()
        jax.config.update("jax_cpu_collectives_implementation", "gloo")
        jax.distributed.initialize(address, int(count), int(index))
        main(others, ["eight devices"])
    else:
        main([first, *others])

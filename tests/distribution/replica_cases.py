"""Short runs that are compared between one replica and two.

A script, for processes that a test starts: `replica_cases.py OUTPUT NAME...`
trains the cases on one replica and on two and writes what they come to as JSON,
one file for each process. `--more` is for what is not a case.
"""

import contextlib
import json
import os
import sys

import keras
import numpy as np

import keras_drift as kd

BACKEND = keras.backend.backend()
RNG = np.random.default_rng(0)
FLAT = RNG.normal(size=(20, 2)).astype("float32")
GROUPED = kd.datasets.GroupedDataset(
    RNG.normal(size=(24, 2)) + np.arange(24)[:, None] % 4,
    np.arange(24) % 4,
    groups_per_batch=4,
    positives=4,
    unconditional=2,
    steps_per_epoch=5,
)
ONE_CLASS = kd.datasets.GroupedDataset(
    RNG.normal(size=(24, 2)),
    np.arange(24) % 4,
    groups_per_batch=1,
    positives=4,
    unconditional=2,
    steps_per_epoch=5,
)
WEIGHTS = np.linspace(0.0, 2.0, 20).astype("float32")
GUIDED = {"guidance_sampler": kd.PowerLawGuidance()}
WIDTHS = [0.6, 2.0]


def laplacian():
    return kd.kernels.Laplacian(WIDTHS)


def row(**options):
    return kd.drifts.KernelDrift(
        laplacian(), relative=True, unit_rms=True, **options
    )


def dual():
    return kd.drifts.KernelDrift(laplacian(), "dual")


def sinkhorn(**options):
    return kd.drifts.SinkhornDrift(WIDTHS, num_steps=3, **options)


def sliced():
    return kd.drifts.SlicedWassersteinDrift(num_projections=4, unit_rms=True)


def total():
    parts = [
        kd.drifts.KernelDrift("gaussian", self_interaction="included"),
        sinkhorn(relative=True, self_interaction="included"),
        kd.drifts.SlicedWassersteinDrift(4, resample=False),
    ]
    return kd.drifts.Sum(parts, [1.0, 0.5, 0.5])


def adaptive(**options):
    return kd.callbacks.AdaptiveBandwidth(3.0, 0.1, **options)


# A drift, data, and what else the model and `fit` are given.
CASES = {
    "row, one group": (row, FLAT, {}, {"sample_weight": WEIGHTS}),
    "row, independent negatives": (
        lambda: row(self_interaction="independent"),
        FLAT,
        {},
        {},
    ),
    "row, grouped, guided": (
        lambda: row(guidance_mode="velocity"),
        GROUPED,
        GUIDED,
        {},
    ),
    "dual, one group": (dual, FLAT, {"num_generated": 6}, {}),
    "dual, grouped, guided": (dual, GROUPED, GUIDED, {}),
    "sinkhorn, independent negatives": (sinkhorn, FLAT, {}, {}),
    "sinkhorn, grouped, guided": (sinkhorn, GROUPED, GUIDED, {}),
    "sliced, one group": (sliced, FLAT, {}, {}),
    "sliced, grouped": (sliced, GROUPED, {}, {}),
    "sum, one group": (total, FLAT, {}, {}),
    "sum, grouped": (total, GROUPED, {}, {}),
    "variational": (
        lambda: kd.drifts.VariationalDrift("frechet_distance"),
        FLAT,
        {"frozen_steps": 2},
        {},
    ),
    "adaptive": (
        lambda: row(signal_share=True),
        FLAT,
        {},
        {"callbacks": [adaptive()]},
    ),
    # One group with a class, which TensorFlow cannot divide.
    "dual, one class, guided": (dual, ONE_CLASS, GUIDED, {}),
}


def run(name, **options):
    """Losses and metrics by epoch, and the weights after five steps."""
    make, data, model_options, fit_options = CASES[name]
    keras.utils.set_random_seed(0)
    grouped = isinstance(data, keras.utils.PyDataset)
    model = kd.DriftModel(
        kd.generators.MLP(
            2, hidden_dims=(8,), num_classes=4 if grouped else None
        ),
        make(),
        seed=0,
        **{**model_options, **options},
    )
    model.compile(
        keras.optimizers.SGD(0.1, momentum=0.5),
        metrics=[
            kd.metrics.SlicedWasserstein(4),
            kd.metrics.FrechetDistance(),
        ],
    )
    arguments = {} if grouped else {"batch_size": 4}
    history = model.fit(
        data.fixed() if grouped else data,
        **arguments,
        **fit_options,
        verbose=0,
    ).history
    scores = model.evaluate(data, **arguments, return_dict=True, verbose=0)
    weights = [keras.ops.convert_to_numpy(v) for v in model.trainable_variables]
    if model.drift.has_bandwidth:
        weights.append(keras.ops.convert_to_numpy(model.drift.bandwidth))
    return {
        **{key: value[0] for key, value in history.items()},
        **{f"evaluated_{key}": float(v) for key, v in scores.items()},
        "weights": np.concatenate([w.ravel() for w in weights]).tolist(),
    }


class WithGivenNoise(kd.DriftModel):
    """A model whose noise is given, rather than drawn."""

    noise = None

    def draw_inputs(self, *args):
        if self.noise is None:
            return super().draw_inputs(*args)
        return {"noise": keras.ops.convert_to_tensor(self.noise)}


def one_step(x, noise=None, field_scope="global"):
    """Loss, drift norm and weights of one step on one group, and samples."""
    keras.utils.set_random_seed(0)
    model = WithGivenNoise(
        kd.generators.MLP(2, hidden_dims=(8,)),
        dual(),
        field_scope=field_scope,
        seed=0,
    )
    model.noise = noise
    model.compile(keras.optimizers.SGD(0.1))
    samples = model.generate(2, seed=0)  # by the first weights
    history = model.fit(x, batch_size=len(x), shuffle=False, verbose=0).history
    weights = [keras.ops.convert_to_numpy(v) for v in model.trainable_variables]
    weights = np.concatenate([w.ravel() for w in weights])
    logs = history["loss"][0], history["drift_norm"][0]
    return np.array([*logs, *weights, *samples.ravel()])


def each_alone(x):
    """The mean of the steps of two models, on one half of the samples each."""
    keras.utils.set_random_seed(0)
    generator = kd.generators.MLP(2, hidden_dims=(8,))
    seed_generator = keras.random.SeedGenerator(0)
    noise = keras.ops.convert_to_numpy(
        generator.sample_noise(len(x), seed_generator)["noise"]
    )
    halves = zip(np.split(x, 2), np.split(noise, 2), strict=True)
    return np.mean([one_step(*half) for half in halves], axis=0)


def on_batches():
    """Weights after two batches, and a loss, of models that begin unlike."""
    found = []
    uses = ("evaluate", "fit")
    if BACKEND == "torch":
        uses = (*uses, "train_on_batch", "test_on_batch")
    for use in uses:
        keras.utils.set_random_seed(int(os.environ["RANK"]))
        model = kd.DriftModel(kd.generators.MLP(2, hidden_dims=(8,)), seed=0)
        model.compile(keras.optimizers.SGD(0.1, momentum=0.9))
        # Also where variables were equal when they were made.
        shift = int(os.environ["RANK"])
        weights = model.generator.get_weights()
        model.generator.set_weights([w + shift for w in weights])
        if use == "fit":
            history = model.fit(FLAT[:8], batch_size=8, epochs=2, verbose=0)
            found += history.history["loss"]
            found += [w.tolist() for w in model.generator.get_weights()]
            continue
        for _ in range(2):
            result = getattr(model, use)(FLAT[:8], return_dict=True)
        found.append(float(result["loss"]))
        found += [w.tolist() for w in model.generator.get_weights()]
    return found


def compiled(**options):
    """A model that nothing has been done with."""
    model = kd.DriftModel(kd.generators.MLP(2, hidden_dims=(8,)), **options)
    model.compile("sgd")
    return model


def resumed():
    """Losses of a step of a model, and of one given its state before it."""
    losses = []
    for is_resumed in (False, True):
        keras.utils.set_random_seed(0)
        model = compiled(seed=0)
        if is_resumed:
            model.restore_training_state(model.training_state())
        history = model.fit(FLAT[:8], batch_size=8, verbose=0)
        losses += history.history["loss"]
    return losses


def plans():
    """What is found before training: figures and words."""
    flat = compiled().preflight(FLAT, batch_size=8)
    model = kd.DriftModel(
        kd.generators.MLP(2, hidden_dims=(8,), num_classes=4),
        field_scope="local",
    )
    model.compile("sgd")
    grouped = model.preflight(GROUPED)
    return [[*found[:10], found.memory["samples"]] for found in (flat, grouped)]


def refusals(before):
    """Messages of what two replicas refuse.

    Args:
        before: a model that was made when there was one replica.
    """
    x = FLAT[:8]

    def fit(x, batch_size=8, epochs=1, **options):
        model = compiled(**options)
        model.fit(x, batch_size=batch_size, epochs=epochs, verbose=0)

    def several_steps(x):
        model = kd.DriftModel(kd.generators.MLP(2, hidden_dims=(8,)))
        model.compile("sgd", steps_per_execution=2)
        model.fit(x, batch_size=4, verbose=0)

    def look_at_lone_samples(scope):
        compiled(field_scope=scope).preflight(x, batch_size=2)

    calls = {
        "batch": lambda: fit(x, batch_size=7),
        "groups": lambda: fit(np.zeros((3, 4, 2), "float32")),
        "num_generated": lambda: fit(x, num_generated=5),
        "gradient": lambda: fit(x, stop_gradient=False),
        "lone": lambda: look_at_lone_samples("local"),
        "lone, global": lambda: look_at_lone_samples("global"),
    }
    if BACKEND == "torch" or "TF_CONFIG" in os.environ:
        rank = int(os.environ["RANK"])
        calls["steps"] = lambda: fit(x, epochs=1 + rank)
        calls["data"] = lambda: fit(FLAT[rank : rank + 8])
    if BACKEND == "tensorflow":
        calls["train_on_batch"] = lambda: compiled().train_on_batch(x)
        calls["execution"] = lambda: several_steps(x)
        calls["before"] = lambda: before.fit(x, batch_size=8, verbose=0)
    messages = {}
    for name, call in calls.items():
        try:
            call()
        except ValueError as error:
            messages[name] = str(error)
    return messages


@contextlib.contextmanager
def two_replicas():
    """Context in which models have two replicas."""
    if "TF_CONFIG" in os.environ:
        with kd.distribution.data_parallel():
            yield
        return
    if BACKEND == "tensorflow":
        import tensorflow as tf

        devices = ["CPU:0", "CPU:1"]
        with tf.distribute.MirroredStrategy(devices).scope():
            yield
        return
    import torch

    kd.distribution.initialize()
    try:
        yield
    finally:
        torch.distributed.destroy_process_group()


def main(path, *names):
    """Trains the cases on one replica and on two."""
    if "TF_CONFIG" in os.environ:
        kd.distribution.initialize()
    elif BACKEND == "tensorflow":
        import tensorflow as tf

        tf.config.set_logical_device_configuration(
            tf.config.list_physical_devices("CPU")[0],
            [tf.config.LogicalDeviceConfiguration()] * 2,
        )
    x = FLAT[:8]
    scopes, messages = {}, {}
    more = "--more" in names
    names = [name for name in names if name != "--more"]
    if more:
        scopes = {"global": one_step(x), "each alone": each_alone(x)}
    alone = {name: run(name) for name in names}
    before = compiled()
    with two_replicas():
        together = {name: run(name) for name in names}
        if more:
            scopes["local"] = one_step(x, field_scope="local")
            scopes["on batches"] = on_batches()
            scopes["resumed"] = resumed()
            scopes["plans"] = plans()
            messages = refusals(before)
    scopes = {scope: list(values) for scope, values in scopes.items()}
    with open(f"{path}.{os.environ['RANK']}", "w") as file:
        json.dump([alone, together, scopes, messages], file)


if __name__ == "__main__":
    main(*sys.argv[1:])

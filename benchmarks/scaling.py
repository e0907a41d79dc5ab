"""What each of several devices computes and exchanges, of what one computes.

Counted in the programs that XLA compiles for virtual devices: nothing is run,
so the numbers are those of any machine. JAX only.

    KERAS_BACKEND=jax python benchmarks/scaling.py --devices 8
"""

import argparse
import functools
import json
import os
import typing

# Groups and samples of each, of fields with dual normalization.
FIELDS = [(8192, 32), (64, 64), (13, 640), (1, 16384), (3, 4096)]
QUICK_FIELDS = [(4096, 32), (1, 4096)]
# Groups (0: flat batches without classes) and samples of training steps.
STEPS = [(0, 2048), (16, 128), (6, 172)]
QUICK_STEPS = [(0, 1024)]


class Case(typing.NamedTuple):
    """A program.

    Attributes:
        name: str.
        shape: tuple, of the samples of its batch.
        compiled: callable without arguments, the compiled program.
        points_bytes: float, the size of positives and negatives.
    """

    name: str
    shape: tuple
    compiled: typing.Any
    points_bytes: float


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--devices", type=int, default=8)
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    flags = os.environ.get("XLA_FLAGS", "")
    count = f"--xla_force_host_platform_device_count={arguments.devices}"
    os.environ["XLA_FLAGS"] = f"{flags} {count}"
    found = measure(arguments.quick)
    print(f"{'case':30s} {'share':>7s} {'gathers':>8s} {'bytes':>7s}  others")
    for row in found:
        others = {k: n for k, n in row["collectives"].items() if n}
        others.pop("all-gather", None)
        print(
            f"{row['case']:30s} {row['share']:7.4f} {row['all_gathers']:8d} "
            f"{row['gathered']:7.2f}  {others}"
        )
    print(json.dumps(found))


def measure(quick=False):
    """A row for each case, see the README.

    `share`: operations of a device over those of one device that computes all;
    `gathered`: bytes of all gathers over those of positives and negatives.
    """
    import keras
    from compiled_cost import count

    alone = [count(case.compiled()) for case in cases(quick)]
    keras.distribution.set_distribution(keras.distribution.DataParallel())
    rows = []
    for case, one in zip(cases(quick), alone, strict=True):
        cost = count(case.compiled())
        rows.append(
            {
                "case": case.name,
                "share": cost.operations / one.operations,
                "all_gathers": cost.collectives.get("all-gather", 0),
                "gathered": cost.gathered_bytes / case.points_bytes,
                "collectives": cost.collectives,
            }
        )
    keras.distribution.set_distribution(None)
    return rows


def cases(quick):
    fields = QUICK_FIELDS if quick else FIELDS
    for groups, samples in fields:
        shape = (groups, samples, 8)
        yield Case(
            f"field {groups} x {samples}",
            shape,
            functools.partial(field, shape),
            2 * 4 * groups * samples * 8,
        )
    for groups, samples in QUICK_STEPS if quick else STEPS:
        shape = (groups, samples, 4) if groups else (samples, 4)
        yield Case(
            f"step {shape}",
            shape,
            functools.partial(step, shape),
            2 * 4 * max(groups, 1) * samples * 4,
        )


def field(shape):
    """A dual field of two bandwidths."""
    import jax

    from keras_drift import drifts
    from keras_drift import kernels

    drift = drifts.KernelDrift(kernels.Laplacian([0.05, 0.2]), "dual")
    batch = spread_struct(shape)

    def velocity(x, positives):
        placement = "samples" if shape[0] == 1 else "groups"
        return drift.field(x, positives, placement=placement).velocity

    return jax.jit(velocity).lower(batch, batch).compile()


def step(shape):
    """A training step of a generator that takes most of its operations."""
    import jax
    import keras

    import keras_drift as kd
    from keras_drift import backend

    num_classes = 16 if len(shape) == 3 else None
    generator = kd.generators.MLP(
        4, hidden_dims=(256, 256), num_classes=num_classes
    )
    model = kd.DriftModel(generator, seed=0)
    model.compile(keras.optimizers.SGD(0.1))
    model.optimizer.build(model.trainable_variables)
    batch = spread_struct(shape)
    if num_classes:
        labels = spread_struct(shape[:1], "int32")
        batch = batch, labels
    state = [
        [variable.value for variable in variables]
        for variables in (
            model.trainable_variables,
            model.non_trainable_variables,
            model.optimizer.variables,
            model.metrics_variables,
        )
    ]
    with backend.divisible_layouts(num_classes is not None):
        return (
            jax.jit(lambda state, batch: model.train_step(state, batch))
            .lower(state, batch)
            .compile()
        )


def spread_struct(shape, dtype="float32"):
    """An array of a batch, where `fit` places it."""
    import jax
    import keras

    from keras_drift import backend

    distribution = keras.distribution.distribution()
    if distribution is None:
        return jax.ShapeDtypeStruct(shape, dtype)
    with backend.divisible_layouts(has_classes=True):
        layout = distribution.get_data_layout(shape).backend_layout
    return jax.ShapeDtypeStruct(shape, dtype, sharding=layout)


if __name__ == "__main__":
    main()

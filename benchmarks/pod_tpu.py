"""The generator's part of a step, compiled for a TPU that is not there.

    pip install libtpu
    KERAS_BACKEND=jax JAX_PLATFORMS=cpu python benchmarks/pod_tpu.py

The gradient of a DiT on the samples of one chip, at two depths, continued to
the published one. Prints, beside the operations and bytes of `pod_counts.py`,
those of the compiled program: its operations, its traffic with the memory, and
its peak of memory. JAX only.
"""

import argparse
import json

import jax
import pod
import pod_counts
from jax.experimental import topologies

_DEPTHS = (1, 2)
# The chip of a pod, by the name of a slice in `jax.experimental.topologies`.
SLICES = {"v4-8": "v4:2x2x1", "v5e-256": "v5e:2x2", "v6e-128": "v6e:2x2"}


def compiled_counts(recipe, depth, rows, device):
    """Counts of the program of one chip: operations and bytes."""
    generator = pod_counts.dit(recipe, depth)
    gradient, _, values = pod_counts.generator_gradient(generator)
    place = jax.sharding.SingleDeviceSharding(device)
    function = jax.jit(gradient, in_shardings=place, out_shardings=place)
    inputs = pod_counts.inputs_of(generator, rows)
    compiled = function.lower(values, inputs).compile()
    cost, memory = compiled.cost_analysis(), compiled.memory_analysis()
    return {
        "operations": cost["flops"],
        "traffic": cost["bytes accessed"],
        "temporary": memory.temp_size_in_bytes,
    }


def measure(name, pod_name):
    """The counts of one recipe on one chip, and the counted ones beside."""
    recipe = pod.RECIPES[name]
    _, chips = pod.PODS[pod_name]
    rows = -(-recipe.groups * recipe.generated // chips)
    topology = topologies.get_topology_desc(
        platform="tpu", topology_name=SLICES[pod_name]
    )
    device = topology.devices[0]
    found = [compiled_counts(recipe, d, rows, device) for d in _DEPTHS]
    whole = pod_counts.continued(_DEPTHS, found, recipe.depth)
    counted = pod_counts.count_generator(recipe)
    return {
        "recipe": name,
        "chip": device.device_kind,
        "samples": rows,
        **whole,
        "counted_operations": rows * counted["gradient"],
        "counted_residuals": rows * counted["residuals"],
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recipe", default="L/2", choices=pod.RECIPES)
    parser.add_argument("--pod", default="v6e-128", choices=SLICES)
    args = parser.parse_args()
    print(json.dumps(measure(args.recipe, args.pod)))


if __name__ == "__main__":
    main()

"""One large drift in a process of its own: seconds and megabytes, as JSON.

KERAS_BACKEND=jax python benchmarks/large_field.py 8192 8192 64
"""

import argparse
import json
import time

import measuring
import operators
import peers


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("generated", type=int)
    parser.add_argument("positives", type=int)
    parser.add_argument("dim", type=int)
    parser.add_argument("--drift", default="dual", choices=operators.DRIFTS)
    parser.add_argument("--official", help="measure this checkout instead")
    args = parser.parse_args()
    shape = (1, args.generated, args.positives, 0, args.dim)
    x, positives, _ = operators.point_sets(*shape)
    if args.official:
        peers.official(args.official)
        call = peers.official_loss_and_gradient(x, positives, x[:, :0])
        s, p, _ = operators.point_sets(1, 64, 64, 0, args.dim)
        measuring.wait(peers.official_loss_and_gradient(s, p, s[:, :0])())
    else:
        function = operators.loss_and_gradient(operators.DRIFTS[args.drift]())
        # Memory that a backend allocates once and for all is not counted.
        small = operators.point_sets(1, 64, 64, 0, args.dim)
        measuring.wait(function(*small[:2]))
        call = lambda: function(x, positives)  # noqa: E731
    memory = measuring.PeakMemory()
    times = []
    # The first of them compiles.
    while len(times) < 2 or (len(times) < 4 and sum(times) < 60):
        start = time.perf_counter()
        measuring.wait(call())
        times.append(time.perf_counter() - start)
    found = {
        "seconds": min(times[1:]),
        "first_seconds": times[0],
        "megabytes": memory.megabytes(),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()

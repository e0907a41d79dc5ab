"""The time that `import keras_drift` adds to `import keras`.

    KERAS_BACKEND=jax python benchmarks/import_time.py

Imports each alternately in fresh processes, and compares the fastest.
"""

import argparse
import subprocess
import sys
import time


def seconds_of(module):
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", f"import {module}"], check=True)
    return time.perf_counter() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=7)
    repeats = parser.parse_args().repeats
    times = {"keras": [], "keras_drift": []}
    for _ in range(repeats):
        for module, seconds in times.items():
            seconds.append(seconds_of(module))
    keras, ours = (min(seconds) for seconds in times.values())
    print(f"import keras        {keras:6.3f} s")
    print(f"import keras_drift  {ours:6.3f} s")
    print(f"over import keras   {ours / keras - 1:+6.1%}")


if __name__ == "__main__":
    main()

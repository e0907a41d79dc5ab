"""What differs between the versions of the library that `compare.py` compares.

Everything else that the benchmarks use has kept its name. An entry may go once
nobody compares with a version before the change.
"""

import inspect

import keras_drift as kd


def length_scale(field):
    """Of a field; it was called `unit`."""
    found = getattr(field, "length_scale", None)
    return field.unit if found is None else found


def point_cloud(points):
    """`ops.PointCloud`, which was called `Cloud`."""
    cls = getattr(kd.ops, "PointCloud", None) or kd.ops.Cloud
    return cls(points)


def bias_correction():
    """Arguments of a `KernelDrift`: bias correction was one of them."""
    normalizations = getattr(kd.drifts, "normalizations", None)
    if normalizations is None:
        return {"bias_correction": True}
    return {"normalization": normalizations.Row(bias_correction=True)}


def blur(relative):
    """Arguments of a relative `SinkhornDrift`.

    The blur is in units of the root of the mean squared distance; it was
    `epsilon`, in units of the mean cost, which is half of that.
    """
    if "blur" in inspect.signature(kd.drifts.SinkhornDrift).parameters:
        return {"blur": relative}
    return {"epsilon": 2 * relative**2}

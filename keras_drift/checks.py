"""Argument checks: what was expected, what came, what to do.

They look only at what Python knows (types, ranks, sizes, host values), so that
they run before anything is compiled and cost nothing inside compiled code.
"""

import difflib
import fnmatch
import math
import numbers

import numpy as np


def positive_number(name, value, meaning="must be a positive number"):
    """Returns `value`, a finite number above zero."""
    _number(name, value, meaning)
    if not value > 0 or not math.isfinite(value):
        raise ValueError(f"`{name}` {meaning}. Received: {name}={value!r}")
    return value


def non_negative_number(name, value, meaning="must be a non-negative number"):
    """Returns `value`, a finite number that is zero or above."""
    _number(name, value, meaning)
    if not value >= 0 or not math.isfinite(value):
        raise ValueError(f"`{name}` {meaning}. Received: {name}={value!r}")
    return value


def fraction(name, value):
    """Validates a number from 0 to 1; returns it as a float."""
    meaning = "must be a number from 0 to 1"
    _number(name, value, meaning)
    if not 0 <= value <= 1:
        raise ValueError(f"`{name}` {meaning}. Received: {name}={value!r}")
    return float(value)


def positive_numbers(name, value, meaning):
    """Floats above zero in float32, or a flat list of them: what JSON holds."""
    values = np.asarray(value, dtype=object)
    if not all(is_number(each) for each in values.flat):
        raise TypeError(
            f"`{name}` {meaning}: a number, or a sequence of numbers for "
            f"several at once. Received: {name}={value!r}"
        )
    values = values.astype("float64")
    if values.ndim > 1 or values.size == 0:
        raise ValueError(
            f"`{name}` is one number or a flat sequence of at least one. "
            f"Received: {name}={value!r}"
        )
    limits = np.finfo("float32")
    if not np.all((values >= limits.tiny) & (values <= limits.max)):
        raise ValueError(
            f"`{name}` {meaning} and must be positive and finite in "
            f"float32. Received: {name}={value!r}"
        )
    return values.tolist()


def positive_integer(name, value, meaning="must be a positive integer"):
    """Returns `value` as an `int`, at least one."""
    return _integer(name, value, meaning, lowest=1)


def non_negative_integer(name, value, meaning="must be a non-negative integer"):
    """Returns `value` as an `int`, zero or above."""
    return _integer(name, value, meaning, lowest=0)


def one_for_each_stage(name, values):
    """A tuple of four positive integers, of the stages of a network."""
    values = tuple(values) if np.iterable(values) else ()
    if len(values) != 4:
        raise ValueError(
            f"`{name}` are four integers, one for each stage. "
            f"Received: {name}={values!r}"
        )
    return tuple(positive_integer(name, value) for value in values)


def boolean(name, value):
    """Returns `value` as a `bool`; truth values of other types are refused."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(
            f"`{name}` must be True or False. Received: {name}={value!r}"
        )
    return bool(value)


def block_size(value):
    """Two ints, of samples and of points, or `None`."""
    if value is None:
        return None
    sizes = value if isinstance(value, (tuple, list)) else (value, value)
    if len(sizes) != 2:
        raise ValueError(
            "`block_size` is one number, or two: of samples and of points. "
            f"Received: block_size={value!r}"
        )
    return tuple(positive_integer("block_size", size) for size in sizes)


def in_float32(kwargs):
    """Keyword arguments of a layer that computes in float32 only.

    Half precision cannot tell neighbors apart, whatever the global policy says.
    Another `dtype` that is asked for explicitly is refused, not ignored.
    """
    import keras

    dtype = kwargs.get("dtype")
    if dtype is not None:
        policy = keras.dtype_policies.get(dtype)
        if policy.compute_dtype != "float32":
            raise ValueError(
                "Kernels, drifts and energies compute in float32, since half "
                "precision cannot tell neighbors apart. Leave `dtype` out; "
                f"inputs of any dtype are cast. Received: dtype={dtype!r}"
            )
    return {**kwargs, "dtype": "float32"}


def choice(name, value, options):
    """Returns `value`, which must be one of the strings in `options`."""
    if value not in options:
        raise ValueError(
            f"`{name}` must be one of {', '.join(map(repr, options))}."
            f"{did_you_mean(value, options)} Received: {name}={value!r}"
        )
    return value


def sets_of_samples(shapes):
    """Refuses sets of samples that cannot be compared.

    Args:
        shapes: dict from the name of each set to its shape, a tuple. Only the
            set called `"unconditional"` may be empty.
    """
    received = ", ".join(f"{k}.shape={v}" for k, v in shapes.items())
    ranks = {len(shape) for shape in shapes.values()}
    if len(ranks) != 1 or ranks - {2, 3}:
        raise ValueError(
            "Samples are `(n, d)`, or `(groups, n, d)`, all alike. Flatten "
            "images first, or use `DriftModel`, which does. "
            f"Received: {received}"
        )
    if len({shape[-1] for shape in shapes.values()}) != 1:
        raise ValueError(
            "Samples are compared coordinate by coordinate, so their last "
            "axes must match. Pass all of them through the same encoder. "
            f"Received: {received}"
        )
    if ranks == {3} and len({s[0] for s in shapes.values()} - {None}) > 1:
        raise ValueError(
            "The first axis is the group; every set of samples needs the "
            f"same number of groups. Received: {received}"
        )
    for name, shape in shapes.items():
        if 0 in shape and name != "unconditional":
            raise ValueError(
                f"`{name}` is empty; every group needs at least one sample."
                f" Received: {received}"
            )


def weights_of_samples(name, received, shape):
    """Refuses weights of a shape that does not fit the samples called `name`.

    Args:
        name: str, for the message.
        received: tuple, the shape of the weights.
        shape: tuple, the shape of the samples.
    """
    expected = shape[:-1]
    if not fits(received, expected):
        raise ValueError(
            f"The weights of the {name} need one number for each of "
            f"them: shape {expected}. Received: shape {received}"
        )


def float_samples(samples):
    """Refuses samples that are integers: most likely the bytes of images."""
    import keras

    dtype = getattr(samples, "dtype", None)
    if dtype is None:
        return
    dtype = keras.backend.standardize_dtype(dtype)
    if not keras.backend.is_float_dtype(dtype):
        raise ValueError(
            "Encoders take samples of floats, images in [-1, 1]: of bytes they "
            f"are `images / 127.5 - 1`. Received: samples of type {dtype}"
        )


def no_masked_entries(name, value):
    """Refuses arrays of `np.ma` with masked entries, whose masks get lost."""
    if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        count = np.ma.count_masked(value)
        raise ValueError(
            "Masks of `np.ma` are not followed: what is masked would count as "
            "data. Leave samples with masked entries out, or fill them in, as "
            f"by `{name}.filled(0.0)`. Received: {name} of shape "
            f"{value.shape} with {count} masked entries"
        )


def no_masked_arguments(names, args, kwargs):
    """Refuses arrays with masked entries among the arguments of a layer.

    Before its `call`, Keras converts arrays to tensors, without their masks.

    Args:
        names: tuple of strings, those of the arguments by position.
        args: tuple.
        kwargs: dict.
    """
    named = {**dict(zip(names, args, strict=False)), **kwargs}
    for name, value in named.items():
        no_masked_entries(name, value)


def no_objects(name, value):
    """Refuses arrays of Python objects, which no backend computes with."""
    if getattr(value, "dtype", None) == np.dtype(object):
        raise ValueError(
            f"`{name}` is an array of Python objects. If they are numbers, "
            f'convert it by `{name}.astype("float32")`; if they are arrays, '
            f"give them one shape and use `np.stack`. Received: {name} of "
            f"shape {value.shape}, dtype object"
        )


def random_generator(seed):
    """Makes a `np.random.Generator` of a seed, or returns the one given."""
    try:
        return np.random.default_rng(seed)
    except (TypeError, ValueError) as error:
        raise type(error)(
            "`seed` must be a non-negative integer, a `np.random.Generator` or "
            f"`None`. Received: seed={seed!r}"
        ) from error


def distinct_variables(name, parts, advice):
    """Refuses parts that share variables: files hold them in one part only.

    Args:
        name: str, the argument that the parts were given as.
        parts: list of `keras.layers.Layer`.
        advice: str, a sentence on what to do.
    """
    owners = {}
    for part in parts:
        for variable in part.variables:
            owner = owners.setdefault(id(variable), part)
            if owner is not part:
                raise ValueError(
                    f"Two parts of `{name}` share the variable "
                    f"{variable.path!r}, which would be saved with one of them "
                    f"and not loaded into the other. {advice} "
                    f"Received: {name}=[..., {owner!r}, ..., {part!r}, ...]"
                )
    if len(set(map(id, parts))) < len(parts):
        raise ValueError(
            f"One object is in `{name}` twice. {advice} "
            f"Received: {name}={parts!r}"
        )


def fits(shape, expected):
    """Whether a shape is as expected, as far as both are known."""
    return len(shape) == len(expected) and all(
        size == wanted or None in (size, wanted)
        for size, wanted in zip(shape, expected, strict=True)
    )


def patterns_in_order(name, patterns):
    """Refuses patterns of names that an earlier one leaves nothing to."""
    for position, pattern in enumerate(patterns):
        for earlier in patterns[:position]:
            if fnmatch.fnmatchcase(pattern, earlier):
                raise ValueError(
                    f"The first pattern of `{name}` that matches a name "
                    f"decides, so {pattern!r} after {earlier!r} matches "
                    "nothing. Put the general patterns last. Received: "
                    f"patterns {list(patterns)}"
                )


def did_you_mean(value, options):
    """A suggestion for a mistyped name, or nothing."""
    value = str(value).lower()
    close = difflib.get_close_matches(value, options, n=1)
    # Half of a long name is not close to it, but it begins like it.
    close = close or [o for o in options if value and o.startswith(value)]
    return f" Did you mean {close[0]!r}?" if close else ""


def lookup(identifier, classes, base, kind):
    """Resolves a name, a config or an object to an instance of `base`.

    Args:
        identifier: an instance of `base`, the snake case name of one of the
            `classes`, or the config that `keras.saving` writes.
        classes: dict from name to class.
        base: the class that the result must be an instance of.
        kind: str, the argument that holds such an object.

    Returns:
        An instance of `base`.
    """
    import keras

    if isinstance(identifier, base):
        return identifier
    if isinstance(identifier, str):
        if identifier not in classes:
            raise ValueError(
                f"Unknown {kind} {identifier!r}."
                f"{did_you_mean(identifier, classes)} "
                f"Known names: {', '.join(sorted(classes))}."
            )
        return classes[identifier]()
    if isinstance(identifier, dict):
        restored = keras.saving.deserialize_keras_object(identifier)
        if isinstance(restored, base):
            return restored
    raise TypeError(
        f"`{kind}` is a `{base.__module__.rpartition('.')[0]}."
        f"{base.__name__}`, its name or its config. Received: "
        f"{kind}={identifier!r}, a `{type(identifier).__module__}."
        f"{type(identifier).__name__}`"
    )


def is_number(value):
    """Whether `value` is a real number; a bool is none."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def _number(name, value, meaning):
    if not is_number(value):
        raise TypeError(f"`{name}` {meaning}. Received: {name}={value!r}")


def _integer(name, value, meaning, lowest):
    if not is_number(value) or not isinstance(value, numbers.Integral):
        raise TypeError(f"`{name}` {meaning}. Received: {name}={value!r}")
    if value < lowest:
        raise ValueError(f"`{name}` {meaning}. Received: {name}={value!r}")
    return int(value)

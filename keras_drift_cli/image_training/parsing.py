"""Dataclasses from dicts, with errors that name the key."""

import dataclasses
import difflib
import types
import typing


class ConfigError(ValueError):
    """An error in a configuration file."""


def parsed(cls, values, where):
    """A dataclass from a dict; every key and type is checked."""
    if not isinstance(values, dict):
        raise ConfigError(
            f"`{where}` is a section with keys of its own. Received: {values!r}"
        )
    hints = typing.get_type_hints(cls)
    arguments = {}
    for key, value in values.items():
        name = f"{where}.{key}" if where else str(key)
        if key not in hints:
            raise ConfigError(
                f"unknown key `{name}`.{nearest(str(key), hints)} The keys "
                f"here are {', '.join(hints)}."
            )
        arguments[key] = _value(hints[key], value, name)
    return cls(**arguments)


def _value(hint, value, name):
    kinds = [hint]
    if isinstance(hint, types.UnionType):
        kinds = list(typing.get_args(hint))
    if value is None and type(None) in kinds:
        return None
    kind = next(k for k in kinds if k is not type(None))
    if dataclasses.is_dataclass(kind):
        return parsed(kind, value, name)
    if typing.get_origin(kind) is list:
        (item,) = typing.get_args(kind)
        if isinstance(value, list):
            return [_value(item, v, name) for v in value]
    elif kind is float and isinstance(value, str):
        return _float(value, name)  # YAML takes 1e-3 for a text
    elif kind is float and type(value) is int:
        return float(value)
    elif type(value) is kind:
        return value
    described = getattr(kind, "__name__", str(kind))
    if typing.get_origin(kind) is list:
        described = f"list of {typing.get_args(kind)[0].__name__}"
    raise ConfigError(f"`{name}` is of type {described}. Received: {value!r}")


def _float(value, name):
    try:
        return float(value)
    except ValueError as error:
        raise ConfigError(
            f"`{name}` is a number. Received: {value!r}"
        ) from error


def nearest(name, known):
    """The question whether the nearest of the known names was meant."""
    found = difflib.get_close_matches(name, list(known), 1, 0.5)
    return f" Did you mean `{found[0]}`?" if found else ""

"""Arguments that a user's subclass has added to a constructor."""

import inspect

_KINDS = (
    inspect.Parameter.POSITIONAL_OR_KEYWORD,
    inspect.Parameter.KEYWORD_ONLY,
)
_MISSING = object()


def own_arguments(thing):
    """The arguments of a subclass that writes a constructor and no config.

    Keras records the arguments of layers without a `get_config`; for a subclass
    of a class that has one it would leave them out, and a copy, or a model that
    is loaded, would have their defaults.

    Args:
        thing: a layer, whose class is any subclass of a library class.

    Returns:
        A dict of entries for its config; empty for a class that describes
        itself.

    Raises:
        NotImplementedError: if an argument is unknown.
    """
    classes = type(thing).__mro__
    described = next(
        i for i, cls in enumerate(classes) if "get_config" in vars(cls)
    )
    known = _parameters(classes[described:])
    recorded = getattr(thing, "_auto_config", None)
    recorded = {} if recorded is None else recorded.config
    found = {}
    for name in _parameters(classes[:described]):
        if name in known:
            continue
        value = getattr(thing, name, _MISSING)
        if not is_plain(value):  # as it is now, or else as it was given
            value = recorded.get(name, _MISSING)
        if value is _MISSING:
            raise NotImplementedError(
                f"`{type(thing).__name__}` has the argument {name!r}, which a "
                "copy of it must be given as well: write `get_config()`, which "
                "returns `{**super().get_config(), "
                f'"{name}": ...}}`.'
            )
        found[name] = value
    return found


def _parameters(classes):
    """The names of all arguments of the constructors of classes, in order."""
    names = {}
    for cls in classes:
        if "__init__" in vars(cls) and cls is not object:
            parameters = inspect.signature(cls.__init__).parameters.values()
            names |= {
                each.name: None for each in parameters if each.kind in _KINDS
            }
    names.pop("self", None)
    return list(names)


def is_plain(value):
    """Whether a value is a number, str, bool or `None`, or a list of them."""
    if isinstance(value, (list, tuple)):
        return all(map(is_plain, value))
    return value is None or isinstance(value, (bool, int, float, str))


def plain_attributes(thing):
    """The public attributes of a layer that are plain values, as text."""
    found = {
        name: value
        for name, value in vars(thing).items()
        # PyTorch sets `training` as it runs.
        if not name.startswith("_") and name != "training" and is_plain(value)
    }
    return repr(sorted(found.items()))

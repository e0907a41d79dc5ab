"""Arguments that a user's subclass has added to a constructor."""

import inspect

import numpy as np

_PACKAGE = __name__.partition(".")[0]
_KINDS = (
    inspect.Parameter.POSITIONAL_OR_KEYWORD,
    inspect.Parameter.KEYWORD_ONLY,
)
_PLAIN = (bool, int, float, str, np.generic)
_MISSING = object()


class RecordsArguments:
    """Mixin for layers that record the plain arguments they are made with.

    Keras does so for layers without a `get_config`. For a subclass of a class
    that has one it would leave them out, and a copy, or a model that is loaded,
    would have their defaults.
    """

    def __new__(cls, *args, **kwargs):
        layer = super().__new__(cls, *args, **kwargs)
        signature = inspect.signature(cls.__init__)
        try:
            given = signature.bind(layer, *args, **kwargs)
        except TypeError:  # which the constructor raises, with a message
            return layer
        given.apply_defaults()
        values = dict(given.arguments)
        for parameter in signature.parameters.values():
            if parameter.kind is inspect.Parameter.VAR_KEYWORD:
                values |= values.pop(parameter.name)
        # Keras has not made the layer yet, and would track an attribute.
        vars(layer)["_given_arguments"] = {
            name: value for name, value in values.items() if is_plain(value)
        }
        return layer


def own_arguments(layer):
    """The arguments of classes that write a constructor and no config.

    Args:
        layer: of a user's subclass of a library class, or of such a class.

    Returns:
        A dict of entries for its config: the attributes of the same names, as
        they are now, or the arguments as they were given.

    Raises:
        NotImplementedError: if an argument is unknown.
    """
    classes = type(layer).__mro__
    library = next(
        i
        for i, cls in enumerate(classes)
        if "get_config" in vars(cls)
        and cls.__module__.partition(".")[0] == _PACKAGE
    )
    of_graph = vars(classes[library]).get("_of_graph", ())
    known = set(_parameters(classes[library:])).difference(of_graph)
    undescribed = [c for c in classes[:library] if "get_config" not in vars(c)]
    given = vars(layer).get("_given_arguments", {})
    found = {}
    for name in _parameters(undescribed):
        if name in known:
            continue
        value = vars(layer).get(name, _MISSING)
        if not is_plain(value):
            value = given.get(name, _MISSING)
        if value is _MISSING:
            raise NotImplementedError(
                f"`{type(layer).__name__}` has the argument {name!r}, which a "
                "copy of it must be given as well: write `get_config()`, which "
                "returns `{**super().get_config(), "
                f'"{name}": ...}}`.'
            )
        found[name] = value.item() if isinstance(value, np.generic) else value
    return found


def taken_arguments(cls):
    """The names that a constructor takes, through `**kwargs` as well.

    Args:
        cls: class whose constructors pass their `**kwargs` on.

    Returns:
        A list of str.
    """
    found = []
    for each in cls.__mro__:
        if "__init__" not in vars(each):
            continue
        found.append(each)
        parameters = inspect.signature(each.__init__).parameters.values()
        kinds = [parameter.kind for parameter in parameters]
        if inspect.Parameter.VAR_KEYWORD not in kinds:
            break
    return _parameters(found)


def _parameters(classes):
    """The names of all arguments of the constructors of classes, in order."""
    names = {}
    for cls in classes:
        if "__init__" in vars(cls) and cls is not object:
            parameters = inspect.signature(cls.__init__).parameters
            for name, parameter in parameters.items():
                if parameter.kind in _KINDS:
                    names[name] = None
    names.pop("self", None)
    return list(names)


def is_plain(value):
    """Whether a value is a number, str, bool or `None`, or a list of them."""
    if isinstance(value, (list, tuple)):
        return all(map(is_plain, value))
    return value is None or isinstance(value, _PLAIN)


def all_plain_attributes(layer):
    """The plain attributes of a layer and of the layers in it, as a list."""
    return [plain_attributes(each) for each in layer._flatten_layers()]


def plain_attributes(layer):
    """The public attributes of a layer that are plain values, as text."""
    found = {
        name: value
        for name, value in vars(layer).items()
        # PyTorch sets `training` as it runs.
        if not name.startswith("_") and name != "training" and is_plain(value)
    }
    return repr(sorted(found.items()))

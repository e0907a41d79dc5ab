"""Compile configs that load on every backend."""


def portable_compile_config(config):
    """Replaces names of backend-specific classes in a compile config.

    On PyTorch, Keras saves an optimizer under the module of its PyTorch class,
    which does not exist on other backends.

    Args:
        config: dict, from `keras.Model.get_compile_config`, or from a file.

    Returns:
        A dict of the same structure.
    """
    if isinstance(config, list):
        return [portable_compile_config(each) for each in config]
    if not isinstance(config, dict):
        return config
    config = {
        key: portable_compile_config(value) for key, value in config.items()
    }
    module = str(config.get("module"))
    if module.startswith("keras.") and ".backend." in module:
        config["module"] = "keras.optimizers"
    return config

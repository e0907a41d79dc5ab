"""Compile configs that every backend can read."""


def portable_compile_config(config):
    """A compile config without names of classes of one backend.

    Keras saves an optimizer on PyTorch under the module and name of its
    PyTorch class, which no other backend has.

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

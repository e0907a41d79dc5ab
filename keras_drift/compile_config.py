"""Compile configs that load on every backend."""

import keras


class PortableCompileConfig:
    """Mixin for models that override `compile`, saved and loaded with it."""

    def get_compile_config(self):
        """The arguments of `compile`, in a form that every backend loads."""
        return portable_compile_config(super().get_compile_config())

    def compile_from_config(self, config):
        """Compiles a loaded model like the saved one."""
        # Keras does this only for models that do not override `compile`.
        config = portable_compile_config(config)
        self.compile(**keras.saving.deserialize_keras_object(config))
        if self.optimizer is not None:
            self.optimizer.build(self.trainable_variables)


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

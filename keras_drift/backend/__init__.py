"""The only place that knows which backend runs.

Keras gives `train_step` one form on JAX, where the variables travel through the
step as an explicit state, and another on TensorFlow and PyTorch, where the step
changes them in place. The three functions here let a step be written once.
"""

import keras

if keras.backend.backend() == "jax":
    from keras_drift.backend.jax import run
    from keras_drift.backend.jax import step
    from keras_drift.backend.jax import step_result
elif keras.backend.backend() == "torch":
    from keras_drift.backend.torch import run
    from keras_drift.backend.torch import step
    from keras_drift.backend.torch import step_result
else:
    from keras_drift.backend.tensorflow import run
    from keras_drift.backend.tensorflow import step
    from keras_drift.backend.tensorflow import step_result

__all__ = ["run", "step", "step_result"]

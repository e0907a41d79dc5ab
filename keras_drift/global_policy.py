"""The dtype policy of layers whose constructors are given none."""

import contextlib

import keras


@contextlib.contextmanager
def global_policy(policy):
    """Layers that are made in this context have a dtype policy.

    Args:
        policy: what Keras takes as one; or `None`: the global policy stays.
    """
    before = keras.config.dtype_policy()
    if policy is not None:
        keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)

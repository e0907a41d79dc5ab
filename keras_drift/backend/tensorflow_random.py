"""The global random state of TensorFlow, on whatever backend Keras runs."""


def set_global_seed(seed):
    """Sets the state that layers of keras-cv draw from.

    Args:
        seed: int >= 0.
    """
    import tensorflow as tf

    tf.random.set_seed(seed)

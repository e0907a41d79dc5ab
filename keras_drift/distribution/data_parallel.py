"""Context that spreads the batches of a model over all devices."""

from keras_drift import backend


def data_parallel():
    """Context in which a model is made and trained on all devices there are.

    One script then trains on a single device and on many. Each device is given
    a share of every batch, and the weights, the loss and the metrics are those
    of the whole batch. Make, compile and train the model inside of it.

    - JAX: `keras.distribution.DataParallel` over the devices of all processes,
      each of which gives its share of a batch, as by the `share` of a
      `datasets.GroupedDataset`.
    - TensorFlow: the scope of a `MirroredStrategy` over all GPUs, or, after
      `initialize`, of a `MultiWorkerMirroredStrategy` over those of all
      processes.
    - PyTorch: nothing. There each device has a process, see `initialize`.

    It does nothing on a single device, or where a distribution or a strategy is
    set already, as it finds them when it is called.

    Returns:
        A context manager, to be entered once.

    Example:

    >>> import keras_drift as kd
    >>> data = kd.datasets.eight_gaussians(512, seed=0)
    >>> rank, num_processes = kd.distribution.initialize()
    >>> with kd.distribution.data_parallel():
    ...     model = kd.DriftModel(kd.generators.MLP(output_dim=2), seed=0)
    ...     model.compile("adam")
    ...     history = model.fit(data, batch_size=256, verbose=0)
    """
    return backend.data_parallel()

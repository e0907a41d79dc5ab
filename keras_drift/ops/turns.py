"""Sequential evaluation of several kernels in a compiled program."""

from keras_drift import backend
from keras_drift.ops.spread_axis import spread_axis


class Turns:
    """Makes each kernel of a reduction wait for the result of the one before.

    A compiler may evaluate all of them at all pairs before it sums any. With
    many bandwidths and pairs, that takes more memory than caches hold, and up
    to three times as long. On accelerators, which fuse them, and where samples
    are sharded, which would add communication, kernels are not ordered.

    Args:
        x: float tensor `(groups, n, any)`, of the samples.
    """

    def __init__(self, x):
        self._waits = not backend.has_accelerator() and spread_axis(x) is None
        self._result = None

    def of(self, log_kernels):
        """Yields log-kernels that are evaluated once the one before has ended.

        Args:
            log_kernels: sequence of `LogKernel`, or of other callables, which
                do not wait.
        """
        for log_kernel in log_kernels:
            if self._result is not None and hasattr(log_kernel, "after"):
                log_kernel = log_kernel.after(backend.zero_after(self._result))
            yield log_kernel

    def end(self, result):
        """Ends a turn with the tensor that was computed last."""
        if self._waits:
            self._result = result

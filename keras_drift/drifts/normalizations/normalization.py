"""The base class of all normalizations."""

from keras_drift import checks


class Normalization:
    """How a `KernelDrift` turns the kernel values of pairs into velocities.

    Subclasses implement `velocities`, and `validate` if they do not support
    every kernel or every option of the drift.

    Args:
        bias_correction: bool, whether means over a few points are corrected for
            the bias of dividing by their own mass, which falls as one over
            their number; what is left falls faster. Choose it for groups of
            eight to fifty points. It does not correct for a sample repelling
            itself. Defaults to `False`.

    Reference:

    - [Zhang et al., 2026](https://arxiv.org/abs/2604.27239), the correction
    """

    # What `KernelDrift` does by default.
    relative = False
    unit_rms = False

    # Whether the velocity of a sample depends on the positions of the other
    # samples even if they are no negatives.
    couples_samples = False

    # Whether points of weight zero take part in the sums over samples.
    keeps_absent = False

    # Whether features may share a field, see `Drift.takes_segments`. A subclass
    # says so itself.
    takes_segments = False

    mean_square_floor = 1e-12
    length_scale_floor = 0.0

    def __init__(self, bias_correction=False):
        self.bias_correction = checks.boolean(
            "bias_correction", bias_correction
        )

    def validate(self, drift):
        """Raises a `ValueError` if it does not go with a `KernelDrift`."""
        del drift  # goes with any

    def mean_distance(self, inputs, positives, negatives):
        """Computes the length that relative bandwidths are multiples of.

        Args:
            inputs: `FieldInputs`.
            positives: `keras_drift.ops.Pairs` of the samples with them.
            negatives: `keras_drift.ops.Pairs` of the samples with them.

        Returns:
            float32 scalar, see `VelocityDrift.length_scale`.
        """
        return inputs.mean_cost(positives, negatives)

    def velocities(self, kernel, length, positives, negatives):
        """Computes the raw velocity of each sample, for each bandwidth.

        Args:
            kernel: `kernels.Kernel`.
            length: float or float32 scalar, the length that bandwidths are
                multiples of.
            positives: `keras_drift.ops.Pairs` of the samples with them.
            negatives: `keras_drift.ops.Pairs` of the samples with them.

        Returns:
            A list of float32 tensors `(groups, n, d)`, one for each bandwidth.
        """
        raise NotImplementedError(
            f"`{type(self).__name__}` must write `velocities(kernel, length, "
            "positives, negatives)`, the raw velocity for each bandwidth."
        )

    # What points are multiplied by in the velocities where all pairs are one
    # block: a method like `keras_drift.ops.dual_coefficients`, or `None` for
    # velocities that are no sums of points. A subclass writes its own.
    coefficients = None

    def get_config(self):
        """The arguments it was made with."""
        return {"bias_correction": self.bias_correction}

    @classmethod
    def from_config(cls, config):
        """Makes the normalization that `get_config` describes."""
        return cls(**config)

    def __repr__(self):
        arguments = (f"{k}={v!r}" for k, v in self.get_config().items())
        return f"{type(self).__name__}({', '.join(arguments)})"

"""Typed training batch: data, generator inputs, guidance, step size."""

from typing import Any
from typing import NamedTuple


class TrainingBatch(NamedTuple):
    """Batch of data with the inputs of the generator.

    `DriftModel.prepare_batch` creates it, and Keras passes it through its own
    step to `DriftModel.compute_loss`. Generated samples are ordered by group.

    Attributes:
        inputs: dict, the inputs of the generator, for `groups * generated`
            samples.
        positives: float32 tensor `(groups, positives, *sample_shape)`.
        labels: int32 tensor `(groups,)`, or `None` without classes.
        unconditional: float32 tensor `(groups, unconditional, *sample_shape)`,
            data of all classes for guidance, or `None`.
        weights: float32 tensor `(groups, positives)`, or `None` for ones.
        guidance_scale: float32 tensor `(groups,)`, or `None` without classes.
        negatives: float32 tensor `(groups * generated, *sample_shape)`, an
            independent batch of generated samples, or `None`.
        negative_inputs: dict, the inputs from which that batch is generated
            inside the loss, if gradients flow through it too; or `None`.
        step_size: float32 scalar, the step along the drift.
        targets: what `DriftObjective.targets` returns, for several optimizer
            steps toward one frozen field; or `None`: computed in the loss.
        measure_signal: bool scalar tensor, whether to measure the signal of the
            drift, see `drifts.Drift.signal`, which is zero otherwise; or
            `None`: it is not wanted in any step.
    """

    inputs: Any
    positives: Any
    labels: Any = None
    unconditional: Any = None
    weights: Any = None
    guidance_scale: Any = None
    negatives: Any = None
    negative_inputs: Any = None
    step_size: Any = 1.0
    targets: Any = None
    measure_signal: Any = None

    @property
    def divided(self):
        """The axis, `"groups"` or `"samples"`, that replicas have divided.

        `None` for a whole batch; a share of one is that of `share_along`.
        """
        return None

    @property
    def placement(self):
        """The axis that is sharded over devices: `"groups"` or `"samples"`.

        Samples interact within their group only, so groups are sharded without
        communication. The samples of a single group are sharded instead, and
        its positives and negatives are gathered.
        """
        if self.divided is not None:
            return self.divided
        return "samples" if self.positives.shape[0] == 1 else "groups"

    def share_along(self, placement):
        """The same batch, as the share of one of several replicas.

        Args:
            placement: `"groups"` or `"samples"`, the axis that is divided; or
                `None`: the batch is whole.
        """
        return self if placement is None else _SHARES[placement](*self)


# Types, not a field: Keras takes tensors only for the fields of an input.
class _ShareOfGroups(TrainingBatch):
    """Some of the groups of a batch."""

    divided = "groups"


class _ShareOfSamples(TrainingBatch):
    """Some of the samples of a group."""

    divided = "samples"


_SHARES = {"groups": _ShareOfGroups, "samples": _ShareOfSamples}

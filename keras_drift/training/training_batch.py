"""One training batch, ready for the step."""

from typing import Any
from typing import NamedTuple


class TrainingBatch(NamedTuple):
    """One batch of data with the inputs of the generator beside it.

    `DriftModel.prepare_batch` makes it, and Keras passes it through its own
    step to `DriftModel.compute_loss`. Samples are generated group by group.

    Attributes:
        inputs: dict, what the generator takes, for `groups * generated`
            samples.
        positives: float32 tensor `(groups, positives, *sample_shape)`.
        labels: int32 tensor `(groups,)`, or `None` without classes.
        unconditional: float32 tensor `(groups, unconditional, *sample_shape)`,
            data of all classes for guidance, or `None`.
        weights: float32 tensor `(groups, positives)`, or `None` for ones.
        guidance_scale: float32 tensor `(groups,)`, or `None` without classes.
        negatives: float32 tensor `(groups * generated, *sample_shape)`, an
            independent batch of generated samples, or `None`.
        negative_inputs: dict, the inputs to generate that batch from inside of
            the loss, where gradients flow through it too; or `None`.
        step_size: float32 scalar, the step along the drift.
        targets: dict from feature names to `Target`s, for several optimizer
            steps toward one frozen field; or `None`: computed in the loss.
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

    @property
    def placement(self):
        """The axis that several devices share: `"groups"` or `"samples"`.

        Pairs are formed within a group, so groups can be spread over devices
        without communication. The samples of a lone group are spread instead,
        and its positives and negatives are gathered.
        """
        return "samples" if self.positives.shape[0] == 1 else "groups"

"""The sliced Wasserstein drift."""

import math

import keras
from keras import ops

from keras_drift import backend
from keras_drift import checks
from keras_drift import seed_states
from keras_drift.drifts.velocity_drift import VelocityDrift
from keras_drift.ops import quantile_means
from keras_drift.ops import slice_directions

_SELF_INTERACTIONS = ("included", "independent")


@keras.saving.register_keras_serializable("keras_drift")
class SlicedWassersteinDrift(VelocityDrift):
    """Moves samples along the optimal transport of one-dimensional projections.

    Samples and positives are projected onto random directions; on each line the
    optimal transport is found by sorting, and a sample moves by the mean of its
    displacements along all directions. It has no bandwidth, acts at any
    distance, transports to every positive and costs `O(n log n)`: the drift to
    choose for many samples of few dimensions. In many dimensions a projection
    resolves little detail; compare features there.

    `V = d * mean_theta (T_qp - T_qq) theta`, where `T_qp` is the position on
    the line to which the transport to the positives maps a sample, and `T_qq`
    that of the transport to the negatives: its own, if none are given. Then `V`
    is the gradient flow of the squared sliced distance, times the dimension
    `d`, so that a translation is corrected in one full step.

    Args:
        num_projections: int >= 1, the number of directions, in orthogonal
            blocks. A multiple of the dimension of the samples makes
            translations exact; fewer than that dimension make a noisy field.
            For `d = 1` there is only one. Defaults to `128`.
        resample: bool, whether every call draws new directions. Of fixed ones,
            a generator matches only these projections; choose them where the
            field must be a deterministic function of its inputs. Defaults to
            `True`.
        seed: int, the seed of the directions. The state of the random generator
            is saved with the model. Defaults to `0`.
        self_interaction: which negatives there are if none are given:
            `"included"`, the samples, each of which is transported to itself;
            `"independent"`, an independent batch that must be given
            (`DriftModel` generates one), which removes the inward bias of small
            batches. A sample cannot be excluded from its own transport.
            Defaults to `"included"`.
        unit_rms: bool, whether the field is scaled to a root mean square of 1
            per coordinate. Defaults to `False`.
        **kwargs: passed to `VelocityDrift`, such as `guidance_mode`.

    Call arguments:
        x: float tensor `(n, d)` or `(groups, n, d)`, the samples to move.
        positives: float tensor `(m, d)` or `(groups, m, d)`, the data.
        negatives: optional float tensor `(k, d)` or `(groups, k, d)`, samples
            of the model. Defaults to `x` itself.
        unconditional: optional float tensor `(u, d)` or `(groups, u, d)`, data
            of all conditions, repulsive as well, for guidance: points of the
            same transport as the negatives.
        positive_weights: optional float tensor `(m,)` or `(groups, m)`, >= 0:
            the mass of a point, as a share of their sum. An integer weight `c`
            counts a point `c` times, zero as absent.
        negative_weights: the same for the negatives.
        unconditional_weights: the same for the unconditional points.

    Returns:
        The velocity of each sample, shaped like `x`, float32. The transport to
        points without any mass is the identity.

    Example:

    >>> from keras_drift import drifts
    >>> drift = drifts.SlicedWassersteinDrift(num_projections=2)
    >>> x = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 2.0]])
    >>> velocity = drift(x, x + np.array([3.0, 4.0]))
    >>> keras.ops.convert_to_numpy(velocity).round(3).tolist()
    [[3.0, 4.0], [3.0, 4.0], [3.0, 4.0]]

    Reference:

    - [Gretton et al., 2026](https://arxiv.org/abs/2605.05118)
    - [Bonneel et al., 2015](https://doi.org/10.1007/s10851-014-0506-3)
    """

    def __init__(
        self,
        num_projections=128,
        resample=True,
        seed=0,
        self_interaction="included",
        unit_rms=False,
        **kwargs,
    ):
        checks.choice("self_interaction", self_interaction, _SELF_INTERACTIONS)
        super().__init__(self_interaction, unit_rms, **kwargs)
        self.num_projections = checks.positive_integer(
            "num_projections", num_projections
        )
        self.resample = checks.boolean("resample", resample)
        self.seed = checks.non_negative_integer("seed", seed)
        if self.resample:
            self.seed_generator = keras.random.SeedGenerator(seed)

    def velocities(self, x, positives, negatives, length_scale):
        lines = self._directions(x.shape[-1])
        on_lines = _project(x, lines)
        rank = ops.argsort(ops.argsort(on_lines, axis=-1), axis=-1)
        steps = _transport(on_lines, rank, positives, lines)
        if negatives.points is x and negatives.weights is None:
            steps = steps - on_lines
        else:
            steps -= _transport(on_lines, rank, negatives, lines)
        gain = x.shape[-1] / lines.shape[0]
        return [gain * backend.matmul(ops.swapaxes(steps, -1, -2), lines)]

    def _directions(self, dim):
        """Unit vectors `(num_projections, dim)`, orthogonal in blocks."""
        if dim == 1 or not self.resample:
            return ops.convert_to_tensor(
                slice_directions(self.num_projections, dim, self.seed)
            )
        num_blocks = math.ceil(self.num_projections / dim)
        width = min(self.num_projections, dim)
        normal = keras.random.normal(
            (num_blocks, dim, width), dtype="float32", seed=self.seed_generator
        )
        blocks = ops.swapaxes(ops.qr(normal)[0], -1, -2)
        return ops.reshape(blocks, (-1, dim))[: self.num_projections]

    def save_own_variables(self, store):
        """Writes the state of the random generator."""
        if self.resample:
            seed_states.save(self.seed_generator, store)

    def load_own_variables(self, store):
        """Reads the state of the random generator."""
        if self.resample:
            seed_states.load(self.seed_generator, store)

    def get_config(self):
        return {
            **super().get_config(),
            "num_projections": self.num_projections,
            "resample": self.resample,
            "seed": self.seed,
        }


def _project(points, lines):
    """Projections onto the directions: `(groups, lines, points)`."""
    return ops.swapaxes(backend.matmul(points, ops.transpose(lines)), -1, -2)


def _transport(on_lines, rank, cloud, lines):
    """Maps samples by the transport to a cloud on each line."""
    values, weights = _project(cloud.points, lines), cloud.weights
    if weights is not None:
        weights = weights[:, None, :] + ops.zeros_like(values)
    num_samples = ops.shape(on_lines)[-1]
    means = quantile_means(values, num_samples, weights)
    means = ops.take_along_axis(means, rank, axis=-1)
    if weights is None:
        return means
    absent = ops.sum(cloud.weights, axis=-1)[:, None, None] == 0
    return ops.where(absent, on_lines, means)

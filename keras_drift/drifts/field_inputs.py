"""Validated arguments of a field, batched by group."""

from typing import Any
from typing import NamedTuple

from keras import ops

from keras_drift import backend
from keras_drift.ops import PointCloud
from keras_drift.ops import cost_sums
from keras_drift.ops import join
from keras_drift.ops import mask_absent

# Beyond the reach of any kernel; float32 holds its square.
FAR_AWAY = 1e12


class FieldInputs(NamedTuple):
    """Samples and the point clouds that they interact with, in groups.

    Attributes:
        x: float32 tensor `(groups, n, d)`, the samples to move.
        positives: `keras_drift.ops.PointCloud`, the data.
        negatives: `PointCloud`; its points are `x` itself if no negatives were
            given.
        unconditional: `PointCloud`, or `None`.
        guidance_scale: float32 tensor `(groups or 1, 1, 1)`, or `None`.
        negatives_given: bool, whether they were given.
        negatives_are_samples: bool, whether the first `n` negatives are the
            samples, so that `self_interaction` decides on each pair of a sample
            with its own copy.
        present: bool tensor `(groups, n or 1, 1)`, the samples that take part
            in means over the batch and that move; or `None`: all of them. Set
            by `masked`.
        placement: `"groups"`, `"samples"` or `"local"`: what other replicas
            hold, see `keras_drift.backend.placement`.
        segments: `Segments` of the groups, the features that share the field;
            or `None`: one feature.

    A mean over the batch is a scalar, or `(features,)` where features share the
    field, and `per_group` is what samples and points are multiplied by.
    """

    x: Any
    positives: PointCloud
    negatives: PointCloud
    unconditional: Any = None
    guidance_scale: Any = None
    negatives_given: bool = False
    negatives_are_samples: bool = True
    present: Any = None
    placement: str = "local"
    segments: Any = None

    @property
    def is_divided(self):
        """Whether other replicas hold other samples of the same groups."""
        return self.placement == "samples" and backend.num_replicas() > 1

    def with_all_points(self):
        """The same samples, with the points of all replicas.

        For drifts that move each sample independently of the others. Samples
        that are negatives come first among these, as on one device.
        """
        if not self.is_divided:
            return self
        negatives = self._gathered(self.negatives)
        if self.negatives_are_samples:
            count = ops.shape(self.negatives.points)[1]
            shift = -backend.replica_index() * count
            negatives = _mapped(
                negatives, lambda part: ops.roll(part, shift, axis=1)
            )
        return self._replace(
            positives=self._gathered(self.positives),
            negatives=negatives,
            unconditional=self._gathered(self.unconditional),
        )

    def with_all_samples(self):
        """The inputs of all replicas: those of one device."""
        if not self.is_divided:
            return self
        x = backend.gather(self.x, 1, self.placement)
        negatives = self._all_negatives()
        if self._samples_are_negatives:
            negatives = negatives._replace(points=x)
        return self._replace(
            x=x,
            positives=self._gathered(self.positives),
            negatives=negatives,
            unconditional=self._gathered(self.unconditional),
            placement="local",
        )

    def own_share(self, velocity):
        """The velocities of the samples of this replica, among those of all."""
        return backend.share(velocity, 1) if self.is_divided else velocity

    def _all_negatives(self):
        if not (self.negatives_given and self.negatives_are_samples):
            return self._gathered(self.negatives)
        # All samples ahead, whatever negatives each replica has beside them.
        count = ops.shape(self.x)[1]
        parts = [
            _mapped(self.negatives, lambda part: part[:, :count]),
            _mapped(self.negatives, lambda part: part[:, count:]),
        ]
        return join(*map(self._gathered, parts))

    def _gathered(self, cloud):
        """A cloud with the points of all replicas."""
        return _mapped(
            cloud, lambda part: backend.gather(part, 1, self.placement)
        )

    def map_points(self, function):
        """The same inputs with a function applied to all points."""
        x = function(self.x)

        def mapped(cloud):
            if cloud is None:
                return None
            return cloud._replace(points=function(cloud.points))

        return self._replace(
            x=x,
            positives=mapped(self.positives),
            negatives=self.negatives._replace(points=x)
            if self._samples_are_negatives
            else mapped(self.negatives),
            unconditional=mapped(self.unconditional),
        )

    def masked(self):
        """The same inputs, absent samples replaced and marked in `present`.

        A group without any positive weight among its positives is absent as a
        whole; so is a sample that, as one of the negatives, has weight zero: it
        is replaced, see `keras_drift.ops.mask_absent`. Clouds are masked where
        they are used, see `VelocityDrift.interaction`.
        """
        x, negatives = self._masked_samples(), self.negatives
        if self._samples_are_negatives:
            negatives = negatives._replace(points=x)
        return self._replace(x=x, negatives=negatives, present=self._present())

    def with_finite_samples(self):
        """The same inputs, samples of weight zero that are not finite replaced.

        Unlike `masked`, it keeps finite samples and all points as they are.
        """
        weights = self._sample_weights()
        if weights is None:
            return self
        finite = ops.all(ops.isfinite(self.x), axis=-1)
        kept = ops.logical_or(finite, weights > 0)[..., None]
        return self._replace(x=ops.where(kept, self.x, self._masked_samples()))

    def with_absent_samples_far_away(self):
        """The same inputs, absent samples beyond the reach of any kernel.

        There they have no share in sums over the samples.
        """
        if self._sample_weights() is None:
            return self
        return self._replace(x=ops.where(self.present, self.x, FAR_AWAY))

    def in_halves(self):
        """One in 64 samples, with two halves of all other points.

        The groups with the first halves come before those with the second ones.
        Where the samples are the negatives, only the other samples stay
        negatives. The halves are independent, as the points are.
        """
        self._check_can_be_halved()
        count = _probes(ops.shape(self.x)[1])
        negatives = self.negatives
        if self.negatives_are_samples:
            negatives = _dropped(negatives, count)
        present, scale = self.present, self.guidance_scale
        if present is not None and present.shape[1] != 1:
            present = present[:, :count]
        if scale is not None and scale.shape[0] != 1:
            scale = _twice(scale)
        return self._replace(
            x=_twice(self.x[:, :count]),
            positives=_in_halves(self.positives),
            negatives=_in_halves(negatives),
            unconditional=_in_halves(self.unconditional),
            guidance_scale=scale,
            negatives_given=True,
            negatives_are_samples=False,
            present=None if present is None else _twice(present),
        )

    def center(self):
        """The mean of the samples that are present, `(groups, 1, d)`."""
        return ops.mean(self._masked_samples(), axis=-2, keepdims=True)

    def rest_if_absent(self, velocity):
        """The velocity, zero for samples that are absent."""
        if self.present is None:
            return velocity
        return ops.where(self.present, velocity, 0.0)

    def mean_squares(self, fields):
        """Mean squares over all samples that are present, on all devices.

        Args:
            fields: list of float tensors `(groups, n, any)`.

        Returns:
            float32 tensor `(len(fields),)`, or `(len(fields), features)`.
        """
        squares = [ops.mean(ops.square(field), axis=-1) for field in fields]
        if self.present is None:
            return self.means(squares)
        present = self.present[..., 0]
        means = [self.mean(ops.where(present, each, 0.0)) for each in squares]
        share = self.mean(ops.cast(self.present, "float32"))
        return self.ratio_of_means(means, share)

    def means(self, values):
        """Means over the batch, on all devices, of a list of tensors.

        Args:
            values: list of float tensors `(groups, ...)`.

        Returns:
            float32 tensor `(len(values),)`, or `(len(values), features)`.
        """
        means = [self.mean(each) for each in values]
        return backend.global_mean(ops.stack(means), self.placement)

    def mean_cost(self, *pairs):
        """Weighted mean of the costs of all `pairs`: a scalar, or per group.

        Over all groups and samples that are present, on all devices.
        """
        total = mass = 0.0
        for each in pairs:
            sums = cost_sums(each)
            if self.present is not None:
                present = self.present[..., 0]
                sums = [ops.where(present, value, 0.0) for value in sums]
            total += self.mean(sums[0])
            mass += self.mean(sums[1])
        return self.per_group(self.ratio_of_means([total], mass)[0])

    def mean(self, values):
        """Mean of a tensor `(groups, ...)` over the share of this device."""
        if self.segments is None:
            return ops.mean(values)
        return self.segments.means(values)

    def per_group(self, mean):
        """A mean over the batch for each group: scalar or `(groups, 1, 1)`."""
        if self.segments is None:
            return mean
        return self.segments.per_group(mean, ops.shape(self.x)[0])

    def per_feature(self, value):
        """The inverse of `per_group`."""
        if self.segments is None:
            return value
        return self.segments.per_feature(value)

    def ratio_of_means(self, numerators, denominator):
        """Ratios of means over the batch.

        Both are averaged over all devices before they are divided.

        Args:
            numerators: list of float scalars, or of tensors `(features,)`.
            denominator: the same; the ratio to zero is that to 1e-30.

        Returns:
            float32 tensor `(len(numerators),)`, or with `features` as its
            second axis.
        """
        means = backend.global_mean(
            ops.stack([*numerators, denominator]), self.placement
        )
        return means[:-1] / ops.maximum(means[-1], 1e-30)

    def _check_can_be_halved(self):
        sizes = {
            "positives": self.positives.points.shape[1],
            "negatives": self.negatives.points.shape[1],
        }
        samples = self.x.shape[1]
        if self.negatives_are_samples and None not in (
            samples,
            sizes["negatives"],
        ):
            sizes["negatives"] -= _probes(samples)
        if self.unconditional is not None:
            sizes["unconditional"] = self.unconditional.points.shape[1]
        small = {k: v for k, v in sizes.items() if v is not None and v < 2}
        if small:
            raise ValueError(
                "The signal is measured from two halves of the points, so each "
                "group needs at least 2 positives, 2 unconditional points if "
                "there are any, and 2 negatives, or 3 samples that are the "
                "negatives. Use larger batches. Received: x.shape="
                f"{tuple(self.x.shape)}, and too few {sorted(small)}"
            )

    @property
    def _samples_are_negatives(self):
        # Given negatives can be the very tensor of the samples.
        return not self.negatives_given and self.negatives.points is self.x

    def _masked_samples(self):
        return mask_absent(self.x, self._sample_weights())

    def _sample_weights(self):
        """The weights of the samples as negatives, or `None`."""
        weights = self.negatives.weights
        if weights is None or not self.negatives_are_samples:
            return None
        return weights[:, : ops.shape(self.x)[1]]

    def _present(self):
        present = None
        if self.positives.weights is not None:
            present = ops.any(self.positives.weights > 0, axis=-1)
            present = present[:, None, None]
        sample_weights = self._sample_weights()
        if sample_weights is None:
            return present
        samples = (sample_weights > 0)[..., None]
        return samples if present is None else ops.logical_and(present, samples)


def _probes(samples):
    """How many of the samples a signal is measured on: one in 64."""
    return (samples + 63) // 64


def _twice(values):
    """The groups, and the same groups once more."""
    return ops.concatenate([values, values], axis=0)


def _dropped(cloud, count):
    """The cloud without its first points."""
    return _mapped(cloud, lambda part: part[:, count:])


def _mapped(cloud, function):
    """The cloud, a function applied to its points and its weights."""
    if cloud is None:
        return None
    weights = None if cloud.weights is None else function(cloud.weights)
    return cloud._replace(points=function(cloud.points), weights=weights)


def _in_halves(cloud):
    """The even and the odd points of a cloud as groups, equally many."""
    if cloud is None:
        return None
    # Not the first and the last ones: padding may be at one end.
    end = 2 * (ops.shape(cloud.points)[1] // 2)

    def stacked(values):
        if values is None:
            return None
        halves = values[:, 0:end:2], values[:, 1:end:2]
        return ops.concatenate(halves, axis=0)

    return cloud._replace(
        points=stacked(cloud.points), weights=stacked(cloud.weights)
    )

"""Mixin of `DriftModel` that describes a run before it begins."""

import keras

from keras_drift import backend
from keras_drift import checks
from keras_drift.training import batch_split
from keras_drift.training import data_sources
from keras_drift.training import memory_estimate
from keras_drift.training.data_batch import DataBatch
from keras_drift.training.preflight import Preflight


class ModelPreflight:
    """Mixin of `DriftModel`: what `fit` will do on the devices there are."""

    def preflight(self, x, y=None, batch_size=None, device_memory=None):
        """Describes how `fit` divides its work, and refuses a bad plan.

        Nothing is compiled or trained. It makes the checks of `fit`, which
        the same call would fail, and refuses plans that run but waste devices
        or memory. Print the result at the beginning of a long run. In a run of
        several processes, all of them call it.

        Args:
            x: as in `fit`: arrays, or a data set whose batches have an index;
                or a `tf.data.Dataset` of batches of known sizes.
            y: as in `fit`.
            batch_size: as in `fit`.
            device_memory: float > 0, the bytes of one device, such as `16e9`.
                Defaults to `None`: unknown.

        Returns:
            A `training.Preflight`. The bytes in it are those of variables,
            gradients and samples. The features of all samples come on top, and
            the activations of `1 / micro_batches` of the samples.

        Raises:
            ValueError: if the run would fail; if a device would have no sample;
                if a replica would have a local field of a lone sample; or if
                what is counted does not fit into `device_memory`.

        Example:

        >>> import keras_drift as kd
        >>> data = kd.datasets.eight_gaussians(512, seed=0)
        >>> model = kd.DriftModel(kd.generators.MLP(output_dim=2), seed=0)
        >>> model.compile("adam")
        >>> plan = model.preflight(data, batch_size=64, device_memory=16e9)
        >>> plan.groups, plan.positives, plan.generated
        (1, 64, 64)
        >>> plan.memory["optimizer"] / plan.memory["gradients"]  # two moments
        2.00...
        """
        if device_memory is not None:
            checks.positive_number("device_memory", device_memory)
        self._check_ready("preflight")
        self._freeze_parts()
        first = self._first_batch(x, y, batch_size)
        batch = DataBatch.parse(
            first, self.generator, self.guidance_sampler is not None
        )
        split = batch_split.split(self, first, batch)
        found = Preflight(
            devices=max(backend.num_devices(), backend.replicas_of(self)),
            processes=backend.num_processes(),
            engine=_engine(self),
            groups=split.groups,
            positives=split.positives,
            generated=split.generated,
            split=split.axis,
            per_device=split.per_device,
            padding=split.padding,
            field_scope=self.field_scope,
            memory={
                **memory_estimate.of_model(self),
                "samples": _bytes_of_samples(self, batch, split),
            },
            device_memory=device_memory,
            notes=split.notes + _unused_devices(self),
        )
        _check_memory(found)
        return found

    def _first_batch(self, x, y, batch_size):
        """The first batch of a data source, which is as it was afterwards."""
        if data_sources.is_iterator(x):
            raise TypeError(
                "`preflight` reads the first batch, which an iterator would "
                "lack afterwards: give it a data set, or an array. "
                f"Received: x={type(x).__name__}"
            )
        source = self._source(x, y, None, batch_size)
        first = data_sources.first_batch(source.x)
        if first is None:
            raise TypeError(
                "`preflight` needs the sizes of a batch, so it takes arrays, "
                "data sets whose batches have an index, and `tf.data` batched "
                f"with `drop_remainder=True`. Received: x={type(x).__name__}"
            )
        return first


def _engine(model):
    """In words, what distributes the run."""
    name = keras.backend.backend()
    distribution = keras.distribution.distribution()
    if distribution is not None:
        mesh = distribution.device_mesh
        sizes = zip(mesh.axis_names, mesh.shape, strict=True)
        axes = ", ".join(f"{axis}={size}" for axis, size in sizes)
        return f"{type(distribution).__name__} of {name} on a mesh of {axes}"
    if backend.replicas_of(model) == 1:
        return f"{name} without a distribution"
    if backend.num_processes() > 1:
        return f"processes of {name}"
    return f"{type(model.distribute_strategy).__name__} of {name}"


def _bytes_of_samples(model, batch, split):
    sample = model.generator.sample_shape
    sets = [split.positives]
    if batch.unconditional is not None:
        sets.append(batch.unconditional.shape[1])
    shapes = [(split.groups, size, *sample) for size in sets]
    counts = [split.data_shares] * len(shapes)
    generated = (split.groups, split.generated, *sample)
    return memory_estimate.of_samples(
        [*shapes, generated], [*counts, split.generated_shares]
    )


def _unused_devices(model):
    """A note on devices that stay idle."""
    used = max(backend.num_devices(), backend.replicas_of(model))
    distribution = keras.distribution.distribution()
    if distribution is not None:
        used = max(used, distribution.device_mesh.devices.size)
    unused = backend.num_available_devices() - used
    if unused <= 0:
        return ()
    return (
        f"{unused} more devices are not used: see the guide "
        '"Training on many devices".',
    )


def _check_memory(found):
    if found.device_memory is None or found.total_memory <= found.device_memory:
        return
    raise ValueError(
        "Variables, gradients and samples alone do not fit on a device, "
        "without any activations. Cut the variables over devices by "
        "`distribution.layout_map`, use an optimizer with fewer variables, or "
        f"smaller batches. Received:\n{found}"
    )

"""Runs whose weights are cut over devices, see `sharded_checkpoint_test`."""

import hashlib
import json
import pathlib
import resource
import shutil
import sys
import time
import warnings

import jax
import keras
import numpy as np
from jax.experimental import multihost_utils

import keras_drift as kd

SAMPLES = np.random.default_rng(0).normal(size=(96, 2)).astype("float32")


def network(width=16):
    return kd.generators.MLP(2, hidden_dims=(width, width))


def distribute(width=16):
    """Cuts all variables over all devices."""
    keras.distribution.set_distribution(None)
    mesh = keras.distribution.DeviceMesh(
        (jax.device_count(),), ["batch"], keras.distribution.list_devices()
    )
    layouts = kd.distribution.layout_map(network(width), mesh, style="fsdp")
    keras.distribution.set_distribution(
        keras.distribution.ModelParallel(
            layout_map=layouts, auto_shard_dataset=False
        )
    )


def compiled_model(seed=0, width=16, on_one_device=False):
    if on_one_device:
        keras.distribution.set_distribution(None)
    else:
        distribute(width)
    keras.utils.set_random_seed(seed)
    model = kd.DriftModel(network(width), seed=0)
    model.compile(keras.optimizers.Adam(0.01, use_ema=True, ema_momentum=0.9))
    return model


def batches():
    """The share of this process: as large as the others', of other samples."""
    count, index = jax.process_count(), jax.process_index()
    return kd.datasets.ArrayDataset(
        SAMPLES[index::count], batch_size=32 // count, seed=index
    )


class Stop(keras.callbacks.Callback):
    """Ends a run by an exception, like Ctrl-C."""

    def __init__(self, epoch, batch):
        super().__init__()
        self.at, self.epoch = (epoch, batch), None

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_begin(self, batch, logs=None):
        if (self.epoch, batch) == self.at:
            raise KeyboardInterrupt


class NoRoom(keras.callbacks.Callback):
    """Leaves the last process no room on the disk after a checkpoint."""

    def __init__(self, path):
        super().__init__()
        self.path = path

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 1 and jax.process_index() > 0:
            while not self.path.exists():
                time.sleep(0.01)
            hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
            resource.setrlimit(resource.RLIMIT_FSIZE, (500, hard))


class NoFolder(keras.callbacks.Callback):
    """Puts a file in the place of the checkpoints after the first one."""

    def __init__(self, path):
        super().__init__()
        self.path = path

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 1:
            while not any(self.path.glob("*/manifest.json")):
                time.sleep(0.01)
            time.sleep(1)  # all processes have seen the end of the first one
            multihost_utils.sync_global_devices("complete")
            if jax.process_index() == 0:
                shutil.rmtree(self.path)
                self.path.write_text("")


def train(folder, epochs, seed=0, callbacks=(), on_one_device=False, **options):
    """A run with checkpoints: the model, and the epochs it has trained."""
    model = compiled_model(seed, on_one_device=on_one_device)
    checkpoint = kd.callbacks.TrainingCheckpoint(folder, **options)
    try:
        history = model.fit(
            batches(),
            epochs=epochs,
            callbacks=[checkpoint, *callbacks],
            verbose=0,
        )
    except KeyboardInterrupt:
        return model, None
    return model, history.epoch


def variables(model):
    return [*model.variables, *model.optimizer.variables]


def own_part(model):
    """A digest of the bits that the devices of this process hold."""
    digest = hashlib.sha256()
    for variable in variables(model):
        for shard in variable.value.addressable_shards:
            digest.update(np.asarray(shard.data).tobytes())
    return digest.hexdigest()


def values(model):
    """The whole values of all variables, as lists."""
    arrays = [v.value for v in variables(model)]
    if jax.process_count() > 1:
        arrays = multihost_utils.process_allgather(arrays, tiled=True)
    return [np.asarray(array).tolist() for array in arrays]


def restored(folder, **options):
    """A fresh model and the epoch of the checkpoint that it was given."""
    model = compiled_model(7, **options)
    checkpoint = kd.callbacks.TrainingCheckpoint(folder)
    return model, checkpoint.restore(model)


# === The cases: each takes the folder of the test and returns what it saw ===


def resume(folder):
    """A run at once, and one that is stopped and goes on."""
    at_once, _ = train(folder / "at_once", 3)
    train(folder / "stopped", 2)
    again, epochs = train(folder / "stopped", 3, seed=7)
    return {
        "share": _share(at_once),
        "same": own_part(at_once) == own_part(again),
        "epochs": epochs,
        "files": names(folder / "stopped"),
    }


def resume_within_epoch(folder):
    """The same for a run that was stopped after two batches of an epoch."""
    at_once, _ = train(folder / "at_once", 3, save_freq=1)
    train(folder / "stopped", 3, save_freq=1, callbacks=[Stop(1, 2)])
    files = names(folder / "stopped")
    again, epochs = train(folder / "stopped", 3, seed=7, save_freq=1)
    same = own_part(at_once) == own_part(again)
    return {"newest": files[-1], "epochs": epochs, "same": same}


def banked_model():
    keras.distribution.set_distribution(
        keras.distribution.DataParallel(auto_shard_dataset=False)
    )
    keras.utils.set_random_seed(0)
    generator = kd.generators.MLP(2, hidden_dims=(16,), num_classes=4)
    model = kd.DriftModel(generator, seed=0)
    model.compile(keras.optimizers.Adam(0.01))
    return model


def banked_batches():
    """Batches of banks that are filled from the samples of this process."""
    rng = np.random.default_rng(jax.process_index())
    stream = [
        (rng.normal(size=(8, 2)).astype("float32"), np.arange(8) % 4)
        for _ in range(16)
    ]
    return kd.datasets.BankedDataset(
        stream,
        sample_shape=(2,),
        num_classes=4,
        groups_per_batch=4,
        positives=8,
        push_per_step=8,
        capacity=16,
        steps_per_epoch=3,
        seed=jax.process_index(),
        verbose=False,
    )


def resume_banks(folder):
    """Runs at once and again of which each process has banks of its own."""
    ends = []
    for name, all_epochs in (("at_once", [3]), ("stopped", [2, 3])):
        for epochs in all_epochs:
            model, data = banked_model(), banked_batches()
            model.fit(
                data,
                epochs=epochs,
                verbose=0,
                callbacks=[kd.callbacks.TrainingCheckpoint(folder / name)],
            )
        bank = np.concatenate([np.ravel(a) for a in arrays_of(data)])
        ends.append((own_part(model), bank.tolist()))
    return {"same": ends[0] == ends[1], "bank": ends[0][1]}


def arrays_of(data):
    state = keras.tree.flatten(data.get_state()["bank"])
    return [each for each in state if isinstance(each, np.ndarray)]


def restore(folder):
    """The newest checkpoint of the case `resume`."""
    model, epoch = restored(folder / "stopped")
    return {"epoch": epoch, "values": values(model)}


def restore_on_one_device(folder):
    """The same in a model that is not sharded."""
    model, epoch = restored(folder / "stopped", on_one_device=True)
    return {"epoch": epoch, "values": values(model)}


def merge(folder):
    """The file in its place, and what it holds."""
    checkpoint = kd.callbacks.TrainingCheckpoint(folder / "stopped")
    path = checkpoint.merge()
    assert checkpoint.merge() == path  # nothing is left to do
    return {"files": names(folder / "stopped"), **restore(folder)}


def go_on(folder):
    """A run that goes on with another number of devices."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        _, epochs = train(folder / "stopped", 4, seed=7)
    messages = [str(w.message) for w in caught if "the data" in str(w.message)]
    return {"epochs": epochs, "messages": messages}


def write_file(folder):
    """A checkpoint without shards."""
    train(folder / "stopped", 1, on_one_device=True)
    return {"files": names(folder / "stopped"), **restore(folder)}


def restore_damaged(folder):
    """What is restored of the folder of the run at once."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        _, epoch = restored(folder / "at_once")
    messages = [str(w.message) for w in caught if "damaged" in str(w.message)]
    return {"epoch": epoch, "messages": messages}


def full_disk(folder):
    """The error where one process cannot write, and what is left."""
    path = folder / "full"
    no_room = NoRoom(path / "epoch_000001")
    error = message(lambda: train(path, 3, callbacks=[no_room]))
    return {"error": error, "epoch": restored(path)[1]}


def no_folder(folder):
    """The errors where only the first process finds that it cannot write."""
    path = folder / "none"
    return message(lambda: train(path, 3, callbacks=[NoFolder(path)]))


def final(folder):
    """The end of a run that saves after every step."""
    return own_part(train(folder, 4, save_freq=1)[0])


def not_shared(folder):
    """Directories that hosts do not share, at the beginning and later."""
    own = folder / f"host_{jax.process_index()}"
    at_first = message(lambda: train(own, 1))
    later = {0: folder / "stopped", 1: own}[jax.process_index()]
    return {"at_first": at_first, "later": message(lambda: restored(later))}


def another_model(folder):
    return message(lambda: restored(folder / "stopped", width=8))


def whole_state(folder):
    del folder
    return message(compiled_model().training_state)


def message(function):
    """The error of a function."""
    try:
        function()
    except (OSError, ValueError) as error:
        return f"{type(error).__name__}: {error}"
    return ""


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def _share(model):
    """The part of weights and optimizer that this process holds."""
    arrays = [v.value for v in variables(model)]
    own = sum(s.data.nbytes for a in arrays for s in a.addressable_shards)
    return own / sum(array.nbytes for array in arrays)


def main():
    first, *others = sys.argv[1:]
    if first.startswith("process "):
        _, index, count, address = first.split()
        jax.config.update("jax_cpu_collectives_implementation", "gloo")
        jax.distributed.initialize(address, int(count), int(index))
        first, *others = others
    folder = pathlib.Path(first)
    print(json.dumps({name: globals()[name](folder) for name in others}))


if __name__ == "__main__":
    main()

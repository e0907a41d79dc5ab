# %% [markdown]
# # Training on many devices
#
# A drift field compares every generated sample with the others and with the
# data, so it is not a sum over samples: the field of two halves of a batch is
# not that of the batch. keras_drift trains on the field of the whole batch,
# whatever the number of devices. The loss, the metrics and the weights are
# those of one device with the same `batch_size`, up to rounding.
#
# This script trains the same model on one device, on several and by several
# processes. Run it as a script, or cell by cell:
#
#     KERAS_BACKEND=jax python guides/training_on_many_devices.py
#
# with the backend that you installed: `jax`, `tensorflow` or `torch`. PyTorch
# has a process for each device, which `torchrun` starts, here two of them:
#
#     KERAS_BACKEND=torch torchrun --standalone --nproc-per-node=2 \
#         guides/training_on_many_devices.py
#
# On two hosts of eight GPUs, run this on both, with the address of the first:
#
#     KERAS_BACKEND=torch torchrun --nnodes=2 --nproc-per-node=8 \
#         --rdzv-backend=c10d --rdzv-endpoint=HOST:29500 --rdzv-id=drift \
#         guides/training_on_many_devices.py
#
# Under Slurm, `srun` runs that command on every host of the job:
#
#     #SBATCH --nodes=2 --ntasks-per-node=1 --gpus-per-node=8
#     export KERAS_BACKEND=torch
#     HOST=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
#     srun torchrun --nnodes=2 --nproc-per-node=8 --rdzv-backend=c10d \
#         --rdzv-endpoint="$HOST:29500" --rdzv-id="$SLURM_JOB_ID" \
#         guides/training_on_many_devices.py
#
# On several hosts with JAX, the slice of a TPU pod for instance, every process
# gives its own share of each batch, so its data set has a seed of its own:
#
#     gcloud compute tpus tpu-vm ssh NAME --worker=all \
#         --command="KERAS_BACKEND=jax python train.py"
#
#     # train.py
#     jax.distributed.initialize()
#     keras.utils.set_random_seed(0)  # the same weights in all processes
#     keras.distribution.set_distribution(
#         keras.distribution.DataParallel(auto_shard_dataset=False)
#     )
#     batches = kd.datasets.GroupedDataset(
#         samples, labels, seed=jax.process_index()
#     )
#
# Under Kubernetes, a `JobSet` (JAX) or a `PyTorchJob` (PyTorch) sets what
# `jax.distributed.initialize()` or `torchrun` reads; the scripts are the same.
#
# The figure is written to `outputs/guides`.

# %%
import contextlib
import os
import pathlib

import keras
import matplotlib.pyplot as plt

import keras_drift as kd

# `quick` is for the tests, which run every guide.
quick = bool(os.environ.get("KERAS_DRIFT_QUICK"))
folder = pathlib.Path("outputs/guides")
keras.utils.set_random_seed(0)

# %% [markdown]
# ## One line for each backend
#
# - JAX: `keras.distribution` divides the arrays, and one program sees them all.
# - TensorFlow: the model is made in the scope of a `tf.distribute` strategy.
# - PyTorch: `initialize()` joins the processes that `torchrun` has started, and
#   does nothing in a single one. The weights are those of the first process.
#
# `rank` is the index of the process: the first one, of rank 0, prints and
# saves. The callbacks of keras_drift that write files do so by themselves.

# %%
rank, num_processes = kd.distribution.initialize()
scope = contextlib.nullcontext()
if (
    keras.backend.backend() == "jax"
    and len(keras.distribution.list_devices()) > 1
):
    keras.distribution.set_distribution(keras.distribution.DataParallel())
if keras.backend.backend() == "tensorflow":
    import tensorflow as tf

    if len(tf.config.list_logical_devices("GPU")) > 1:
        scope = tf.distribute.MirroredStrategy().scope()

# %% [markdown]
# ## The same script
#
# `batch_size` is that of the whole batch: with two replicas, each generates and
# moves 128 samples here, and compares them with all 256. It must be a multiple
# of the number of replicas; with classes, the groups of a batch must be. All
# processes are given the same data and take their share of every batch, so give
# a `DataLoader` of PyTorch no `DistributedSampler`.

# %%
data = kd.datasets.two_moons(512 if quick else 8192, seed=0)
with scope:
    model = kd.DriftModel(
        kd.generators.MLP(
            output_dim=2, hidden_dims=(32 if quick else 256,) * 2
        ),
        kd.drifts.KernelDrift(kd.kernels.Gaussian([0.5, 0.15])),
        seed=0,
    )
    model.compile(
        keras.optimizers.Adam(2e-3), metrics=[kd.metrics.SlicedWasserstein()]
    )
plan = model.preflight(data, batch_size=256)
history = model.fit(
    data, batch_size=256, epochs=1 if quick else 10, verbose=0
).history

# %% [markdown]
# ## Before a long run
#
# `preflight` says how `fit` will divide its work: the devices, the groups or
# samples of each of them, the scope of the field, and the bytes that a device
# holds, apart from activations. Given the `device_memory`, such as `16e9`, it
# refuses what cannot fit; and always a batch that leaves devices without a
# sample. `examples/train_images.py` prints it, too.

# %%
if rank == 0:
    print(plan)

# %% [markdown]
# ## The result
#
# One process and two print the same numbers here, up to rounding that grows
# with the number of steps.

# %%
if rank == 0:
    last = {name: round(values[-1], 4) for name, values in history.items()}
    print(f"{num_processes} processes, last epoch:", last)
    samples = model.generate(1000, seed=0)
    folder.mkdir(parents=True, exist_ok=True)
    figure, axis = plt.subplots(figsize=(4, 4), layout="constrained")
    axis.scatter(*data[:1000].T, s=3, label="data")
    axis.scatter(*samples.T, s=3, label="samples")
    axis.legend()
    figure.savefig(folder / "many_devices.png", dpi=110)

# %% [markdown]
# ## The scope of the field, and memory
#
# `DriftModel(field_scope="local")` takes the field of each replica alone:
# nothing but gradients is exchanged, but the field is that of a smaller batch,
# with more noise. Batches in groups exchange next to nothing anyway: groups are
# whole on one replica, and only means over the batch are global.
#
# If the batch does not fit into memory, `DriftModel(micro_batches=8)` runs
# generator and encoder on an eighth of it at a time, for one more forward
# pass. The field is still that of the whole batch, and so is the gradient:
# unlike with the `gradient_accumulation_steps` of an optimizer, which averages
# the gradients of eight noisier fields.
#
# ## Weights that one device cannot hold
#
# On JAX, `distribution.layout_map` cuts weights, optimizer and averages over
# all devices, those of other hosts included. A `callbacks.TrainingCheckpoint`
# is then a folder, in which each process writes its own shards, by Orbax:
# `pip install` the extra `sharded` of keras-drift. Checksums of all files are
# compared before anything is restored, and a damaged checkpoint gives way to
# the one before.
#
#     mesh = keras.distribution.DeviceMesh(
#         (jax.device_count(),), ["batch"], keras.distribution.list_devices()
#     )
#     layouts = kd.distribution.layout_map(network, mesh, style="fsdp")
#     keras.distribution.set_distribution(
#         keras.distribution.ModelParallel(
#             layout_map=layouts, auto_shard_dataset=False
#         )
#     )
#
# The run goes on with any number of processes and devices, each of which reads
# the shards that it needs; a file of one process goes on in several, too. With
# the same number of processes it goes on bit for bit, each with its own
# position in the data, and banks. With another number, the weights, the
# optimizer, the averages, the schedules and the random generators go on; a data
# set with a seed goes on from the epoch, and others begin anew.
#
# TensorFlow and PyTorch read files. On JAX, in one process that holds the
# model, `TrainingCheckpoint("run/checkpoints").merge()` makes one file of the
# newest folder. Weights, optimizer, averages and schedules then move to the
# other backends; the random numbers are those of each backend, and so the run
# is not repeated bit for bit there.
#
# ## When a process ends
#
# If one process of PyTorch is killed, the others stop with a message, and
# `torchrun` ends the run. Continue from a `callbacks.TrainingCheckpoint`, in a
# folder that all hosts share, with any number of processes.

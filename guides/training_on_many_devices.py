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
# uses one process per device, started by `torchrun`, here two of them:
#
#     KERAS_BACKEND=torch torchrun --standalone --nproc-per-node=2 \
#         guides/training_on_many_devices.py
#
# With JAX and TensorFlow, one process trains on all devices of a host, and
# `initialize()` joins the processes of several hosts. The last sections have
# the commands for TPU pods, Slurm and Kubernetes, for scripts like this one and
# for the command `keras-drift train`.
#
# The figure is written to `outputs/guides`.

# %%
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
# ## Two lines for all backends
#
# `initialize()` joins the processes that a launcher has started, and does
# nothing in a single one. `data_parallel()` is a context:
#
# - JAX: `keras.distribution` divides the arrays, and one program sees them all.
# - TensorFlow: the model is made in the scope of a `tf.distribute` strategy.
# - PyTorch: it changes nothing, because each device has a process.
#
# `rank` is the index of the process: the first one, of rank 0, prints and
# saves. The callbacks of keras_drift that write files do so by themselves.

# %%
rank, num_processes = kd.distribution.initialize()

# %% [markdown]
# ## The same script
#
# `batch_size` is that of the whole batch: with two replicas, each generates and
# moves 128 samples here, and compares them with all 256. It must be a multiple
# of the number of replicas; with classes, the groups of a batch must be.
#
# All processes of PyTorch are given the same data and take their share of every
# batch, so do not use a `DistributedSampler` in a `DataLoader`. Several
# processes of JAX each give their share, and read no more than that. Together
# they give the batches of a single one:
#
#     batches = kd.datasets.GroupedDataset(
#         samples, labels, share=(rank, num_processes)
#     )

# %%
data = kd.datasets.two_moons(512 if quick else 8192, seed=0)
with kd.distribution.data_parallel():
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
# On JAX, `distribution.layout_map` shards weights, optimizer and averages over
# all devices, those of other hosts included. A `callbacks.TrainingCheckpoint`
# is then a folder, in which each process writes its own shards with Orbax:
# `pip install` the extra `sharded` of keras-drift. Checksums of all files are
# compared before anything is restored; if a checkpoint is damaged, the previous
# one is restored.
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
# The run can be resumed with any number of processes and devices, each of which
# reads the shards that it needs; the file of a single process can be resumed by
# several, too. With the same number of processes it resumes bit for bit, each
# process with its own position in the data and its own banks. With another
# number, the weights, the optimizer, the averages, the schedules and the random
# generators are restored; a data set with a seed resumes at the epoch, and
# others start over.
#
# TensorFlow and PyTorch read files. On JAX, in one process that holds the
# model, `TrainingCheckpoint("run/checkpoints").merge()` makes one file of the
# newest folder. Weights, optimizer, averages and schedules then move to the
# other backends; the random numbers are those of each backend, and so the run
# is not repeated bit for bit there.
#
# ## When a process ends
#
# If one process of a run is killed, the others stop with a message, and the
# launcher ends the run. Continue from a `callbacks.TrainingCheckpoint`, in a
# folder that all hosts share, with any number of processes.
#
# ## The training command in several processes
#
# `keras-drift train` does all of this by itself. All processes together train
# its generator, on all of their devices. The first process checks the data,
# caches latents, trains the encoder, evaluates and writes the preset, on one
# device, while the others wait; it alone prints and writes files. The folders
# of the images and of the run must be ones that all hosts share. The same
# command resumes a run that was stopped, or whose processes were killed.
#
# The number of groups in a batch, `--set training.groups=64`, is a multiple of
# the number of processes. Where there are fewer groups than devices of JAX, the
# devices divide the samples of a group. Images that are streamed by way of
# memory banks, as in `pixel_b16`, need the extra `sharded` of keras-drift in
# several processes of JAX, because each of them has banks of its own.
#
# ## Commands: a host with many GPUs
#
# JAX and TensorFlow take all GPUs that one process sees:
#
#     keras-drift --backend jax train latent_l2 --data imagenet/train
#
# PyTorch uses one process for each of them. The two dashes keep `torchrun` from
# parsing the options of the command as its own:
#
#     KERAS_BACKEND=torch torchrun --standalone --nproc-per-node=8 \
#         -m -- keras_drift_cli train latent_l2 --data imagenet/train
#
# On two hosts, run this on both, with the address of the first:
#
#     KERAS_BACKEND=torch torchrun --nnodes=2 --nproc-per-node=8 \
#         --rdzv-backend=c10d --rdzv-endpoint=HOST:29500 --rdzv-id=drift \
#         -m -- keras_drift_cli train latent_l2 --data DATA --run RUN
#
# TensorFlow reads the addresses of all hosts, and which of them this one is:
#
#     export KERAS_BACKEND=tensorflow
#     export TF_CONFIG='{"task": {"type": "worker", "index": 0}, "cluster":
#         {"worker": ["HOST0:2222", "HOST1:2222"]}}'
#     keras-drift train latent_l2 --data DATA --run RUN
#
# ## Commands: a slice of a TPU pod
#
# The number of hosts of a slice must be set, since `initialize` contacts no
# other host to find it out. Here there are four:
#
#     gcloud compute tpus tpu-vm ssh NAME --worker=all --command="\
#         KERAS_BACKEND=jax KERAS_DISTRIBUTION_NUM_PROCESSES=4 \
#         keras-drift train latent_l2 --data DATA --run RUN"
#
# ## Commands: Slurm
#
# With JAX, `srun` starts a process for each GPU:
#
#     #SBATCH --nodes=2 --ntasks-per-node=8 --gpus-per-node=8
#     export KERAS_BACKEND=jax
#     srun keras-drift train latent_l2 --data DATA --run RUN
#
# With PyTorch, it starts a `torchrun` on each host:
#
#     #SBATCH --nodes=2 --ntasks-per-node=1 --gpus-per-node=8
#     export KERAS_BACKEND=torch
#     HOST=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
#     srun torchrun --nnodes=2 --nproc-per-node=8 --rdzv-backend=c10d \
#         --rdzv-endpoint="$HOST:29500" --rdzv-id="$SLURM_JOB_ID" \
#         -m -- keras_drift_cli train latent_l2 --data DATA --run RUN
#
# ## Commands: Kubernetes
#
# TPUs of Google Kubernetes Engine set what JAX reads, and a `PyTorchJob` what
# PyTorch reads: the command of each pod is `keras-drift train`. For JAX on
# GPUs, an indexed job with a headless service, here `drift`, sets three
# variables. It is restarted after a failure, and resumes:
#
#     apiVersion: batch/v1
#     kind: Job
#     metadata: {name: drift}
#     spec:
#       completionMode: Indexed
#       completions: 2
#       parallelism: 2
#       backoffLimit: 20
#       template:
#         spec:
#           subdomain: drift
#           restartPolicy: OnFailure
#           containers:
#           - name: train
#             image: IMAGE
#             command: [sh, -c]
#             args:
#             - JAX_PROCESS_ID=$JOB_COMPLETION_INDEX
#               keras-drift train latent_l2 --data DATA --run RUN
#             env:
#             - {name: KERAS_BACKEND, value: jax}
#             - {name: JAX_COORDINATOR_ADDRESS, value: "drift-0.drift:8476"}
#             - {name: JAX_NUM_PROCESSES, value: "2"}

"""The only place that knows which backend runs.

Keras gives `train_step` one form on JAX, where the variables travel through the
step as an explicit state, and another on TensorFlow and PyTorch, where the step
changes them in place. `run`, `step` and `step_result` let a step be written
once. `skipped_step(args, num_batches)` takes the arguments of a compiled step
and returns what it does, after reading the batches without training on them.

`scan(function, carry, xs)` calls `carry, y = function(index, carry, x)` for
each `x` along the first axes of the tensors in `xs`, of static length, and
returns `(carry, ys)`: `keras.ops.scan` with a `y` of any structure. `index`
counts from 0; it is an `int` where it is static: in loops that are not
compiled, and in TensorFlow's first iteration, which compiled code holds apart
from the others, unless `static_first=False`: that makes the program smaller.
With `recompute=True` the backward pass rematerializes every iteration; not on
TensorFlow, where rematerialization loses the gradients of enclosed tensors.
`matmul` is `keras.ops.matmul` in full float32 precision, which accelerators
trade for speed, for products whose differences count. `has_accelerator` says
whether tensors live on anything but a CPU. `exp_of_difference(x, y)` is
`exp(x - y)`, zero where it would be below the normal numbers of float32, for
which PyTorch needs one array rather than two.
`eigh` is `keras.ops.eigh`, on CPUs with PyTorch in float64: in float32, it may
not converge for matrices of rounding errors.
`in_memory(x)` is a float tensor that is computed once. On the CPU, XLA computes
what is elementwise again for each of its consumers: in a residual network, the
sums of all blocks before.
`zero_after(x)` is a scalar zero that depends on a tensor: adding it orders two
computations in a program. It is never NaN.
`recomputed_parts(function, parts, network)` is a function of the slices along
the first axes of `parts`, one after another, which the backward pass
rematerializes, on TensorFlow as well; it reads the variables of the network.
`with_known_sizes(x, shape)` is the tensor with the static sizes of a batch of
that shape where compiled code does not know them, and `SERVES_ANY_SHAPE` says
whether one compiled step takes batches of several shapes. `COMPILES` says
whether a step is a program, which takes longer to compile with each operation,
and may evaluate an expression twice.
`unless(done, function, state)` is `function(state)`, or `state` where the bool
scalar `done` is true; the function must not change the state then, so that a
backend may evaluate it nevertheless rather than synchronize with the device.

`build_optimizer(model)` makes the variables of the optimizer of a model, where
there are none yet.
`sync(model)` makes sure that the variables of a model hold their values, which
travel with the step while JAX trains; `host_value(variable)` is one of them.
`TrainerGuard` is a mixin of models, and `keeps_weights(model)` a context for
training, under which no weight is lost to an exception.
`without_autotuning(x)` is what Keras is given for a data source that it is to
read in order, with nothing beside it.
`divisible_layouts(has_classes)` is a context in which batches may have any size
under `keras.distribution`.
`compiled(network)` is a function from a dict of arrays to the outputs of the
network, compiled where the backend compiles, without gradients.

`gradient(function, x)` is the gradient of a function from a tensor to a scalar
at `x`. It can be differentiated itself where that of `x` is wanted.
`jit(function, variables)` is a function of arrays, compiled where the backend
compiles, without gradients. Every call reads the variables, the states of
random generators among them, and writes back those that the function assigns;
Python values that the function closes over are constants of the program.

`global_mean(x, placement)` and `gather(x, axis, placement)` are the collectives
of a batch that is distributed over replicas along its groups or its samples,
one of `PLACEMENTS`: see `keras_drift.backend.placement`. `num_replicas()` and
`replica_index()` are those of the step that is running, and
`replicas_of(model)` is the number that a model is trained by. `share(x, axis)`
is the part of a replica of a tensor that all of them hold. A step is given its
share of a batch where `RECEIVES_SHARES`, and `check_shares(size)` refuses
shares of different sizes; elsewhere it is given the whole batch.
`share_of_loss(loss)` is what the loss of a replica adds to that of the batch,
for the gradients as `averaged_gradients(optimizer)`, a context of a step,
reduces them. `equalize(model)` gives all replicas the variables of the first
one.
Where `gives_shares()`, each process gives a share of every batch, as in a run
of several processes of JAX. `of_all_processes(number)` lists an int of each
of the `num_processes()`, and the one whose `process_index()` is 0 writes files.

`first_sharded(variables)` is the first one that no process holds as a whole, or
`None`, and `assign(variable, value)` gives each process its part of an array.
`sharded_checkpoints()` is the module that writes and reads such variables, on
JAX; elsewhere it is `None`. All processes call `write(path, variables, files)`,
which starts to write a dict of lists of variables to a folder, and returns a
function that waits for the end. A thread calls
`files.write(directory, wait_for_arrays)` in every process, and after that
`files.complete(directory, finalize)` in the first one, before the folder has
its name. `read(path, variables)` is the dict of their values, laid out as the
variables are, and `read_on_host(path, shapes)` that of NumPy arrays, for lists
of `(shape, dtype)`.
`join_processes(timeout)` connects the processes of a run. `wait_for_all()` lets
them wait for each other, for longer than the timeout and without devices.
`data_parallel()` is a context in which models are made, trained and evaluated
on all devices.

Where one program computes for all devices (XLA under `keras.distribution`),
`num_devices()` is how many of them batches are spread over, `num_shares(x)` is
how many of them a tensor in that program is spread over, and both are 1
everywhere else. `num_available_devices()` counts those that are not used as
well, and `shape_on_device(variable)` is that of its part on one device.
`check_placement(model)` refuses variables that were made before the devices
were chosen. `spread(tensors, axis=0)` cuts an axis of tensors over them,
where they divide it, and `replicate(x)` gives all of them the whole tensor.
`in_shares(function, inputs, axes, out_axis)` calls
`along, partial = function(index, *shares)` on every device, with its number and
its share of the inputs, each spread along its axis, padded with zeros at its
end, or whole where the axis is `None`. It returns the nests `along`,
concatenated along `out_axis` with the padding, and `partial`, stacked along a
new first axis. Loops inside of it are those of one device.

`distances` and `dual_field` are faster than their forms in
`keras_drift.ops`, or `None` where a backend has nothing faster.
`attention(query, key, value, training=False)` is
`keras.ops.dot_product_attention`, or a faster form of it.

`export_options(network)` is what a network whose inputs are a dict
passes to `keras.Model.export`, for batches of any size, and
`export_onnx(network, path, opset_version=None)` writes it to an ONNX file.
"""

import contextlib

import keras

if keras.backend.backend() == "jax":
    from keras_drift.backend import jax as _backend
elif keras.backend.backend() == "torch":
    from keras_drift.backend import torch as _backend
else:
    from keras_drift.backend import tensorflow as _backend

from keras_drift.backend import placement


def _recomputed_parts(function, parts, network):
    del network  # gradients find its variables

    def body(index, carry, part):
        del index
        return carry, function(part)

    return _backend.scan(body, (), parts, recompute=True)[1]


def _export_onnx(network, path, opset_version=None):
    keras.Model.export(
        network, path, "onnx", verbose=False, opset_version=opset_version
    )


def _attention(query, key, value, training=False):
    del training  # changes only how it is computed
    return keras.ops.dot_product_attention(query, key, value)


def _assign(variable, value):
    variable.assign(value)


def _build_optimizer(model):
    if not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)


PLACEMENTS = placement.PLACEMENTS
RECEIVES_SHARES = placement.RECEIVES_SHARES
assign = getattr(_backend, "assign", _assign)
attention = getattr(_backend, "attention", _attention)
distances = getattr(_backend, "distances", None)
dual_field = getattr(_backend, "dual_field", None)
COMPILES = _backend.COMPILES
SERVES_ANY_SHAPE = _backend.SERVES_ANY_SHAPE
TrainerGuard = _backend.TrainerGuard
averaged_gradients = placement.averaged_gradients
build_optimizer = getattr(_backend, "build_optimizer", _build_optimizer)
check_placement = getattr(
    _backend, "check_placement", placement.check_placement
)
check_shares = placement.check_shares
compiled = _backend.compiled
data_parallel = getattr(_backend, "data_parallel", contextlib.nullcontext)
divisible_layouts = _backend.divisible_layouts
eigh = getattr(_backend, "eigh", keras.ops.eigh)
equalize = placement.equalize
export_onnx = getattr(_backend, "export_onnx", _export_onnx)
export_options = getattr(_backend, "export_options", lambda network: {})
exp_of_difference = getattr(
    _backend, "exp_of_difference", lambda x, y: keras.ops.exp(x - y)
)
first_sharded = getattr(_backend, "first_sharded", lambda variables: None)
gather = placement.gather
gives_shares = getattr(_backend, "gives_shares", lambda: False)
global_mean = placement.global_mean
gradient = _backend.gradient
has_accelerator = _backend.has_accelerator
host_value = _backend.host_value
in_memory = getattr(_backend, "in_memory", lambda x: x)
in_shares = getattr(_backend, "in_shares", None)
jit = _backend.jit
join_processes = getattr(_backend, "join_processes", placement.join_processes)
keeps_weights = _backend.keeps_weights
matmul = _backend.matmul
num_available_devices = getattr(
    _backend, "num_available_devices", placement.num_available_devices
)
num_devices = getattr(_backend, "num_devices", lambda: 1)
num_replicas = placement.num_replicas
num_shares = getattr(_backend, "num_shares", lambda x: 1)
of_all_processes = getattr(
    _backend, "of_all_processes", placement.of_all_processes
)
num_processes = getattr(_backend, "num_processes", placement.num_replicas)
process_index = getattr(_backend, "process_index", placement.replica_index)
recomputed_parts = getattr(_backend, "recomputed_parts", _recomputed_parts)
replica_index = placement.replica_index
replicas_of = placement.replicas_of
replicate = getattr(_backend, "replicate", lambda x: x)
run = _backend.run
scan = _backend.scan
share = placement.share
shape_on_device = getattr(
    _backend, "shape_on_device", lambda variable: tuple(variable.shape)
)
share_of_loss = placement.share_of_loss
sharded_checkpoints = getattr(_backend, "sharded_checkpoints", None)
spread = _backend.spread
step = _backend.step
skipped_step = _backend.skipped_step
step_result = _backend.step_result
sync = _backend.sync
unless = _backend.unless
with_known_sizes = getattr(_backend, "with_known_sizes", lambda x, shape: x)
without_autotuning = getattr(_backend, "without_autotuning", lambda x: x)
zero_after = getattr(_backend, "zero_after", lambda x: 0.0)
wait_for_all = getattr(_backend, "wait_for_all", placement.wait_for_all)

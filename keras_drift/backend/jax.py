"""JAX: the variables travel through a step as an explicit state."""

import contextlib
import math

import jax
import jax.numpy as jnp
import keras
import numpy as np

from keras_drift import extras
from keras_drift.backend import jax_batches
from keras_drift.backend import jax_processes
from keras_drift.backend import jax_shares

# Whether a step is a program, which takes time to compile.
COMPILES = True
# Whether a compiled step takes batches of several shapes.
SERVES_ANY_SHAPE = True

divisible_layouts = jax_batches.divisible_layouts
gives_shares = jax_batches.gives_shares
of_all_processes = jax_batches.of_all_processes
num_processes = jax.process_count
process_index = jax.process_index
check_placement = jax_shares.check_placement
data_parallel = jax_shares.data_parallel
in_shares = jax_shares.in_shares
join_processes = jax_processes.join_processes
num_available_devices = jax_shares.num_available_devices
num_devices = jax_shares.num_devices
num_shares = jax_shares.num_shares
replicate = jax_shares.replicate
shape_on_device = jax_shares.shape_on_device
spread = jax_shares.spread
wait_for_all = jax_processes.wait_for_all


def run(model, state, function, *args):
    """Calls `function(*args)` on the variables that `state` holds.

    Args:
        model: the model whose variables they are.
        state: list with what precedes the data among the arguments of a step.
        function: may read and assign variables of the model.
        *args: its arguments.

    Returns:
        `(result, state)`, the state as the function left it.
    """
    groups = _variables(model, len(state[0]))
    mapping = [
        pair
        for variables, values in zip(groups, state[0], strict=True)
        for pair in zip(variables, values, strict=True)
    ]
    with keras.StatelessScope(state_mapping=mapping) as scope:
        result = function(*args)
    new = tuple([_current(scope, v) for v in variables] for variables in groups)
    return result, [new]


def step(function, state, batch):
    """Calls Keras' own step: returns `(logs, state)`."""
    logs, new = function(*state, batch)
    return logs, [new]


def step_result(logs, state):
    """What Keras expects a step to return."""
    return logs, state[0]


def skipped_step(args, num_batches):
    """Reads batches without a step, see `keras_drift.backend`."""
    state, iterator = args
    for _ in range(num_batches):
        next(iterator)
    return {}, state


def scan(function, carry, xs, recompute=False, static_first=True):
    """A loop over the first axis, see `keras_drift.backend`."""
    del static_first  # the first iteration is like the others
    length = len(jax.tree.leaves(xs)[0])

    def body(carry, numbered):
        index, x = numbered
        x = _in_memory(index, x) if length > 1 else x
        return function(index, carry, x)

    if recompute:
        # Around the copies: they would be kept for every iteration. In a loop,
        # compilers do not merge the two computations.
        body = jax.checkpoint(body, prevent_cse=False)
    if length == 1:
        carry, y = body(carry, (0, jax.tree.map(lambda x: x[0], xs)))
        return carry, jax.tree.map(lambda y: y[None], y)
    return jax.lax.scan(body, carry, (jnp.arange(length), xs))


def _in_memory(index, tensors):
    """Copies a loop slice into its own buffer."""
    if has_accelerator():
        return tensors
    # XLA fuses a slice into all of its consumers, which a CPU then computes
    # without vector instructions. It would look through an
    # `optimization_barrier`, but cannot tell that this branch is always
    # taken.
    return jax.lax.cond(index >= 0, _same, _zeros, tensors)


# Branches that JAX knows again: it traces others in every call.
def _same(tensors):
    return tensors


def _zeros(tensors):
    return jax.tree.map(jnp.zeros_like, tensors)


def in_memory(tensor):
    """A tensor in a buffer of its own, see `keras_drift.backend`."""
    is_compiled = isinstance(tensor, jax.core.Tracer)
    if not is_compiled or jax.device_count() > 1 or 0 in tensor.shape:
        return tensor
    first = tensor[(0,) * tensor.ndim]
    return _in_memory(jnp.isnan(first).astype("int32"), tensor)


def zero_after(tensor):
    """A scalar zero that depends on a tensor, see `keras_drift.backend`."""
    if not isinstance(tensor, jax.core.Tracer):
        return 0.0
    some = jnp.sum(jax.lax.stop_gradient(tensor).reshape(-1)[:8])
    return 0.0 * jnp.isfinite(some).astype("float32")


def unless(done, function, state):
    """Conditional execution, see `keras_drift.backend`."""
    return jax.lax.cond(done, lambda state: state, function, state)


def sync(model):
    """Gives the variables of a model in training their values back."""
    model.jax_state_sync()


def first_sharded(variables):
    """One that this process has a part of, see `keras_drift.backend`."""
    for variable in variables:
        value = variable.value
        if not (value.is_fully_addressable or value.is_fully_replicated):
            return variable
    return None


def sharded_checkpoints():
    """Imports what writes and reads them, see `keras_drift.backend`."""
    return extras.load(
        "keras_drift.backend.orbax_checkpoints",
        "Checkpoints of weights that are sharded over processes",
        "orbax-checkpoint",
        "sharded",
    )


def assign(variable, value):
    """Assigns an array, see `keras_drift.backend`."""
    if isinstance(value, np.ndarray) and jax.process_count() > 1:
        # Keras would move all of it to one device, and compare it with those
        # of the other processes.
        value = jax.make_array_from_callback(
            value.shape,
            variable.value.sharding,
            lambda index: value[index].astype(variable.dtype),
        )
    variable.assign(value)


def host_value(variable):
    """The value of a variable as a NumPy array."""
    return keras.ops.convert_to_numpy(variable)


class TrainerGuard:
    """Mixin of models: no weight is lost to Keras' handling of JAX arrays.

    Keras lends the arrays of all variables to a compiled step, which deletes
    them (donation), and sets the variables to `None` meanwhile.
    """

    _loan = None

    def _get_jax_state(self, **options):
        # With `use_ema`, Keras leaves one array in a weight and in its average
        # (keras-team/keras#20851): donated once, it is gone for both.
        _separate(self)
        if options.get("purge_model_variables", False):
            self._loan = _Values(_all_variables(self))
        return super()._get_jax_state(**options)

    def jax_state_sync(self):
        super().jax_state_sync()
        # Before the first step of an epoch has run, Keras has nothing to
        # assign: what was lent is still there.
        if self._loan is not None:
            self._loan.restore(where_missing=True)
            self._loan = None

    def evaluate(self, *args, **kwargs):
        with _synced(self):
            return super().evaluate(*args, **kwargs)

    def predict(self, *args, **kwargs):
        with _synced(self):
            return super().predict(*args, **kwargs)


class _Values:
    """Variables with the arrays they hold; not an attribute Keras tracks."""

    def __init__(self, variables):
        self._pairs = [(v, v._value) for v in variables]

    def restore(self, where_missing=False):
        for variable, value in self._pairs:
            missing = variable._value is None
            usable = value is not None and not value.is_deleted()
            if usable and (missing or not where_missing):
                variable._value = value


@contextlib.contextmanager
def _synced(model):
    model.jax_state_sync()  # a callback may ask in the middle of training
    try:
        yield
    except BaseException:
        model.jax_state_sync()
        raise


@contextlib.contextmanager
def keeps_weights(model):
    """While it is open, an exception leaves the model after its last step.

    Keras hands the averaged weights over however `fit` ends. After an exception
    training has not ended, so its own weights are put back.
    """
    optimizer = model.optimizer
    finalize = optimizer.finalize_variable_values
    trained = None

    def finalize_and_remember(variables):
        nonlocal trained
        trained = _Values(model.trainable_variables)
        finalize(variables)

    optimizer.finalize_variable_values = finalize_and_remember
    try:
        yield
    except BaseException:
        model.jax_state_sync()
        if trained is not None:
            trained.restore()
        raise
    finally:
        del optimizer.finalize_variable_values


def _all_variables(model):
    optimizer = getattr(model, "optimizer", None)
    optimizer = [] if optimizer is None else optimizer.variables
    return [
        *model.trainable_variables,
        *model.non_trainable_variables,
        *optimizer,
        *model.metrics_variables,
    ]


def _separate(model):
    """Copies arrays that more than one variable holds."""
    seen = set()
    for variable in _all_variables(model):
        value = variable._value
        if value is None:
            continue
        if id(value) in seen:
            variable._value = jnp.copy(value)
        seen.add(id(value))


def compiled(network):
    """The network as a compiled function, see `keras_drift.backend`."""
    variables = network.variables

    @jax.jit
    def call(values, inputs):
        mapping = list(zip(variables, values, strict=True))
        with keras.StatelessScope(state_mapping=mapping):
            return network(inputs, training=False)

    return lambda inputs: call([v.value for v in variables], inputs)


def jit(function, variables):
    """Compiles a function, see `keras_drift.backend`."""

    @jax.jit
    def call(values, args):
        mapping = list(zip(variables, values, strict=True))
        with keras.StatelessScope(state_mapping=mapping) as scope:
            before = [scope.get_current_value(v) for v in variables]
            result = function(*args)
        # By position among the variables: only what the function has assigned.
        updates = {
            index: scope.get_current_value(variable)
            for index, variable in enumerate(variables)
            if scope.get_current_value(variable) is not before[index]
        }
        if set(scope.state_mapping) - {id(v) for v in variables}:
            raise ValueError(
                "A compiled function assigns a variable that `jit` was not "
                "given: its new value would be lost. List it among "
                f"`variables`. Received: variables={variables}"
            )
        return result, updates

    def call_and_assign(*args):
        result, updates = call([v.value for v in variables], args)
        for index, value in updates.items():
            variables[index].assign(value)
        return result

    return call_and_assign


def matmul(x, y):
    """A product in full float32, see `keras_drift.backend`."""
    return jnp.matmul(x, y, precision=jax.lax.Precision.HIGHEST)


def attention(query, key, value, training=False):
    """Softmax attention, see `keras_drift.backend`."""
    if has_accelerator():
        return keras.ops.dot_product_attention(query, key, value)
    # JAX's own contracts over axes as they lie; a CPU trains a tenth faster on
    # products of matrices that lie one after the other. Divided last, the
    # probabilities need not be kept for the gradient beside the exponentials.
    exact = jnp.promote_types(value.dtype, "float32")
    query = query * jnp.asarray(query.shape[-1] ** -0.5, query.dtype)
    query, key, value = (
        jnp.swapaxes(each, 1, 2) for each in (query, key, value)
    )
    logits = jnp.matmul(
        query, jnp.swapaxes(key, 2, 3), preferred_element_type=exact
    )
    weights = jnp.exp(logits - jax.lax.stop_gradient(_largest(logits)))
    mass = jnp.sum(weights, axis=-1, keepdims=True)
    if training:
        # Computed once, and so is its gradient, which XLA would compute again
        # inside of that of the weights. Exported programs have no need of it.
        mass = in_memory(mass)
    mixed = jnp.matmul(
        weights.astype(value.dtype), value, preferred_element_type=exact
    )
    return jnp.swapaxes((mixed / mass).astype(value.dtype), 1, 2)


def _largest(logits):
    """The maximum over the last axis, which stays.

    A maximum over neighbors in memory is slow on a CPU: first come those over
    elements that lie apart, in as many lanes as the largest power of two, at
    most 16, that divides the length; then maxima of halves of the lanes.
    """
    length = logits.shape[-1]
    lanes = math.gcd(length, 16)
    rows = jnp.reshape(logits, (*logits.shape[:-1], length // lanes, lanes))
    largest = jnp.max(rows, axis=-2)
    while lanes > 1:
        lanes //= 2
        largest = jnp.maximum(largest[..., :lanes], largest[..., lanes:])
    return largest


def gradient(function, x):
    """The gradient of a function, see `keras_drift.backend`."""
    return jax.grad(function)(x)


def has_accelerator():
    """Whether arrays live on anything but a CPU."""
    return jax.default_backend() != "cpu"


def _variables(model, num_groups):
    groups = [model.trainable_variables, model.non_trainable_variables]
    if num_groups == 4:  # training; evaluation has no optimizer
        groups.append(model.optimizer.variables)
    return [*groups, model.metrics_variables]


def _current(scope, variable):
    value = scope.get_current_value(variable)
    return variable.value if value is None else value

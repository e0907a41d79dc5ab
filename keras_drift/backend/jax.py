"""JAX: the variables travel through a step as an explicit state."""

import jax
import jax.numpy as jnp
import keras


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


def scan(function, carry, xs, recompute=False):
    """A loop over the first axis, see `keras_drift.backend`."""
    length = len(jax.tree.leaves(xs)[0])

    def body(carry, numbered):
        index, x = numbered
        x = _in_memory(index, x) if length > 1 else x
        return function(index, carry, x)

    if recompute:
        # Around the copies: they would be kept for every turn. In a loop,
        # compilers do not find the first computation again.
        body = jax.checkpoint(body, prevent_cse=False)
    if length == 1:
        carry, y = body(carry, (0, jax.tree.map(lambda x: x[0], xs)))
        return carry, jax.tree.map(lambda y: y[None], y)
    return jax.lax.scan(body, carry, (jnp.arange(length), xs))


def _in_memory(index, tensors):
    """What a turn of a loop cuts out, in memory of its own."""
    if has_accelerator():
        return tensors
    # XLA fuses a slice into all that is computed from it, which a CPU then does
    # number by number. It would look through an `optimization_barrier`, but
    # does not know that this branch is always taken.
    return jax.lax.cond(
        index >= 0,
        lambda tensors: tensors,
        lambda tensors: jax.tree.map(jnp.zeros_like, tensors),
        tensors,
    )


def unless(done, function, state):
    """What is not needed is not computed, see `keras_drift.backend`."""
    return jax.lax.cond(done, lambda state: state, function, state)


def sync(model):
    """Gives the variables of a model in training their values back."""
    model.jax_state_sync()


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
    """The function compiled, see `keras_drift.backend`."""

    @jax.jit
    def call(values, args):
        mapping = list(zip(variables, values, strict=True))
        with keras.StatelessScope(state_mapping=mapping):
            return function(*args)

    return lambda *args: call([v.value for v in variables], args)


def matmul(x, y):
    """A product without the shortcuts of accelerators."""
    return jnp.matmul(x, y, precision=jax.lax.Precision.HIGHEST)


def attention(query, key, value):
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
    top = jax.lax.stop_gradient(jnp.max(logits, axis=-1, keepdims=True))
    weights = jnp.exp(logits - top)
    mass = jnp.sum(weights, axis=-1, keepdims=True)
    mixed = jnp.matmul(
        weights.astype(value.dtype), value, preferred_element_type=exact
    )
    return jnp.swapaxes((mixed / mass).astype(value.dtype), 1, 2)


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

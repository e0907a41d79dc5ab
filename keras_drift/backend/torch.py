"""PyTorch: a step changes variables in place."""

import keras
import torch
from torch.utils import checkpoint

from keras_drift.backend.in_place import TrainerGuard
from keras_drift.backend.in_place import divisible_layouts
from keras_drift.backend.in_place import keeps_weights
from keras_drift.backend.in_place import spread
from keras_drift.backend.in_place import step
from keras_drift.backend.in_place import step_result
from keras_drift.backend.in_place import sync
from keras_drift.backend.torch_export import export_onnx
from keras_drift.backend.torch_export import export_options

# Stands for minus infinity.
_LOWEST = -1e30
# Around the smallest normal float32, 1.2e-38.
_LOWEST_EXPONENT = -87.0
_SMALLEST = 2e-38

# Once the C library of Linux has been given back an array of almost 32 MB, it
# keeps as much for the next ones. Before, it may return those of a block to the
# system time and again, and half of the time goes into clean new memory.
torch.empty(2**23 - 2**12, device="cpu", dtype=torch.float32)

__all__ = [
    "COMPILES",
    "SERVES_ANY_SHAPE",
    "TrainerGuard",
    "compiled",
    "distances",
    "divisible_layouts",
    "dual_field",
    "eigh",
    "exp_of_difference",
    "export_onnx",
    "export_options",
    "gradient",
    "has_accelerator",
    "host_value",
    "jit",
    "keeps_weights",
    "matmul",
    "run",
    "scan",
    "spread",
    "step",
    "step_result",
    "sync",
    "unless",
]

# Whether a step is a program, which takes time to compile.
COMPILES = False
# Whether a compiled step takes batches of several shapes.
SERVES_ANY_SHAPE = True


def run(model, state, function, *args):
    """Calls `function(*args)` without gradients: returns `(result, state)`."""
    del model  # its variables are where the function looks for them
    with torch.no_grad():
        return function(*args), state


def skipped_step(args, num_batches):
    """No step, see `keras_drift.backend`; Keras has read the batch."""
    del args, num_batches
    return {}


def scan(function, carry, xs, recompute=False, static_first=True):
    """A loop over the first axis, see `keras_drift.backend`."""
    del static_first  # the first iteration is like the others
    function = _recomputed(function) if recompute else function
    flat = keras.tree.flatten(xs)
    found = []
    for index in range(len(flat[0])):
        x = keras.tree.pack_sequence_as(xs, [x[index] for x in flat])
        carry, y = function(index, carry, x)
        found.append(y)
    return carry, keras.tree.map_structure(lambda *y: torch.stack(y), *found)


def _recomputed(function):
    """Rematerializes the function in the backward pass."""

    def call(*args):
        if not torch.is_grad_enabled():
            return function(*args)
        return checkpoint.checkpoint(
            function, *args, use_reentrant=False, preserve_rng_state=False
        )

    return call


def unless(done, function, state):
    """See `keras_drift.backend`: accelerators are not asked for the answer."""
    return state if done.device.type == "cpu" and done else function(state)


def compiled(network):
    """The network without gradients, see `keras_drift.backend`."""

    @torch.no_grad()
    def call(inputs):
        inputs = {
            key: keras.ops.convert_to_tensor(value)
            for key, value in inputs.items()
        }
        return network(inputs, training=False)

    return call


def host_value(variable):
    """The value of a variable as a NumPy array."""
    return keras.ops.convert_to_numpy(variable)


def jit(function, variables):
    """The function without gradients, see `keras_drift.backend`."""
    del variables  # they are where the function looks for them

    @torch.no_grad()
    def call(*args):
        return function(*map(keras.ops.convert_to_tensor, args))

    return call


def matmul(x, y):
    """A product, in full float32 unless the program asks for less."""
    return torch.matmul(x, y)


def exp_of_difference(x, y):
    """`exp(x - y)`, see `keras_drift.backend`."""
    differences = torch.sub(x, y)
    if differences.device.type != "cpu":
        return differences.exp_()
    # On CPUs PyTorch keeps subnormal numbers, unlike the other backends: an
    # exponential that underflows takes 20 times as long as others, and so does
    # a product with its value.
    values = differences.clamp_min_(_LOWEST_EXPONENT).exp_()
    # A gradient needs what `exp_` has returned.
    return torch.nn.functional.threshold(
        values, _SMALLEST, 0.0, inplace=not values.requires_grad
    )


def eigh(matrix):
    """Eigenvalues and eigenvectors, see `keras_drift.backend`."""
    if matrix.device.type != "cpu":
        return torch.linalg.eigh(matrix)
    values, vectors = torch.linalg.eigh(matrix.double())
    return values.to(matrix.dtype), vectors.to(matrix.dtype)


def gradient(function, x):
    """The gradient of a function, see `keras_drift.backend`."""
    again = torch.is_grad_enabled() and x.requires_grad
    with torch.enable_grad():
        point = x if again else x.detach().requires_grad_()
        value = function(point)
        if not value.requires_grad:  # a constant
            return torch.zeros_like(point)
        (slope,) = torch.autograd.grad(
            value, point, create_graph=again, materialize_grads=True
        )
    return slope


def has_accelerator():
    """Whether tensors live on anything but a CPU."""
    return keras.ops.zeros(()).device.type != "cpu"


def distances(x, y, exact):
    """Euclidean distances, see `keras_drift.ops.pairwise_distances`."""
    if exact or x.requires_grad or y.requires_grad:
        # Its gradient at coincident points is 0.
        mode = "donot_use_mm_for_euclid_dist"
        return torch.cdist(
            x, y, compute_mode=mode if exact else "use_mm_for_euclid_dist"
        )
    x_squares = torch.linalg.vecdot(x, x)[..., :, None]
    y_squares = torch.linalg.vecdot(y, y)[..., None, :]
    if x.ndim != 3:
        squares = x_squares + y_squares - 2 * matmul(x, y.mT)
    else:
        squares = torch.baddbmm(y_squares, x, y.mT, alpha=-2).add_(x_squares)
    return squares.clamp_min_(0.0).sqrt_()


def dual_field(log_kernels, positives, negatives):
    """See `keras_drift.ops.dual_field`; in place, so without gradients.

    Args:
        log_kernels: sequence of callables from costs to logarithms.
        positives: `Block` of all pairs with the positives.
        negatives: `Block` of all pairs with the negatives.

    Returns:
        For each log-kernel the velocities, or `None` if gradients are wanted.
    """
    blocks = negatives, positives
    if any(
        tensor is not None and tensor.requires_grad
        for block in blocks
        for tensor in (block.costs, block.points, block.weights)
    ):
        return None
    costs = torch.cat([block.costs for block in blocks], dim=-1)
    sizes = [block.costs.shape[-1] for block in blocks]
    weights = _weights(blocks)
    velocities = []
    for log_kernel in log_kernels:
        logits = log_kernel(costs)
        if logits.requires_grad:
            return None
        logits = logits.clone() if logits is costs else logits
        for block, part in zip(blocks, logits.split(sizes, -1), strict=True):
            if block.absent is not None:  # self-pairs
                part.diagonal(dim1=-2, dim2=-1).fill_(float("-inf"))
        # A softmax of nothing but infinities is not a number.
        over_samples = _softmax_over_samples(logits.clamp_min_(_LOWEST))
        if weights is not None:
            over_samples *= weights
            logits.add_(torch.log(weights)).clamp_min_(_LOWEST)
        near_something = logits.amax(dim=-1, keepdim=True) > _LOWEST
        affinities = logits.softmax(dim=-1).mul_(over_samples).sqrt_()
        repel, attract = affinities.split(sizes, dim=-1)
        attraction = attract.sum(dim=-1, keepdim=True) * near_something
        attract *= repel.sum(dim=-1, keepdim=True) * near_something
        repel *= attraction
        velocity = torch.bmm(attract, positives.points)
        velocities.append(velocity.baddbmm_(repel, negatives.points, alpha=-1))
    return velocities


def _softmax_over_samples(logits):
    if logits.device.type == "cpu":
        return logits.softmax(dim=-2)
    # Along another axis than the last one, and for few groups, PyTorch's kernel
    # occupies a few multiprocessors of a GPU only.
    return logits.mT.softmax(dim=-1).mT


def _weights(blocks):
    """The weights of the points of all blocks, `None` for ones."""
    if all(block.weights is None for block in blocks):
        return None
    return torch.cat(
        [
            torch.ones_like(block.costs[:, :1])
            if block.weights is None
            else block.weights
            for block in blocks
        ],
        dim=-1,
    )

"""The networks that the benchmarks train and sample, and their work."""

import keras
import measuring
import numpy as np
import operators
import peers

import keras_drift as kd
from keras_drift.generators.token_dense import TokenDense

DIT = {"hidden_dim": 256, "depth": 6, "num_heads": 4, "patch_size": 2}
TINY_DIT = {"hidden_dim": 32, "depth": 1, "num_heads": 4, "patch_size": 2}
IMAGE = (32, 32, 4)
TINY_IMAGE = (8, 8, 1)
GROUPS, GENERATED, POSITIVES, UNCONDITIONAL = 8, 16, 32, 16


def dit(tiny):
    """A DiT of ten classes."""
    return kd.generators.DiT(
        image_shape=TINY_IMAGE if tiny else IMAGE,
        num_classes=10,
        use_rmsnorm=True,
        use_qknorm=True,
        use_swiglu=True,
        use_rope=True,
        **(TINY_DIT if tiny else DIT),
    )


def released(tiny):
    """The configuration of the released L/2, in the words of its release."""
    width, depth, heads, classes = (1024, 24, 16, 1000)
    if tiny:
        width, depth, heads, classes = (32, 1, 2, 10)
    return {
        "cond_dim": width,
        "num_classes": classes,
        "noise_classes": 64,
        "noise_coords": 32,
        "input_size": 8 if tiny else 32,
        "in_channels": 4,
        "out_channels": 4,
        "n_cls_tokens": 16,
        "patch_size": 2,
        "hidden_size": width,
        "depth": depth,
        "num_heads": heads,
        "mlp_ratio": 4.0,
        "use_qknorm": True,
        "use_swiglu": True,
        "use_rope": True,
        "use_rmsnorm": True,
        "attn_fp32": False,
    }


def training(tiny, num_steps):
    """A compiled model, and one epoch of grouped batches for it."""
    model = kd.DriftModel(
        dit(tiny),
        operators.dual_drift(),
        num_generated=GENERATED,
        guidance_sampler=kd.PowerLawGuidance(),
        seed=0,
    )
    model.compile(keras.optimizers.Adam(1e-4))
    shape = model.generator.output_shape[1:]
    rng = np.random.default_rng(0)
    images = rng.standard_normal((10 * POSITIVES, *shape), "float32")
    labels = np.repeat(np.arange(10), POSITIVES)
    batches = kd.datasets.GroupedDataset(
        images,
        labels,
        groups_per_batch=GROUPS,
        positives=POSITIVES,
        unconditional=UNCONDITIONAL,
        steps_per_epoch=num_steps,
    )
    return model, batches


def official_step(batches, num_steps):
    """As many training steps of the official release, on the same data."""
    x, classes = batches[0]
    step = peers.official_step(
        classes,
        x["positives"],
        x["unconditional"],
        GENERATED,
        {
            "cond_dim": DIT["hidden_dim"],
            "hidden_size": DIT["hidden_dim"],
            "depth": DIT["depth"],
            "num_heads": DIT["num_heads"],
            "patch_size": DIT["patch_size"],
            "num_classes": 10,
            "input_size": IMAGE[0],
            "in_channels": IMAGE[2],
            "out_channels": IMAGE[2],
            "use_qknorm": True,
            "use_swiglu": True,
            "use_rope": True,
            "use_rmsnorm": True,
        },
    )
    return lambda: [step() for _ in range(num_steps)]


def training_work(network):
    """A step: the network forward and twice that backward, and the drift."""
    samples = GROUPS * GENERATED
    size = int(np.prod(network.output_shape[1:]))
    drift = operators.work(GROUPS, GENERATED, POSITIVES, UNCONDITIONAL, size)
    # Adam reads weights, gradients and two moments, and writes three of them.
    weights = 4 * 7 * network.count_params()
    return measuring.Work(
        3 * forward_work(network, samples).flops + drift.flops,
        weights + drift.bytes,
        samples=samples,
        precision=precision(network),
    )


def forward_work(network, samples):
    """One pass of a DiT over as many samples."""
    tokens = _num_tokens(network)
    config = network.get_config()
    attention = 4 * tokens**2 * config["hidden_dim"] * config["depth"]
    flops = attention
    for layer in network._flatten_layers():
        if isinstance(layer, keras.layers.Dense):
            each = 2 * int(np.prod(layer.kernel.shape))
            flops += each * (tokens if isinstance(layer, TokenDense) else 1)
    size = int(np.prod(network.output_shape[1:]))
    moved = 4 * (network.count_params() + 2 * samples * size)
    return measuring.Work(
        samples * flops, moved, samples=samples, precision=precision(network)
    )


def precision(network):
    """Of the products of a network, as `measuring.Work` calls it."""
    half = network.get_layer("patches").compute_dtype == "bfloat16"
    return "bfloat16" if half else "default"


def _num_tokens(network):
    config = network.get_config()
    height, width, _ = config["image_shape"]
    patches = (height // config["patch_size"]) * (width // config["patch_size"])
    return patches + config["num_context_tokens"]


def bare_forward(network):
    """The network as a compiled function of its inputs alone."""
    if measuring.BACKEND == "jax":
        import jax

        trainable = [v.value for v in network.trainable_variables]
        others = [v.value for v in network.non_trainable_variables]
        call = jax.jit(
            lambda trainable, others, inputs: network.stateless_call(
                trainable, others, inputs, training=False
            )[0]
        )
        return lambda inputs: call(trainable, others, inputs)
    if measuring.BACKEND == "tensorflow":
        import tensorflow as tf

        return tf.function(lambda inputs: network(inputs, training=False))
    import torch

    return torch.no_grad()(lambda inputs: network(inputs, training=False))

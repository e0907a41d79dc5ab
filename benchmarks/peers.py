"""Other implementations to compare with, from a checkout of theirs.

The official JAX release is `lambertae/drifting`; a PyTorch port is
`b-vitamins/kinetic-drifting`, or any with a `drift_loss` of the same arguments
in `drift_loss.py`.
"""

import importlib
import sys
import types

import measuring


def official(folder):
    """Makes the official release importable with a current JAX."""
    if folder is None or measuring.BACKEND != "jax":
        return False
    import jax.numpy as jnp

    clip = jnp.clip
    # JAX has dropped the names of the bounds that the release uses.
    jnp.clip = lambda x, min=None, max=None, *, a_min=None, a_max=None: clip(
        x, min if a_min is None else a_min, max if a_max is None else a_max
    )
    sys.path.insert(0, str(folder))
    return True


def official_loss_and_gradient(x, positives, unconditional):
    """A function like `drift.loss_and_gradient`, jitted."""
    import jax

    _stand_in_for("einops")
    from drift_loss import drift_loss

    def loss(x):
        return drift_loss(x, positives, unconditional)[0].mean()

    step = jax.jit(jax.value_and_grad(loss))
    return lambda: step(x)


def official_loss_of_features(generated, positives, unconditional):
    """The loss of their training step, of features that are given.

    Args:
        generated: int, generated samples of each group.
        positives: int, the same for the data.
        unconditional: int, the same for unconditional data.

    Returns:
        A function of the features of all samples, of the data, and of the
        guidance scales.
    """
    _stand_in_for("einops")
    import jax.numpy as jnp
    from drift_loss import drift_loss

    def by_token(feature, count):
        _, tokens, dim = feature.shape
        feature = feature.reshape(-1, count, tokens, dim).swapaxes(1, 2)
        return feature.reshape(-1, count, dim)

    def loss(of_samples, of_data, of_all_classes, scale):
        total = 0.0
        weights = (scale - 1.0) * (generated - 1) / unconditional
        for name, feature in of_samples.items():
            tokens = feature.shape[1]
            losses, _ = drift_loss(
                by_token(feature, generated),
                by_token(of_data[name], positives),
                by_token(of_all_classes[name], unconditional),
                weight_neg=jnp.repeat(
                    weights.repeat(tokens)[:, None], unconditional, axis=1
                ),
                R_list=(0.02, 0.05, 0.2),
            )
            total = total + losses.mean()
        return total

    return loss


def official_bank(**kwargs):
    from memory_bank import ArrayMemoryBank

    return ArrayMemoryBank(**kwargs)


def official_network(config):
    """The released generator with random weights, and these by their paths.

    Returns:
        A jitted function of our dict of inputs, and a dict of NumPy arrays.
    """
    import jax
    import numpy as np
    from flax import traverse_util
    from models.generator import DitGen

    network = DitGen(**config)

    def forward(network, inputs):
        condition = network.c_cfg_noise_to_cond(
            inputs["labels"], inputs["guidance"], inputs["styles"]
        )
        return network.generate_image(inputs["noise"], condition)

    def fresh():
        size = config["input_size"]
        inputs = {
            "noise": np.zeros(
                (1, size, size, config["in_channels"]), "float32"
            ),
            "labels": np.zeros(1, "int32"),
            "guidance": np.ones(1, "float32"),
            "styles": np.zeros((1, config["noise_coords"]), "int32"),
        }
        return network.init(jax.random.key(0), inputs, method=forward)

    shapes = traverse_util.flatten_dict(
        jax.eval_shape(fresh)["params"], sep="/"
    )
    rng = np.random.default_rng(0)
    # Nothing is zero, as layers of a fresh network are.
    params = {
        path: np.float32(path.endswith("/weight"))
        + np.float32(0.02) * rng.standard_normal(leaf.shape, "float32")
        for path, leaf in shapes.items()
    }
    on_device = jax.device_put(traverse_util.unflatten_dict(params, sep="/"))
    call = jax.jit(
        lambda params, inputs: network.apply(
            {"params": params}, inputs, method=forward
        )
    )
    return lambda inputs: call(on_device, inputs), params


def official_step(labels, positives, unconditional, generated, config):
    """One training step of their network and loss, with plain Adam."""
    import jax
    import jax.numpy as jnp
    import optax

    _stand_in_for("einops")
    from drift_loss import drift_loss
    from models.generator import DitGen
    from utils.hsdp_util import set_global_mesh

    set_global_mesh(1)
    network = DitGen(**config)
    key = jax.random.key(0)
    labels = jnp.repeat(labels, generated)
    rngs = {"params": key, "noise": key}
    optimizer = optax.adam(1e-4)
    parameters = network.init(rngs, labels)
    state = optimizer.init(parameters)
    groups = positives.shape[0]

    def flat(samples):
        return samples.reshape(groups, -1, samples[0, 0].size)

    def loss(parameters, key):
        samples = network.apply(parameters, labels, rngs={"noise": key})
        samples = samples["samples"].reshape(groups, generated, -1)
        losses, _ = drift_loss(samples, flat(positives), flat(unconditional))
        return losses.mean()

    @jax.jit
    def step(parameters, state, key):
        value, gradient = jax.value_and_grad(loss)(parameters, key)
        updates, state = optimizer.update(gradient, state, parameters)
        return optax.apply_updates(parameters, updates), state, value

    held = [parameters, state, key]

    def call():
        held[2], now = jax.random.split(held[2])
        held[0], held[1], value = step(held[0], held[1], now)
        return value

    return call


def torch_port_loss_and_gradient(folder, x, positives, unconditional):
    """A function like `drift.loss_and_gradient`, or `None` without a port."""
    if folder is None or measuring.BACKEND != "torch":
        return None
    import torch

    sys.path.insert(0, str(folder))
    try:
        drift_loss = importlib.import_module("kdrifting.losses").drift_loss
    except ModuleNotFoundError:
        drift_loss = importlib.import_module("drift_loss").drift_loss

    @torch.enable_grad()
    def call():
        leaf = x.clone().requires_grad_()
        drift_loss(leaf, positives, unconditional)[0].mean().backward()
        return leaf.grad

    return call


def _stand_in_for(name):
    """A module that is imported but not used, where it is missing."""
    try:
        importlib.import_module(name)
    except ModuleNotFoundError:
        module = types.ModuleType(name)
        module.repeat = module.rearrange = None
        sys.modules[name] = module


def official_training_step(
    generator, encoder, image_shape, generated, bandwidths
):
    """The released training step, with random weights.

    Args:
        generator: dict, the arguments of their generator.
        encoder: dict, those of their masked autoencoder.
        image_shape: tuple of ints.
        generated: int, generated samples of each label.
        bandwidths: tuple of floats.

    Returns:
        A function of labels, positives and unconditional samples, which
        returns the loss.
    """
    import functools

    import jax
    import jax.numpy as jnp
    import optax

    # What their script imports for data, evaluation and several hosts.
    jax.distributed.initialize = lambda *args, **kwargs: None
    for name, names in {
        "dataset.dataset": ("infinite_sampler", "get_postprocess_fn"),
        "utils.fid_util": ("evaluate_fid",),
        "utils.ckpt_util": (
            "save_checkpoint",
            "restore_checkpoint",
            "save_params_ema_artifact",
        ),
        "utils.model_builder": ("build_model_dict",),
        "utils.logging": ("log_for_0", "is_rank_zero", "log_for_all"),
        "tqdm": ("tqdm",),
    }.items():
        module = types.ModuleType(name)
        vars(module).update(dict.fromkeys(names))
        sys.modules[name] = module
    import train
    from models.generator import DitGen
    from models.mae_model import MAEResNetJAX
    from utils.hsdp_util import set_global_mesh

    set_global_mesh(1)
    network = DitGen(**generator)
    features = MAEResNetJAX(**encoder)
    key = jax.random.key(0)
    image = jnp.zeros((1, *image_shape))
    variables = features.init(key, image, method=features.get_activations)
    params = network.init(
        {"params": key, "noise": key}, jnp.zeros(1, "int32"), cfg_scale=1.0
    )["params"]
    state = train.TrainState.create(
        apply_fn=network.apply,
        params=params,
        ema_params=params,
        tx=optax.adamw(1e-4, b2=0.95, weight_decay=0.01),
    )

    def activations(variables, x, **options):
        found = features.apply(
            variables, x, method=features.get_activations, **options
        )
        return {"global": x.reshape(x.shape[0], 1, -1), **found}

    step = jax.jit(
        functools.partial(
            train.train_step,
            feature_params=variables,
            feature_apply=activations,
            rng_init=jax.random.key(1),
            learning_rate_fn=lambda step: jnp.full((), 1e-4),
            neg_cfg_pw=3.0,
            gen_per_label=generated,
            activation_kwargs={
                "patch_mean_size": [2, 4],
                "patch_std_size": [2, 4],
                "use_std": True,
                "use_mean": True,
                "every_k_block": 2,
            },
            loss_kwargs={"R_list": bandwidths},
        )
    )
    held = [state]

    def call(labels, positives, unconditional):
        held[0], metrics = step(held[0], labels, positives, unconditional)
        return metrics["loss"]

    return call

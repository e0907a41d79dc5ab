"""A training step of the image recipe, beside the official release.

    KERAS_BACKEND=jax python benchmarks/recipe_step.py ../drifting

Everything of a step at a smaller size, with random weights: positives and
unconditional samples from the memory banks, a DiT, the masked autoencoder's
encoder on generated and real samples, the loss of its 86 features, AdamW,
clipping and averages. Blocks of steps of both sides are taken alternately.
Prints one line of JSON: the seconds of a step, and the median ratio, below 1
where this library is faster; without a checkout, ours alone.

Needs the extra `bench` (flax, optax, einops) for the official release.
"""

import argparse
import json
import time

import keras
import measuring
import numpy as np
import peers

import keras_drift as kd

NUM_CLASSES = 8
SIZES = {"groups": 4, "generated": 8, "positives": 8, "unconditional": 4}
BLOCKS = (3, 4, 6, 3)
BANDWIDTHS = (0.2, 0.05, 0.02)
IMAGE = (32, 32, 4)
PUSHED = 16  # new samples of each step
PER_CLASS, OVERALL = 32, 100  # kept in the banks


def stream():
    """New samples and their labels, forever."""
    rng = np.random.default_rng(0)
    while True:
        samples = rng.standard_normal((PUSHED, *IMAGE), "float32")
        yield samples, rng.integers(0, NUM_CLASSES, PUSHED)


def our_steps(args):
    """A function that takes `args.steps` steps, and its data source."""
    encoder = kd.encoders.MAEResNet(
        IMAGE[-1], base_channels=args.channels, num_blocks=BLOCKS
    )
    model = kd.DriftModel(
        kd.generators.DiT(
            IMAGE,
            num_classes=NUM_CLASSES,
            patch_size=2,
            hidden_dim=args.width,
            depth=args.depth,
            num_heads=4,
            num_context_tokens=16,
            num_style_tokens=32,
        ),
        kd.drifts.KernelDrift(
            kd.kernels.Laplacian(BANDWIDTHS), normalization="dual"
        ),
        kd.encoders.Union([encoder]),
        num_generated=SIZES["generated"],
        guidance_sampler=kd.training.PowerLawGuidance(),
        seed=0,
    )
    model.compile(
        keras.optimizers.AdamW(
            1e-4,
            weight_decay=0.01,
            beta_2=0.95,
            global_clipnorm=2.0,
            use_ema=True,
            ema_momentum=0.999,
        )
    )
    batches = kd.datasets.BankedDataset(
        stream(),
        IMAGE,
        NUM_CLASSES,
        groups_per_batch=SIZES["groups"],
        positives=SIZES["positives"],
        unconditional=SIZES["unconditional"],
        push_per_step=PUSHED,
        capacity=PER_CLASS,
        unconditional_capacity=OVERALL,
        steps_per_epoch=args.steps,
        verbose=False,
    )
    return lambda: model.fit(batches, verbose=0), batches


def their_steps(args):
    """A function that takes `args.steps` steps of the official release."""
    step = peers.official_training_step(
        generator={
            "cond_dim": args.width,
            "num_classes": NUM_CLASSES,
            "noise_classes": 64,
            "noise_coords": 32,
            "input_size": IMAGE[0],
            "in_channels": IMAGE[-1],
            "out_channels": IMAGE[-1],
            "n_cls_tokens": 16,
            "patch_size": 2,
            "hidden_size": args.width,
            "depth": args.depth,
            "num_heads": 4,
            "mlp_ratio": 4.0,
            "use_qknorm": True,
            "use_swiglu": True,
            "use_rope": True,
            "use_rmsnorm": True,
        },
        encoder={
            "in_channels": IMAGE[-1],
            "base_channels": args.channels,
            "patch_size": 2,
            "layers": BLOCKS,
        },
        image_shape=IMAGE,
        generated=SIZES["generated"],
        bandwidths=BANDWIDTHS,
    )
    classes = peers.official_bank(num_classes=NUM_CLASSES, max_size=PER_CLASS)
    everything = peers.official_bank(num_classes=1, max_size=OVERALL)
    source, rng = stream(), np.random.default_rng(1)

    def push():
        samples, labels = next(source)
        classes.add(samples, labels)
        everything.add(samples, labels * 0)
        return labels

    for _ in range(20):
        push()

    def call():
        for _ in range(args.steps):
            labels = rng.choice(push(), SIZES["groups"], replace=False)
            loss = step(
                labels,
                classes.sample(labels, n_samples=SIZES["positives"]),
                everything.sample(labels * 0, n_samples=SIZES["unconditional"]),
            )
        return measuring.wait(loss)

    return call


def main():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "official", nargs="?", help="checkout of lambertae/drifting"
    )
    parser.add_argument("--channels", type=int, default=64)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--depth", type=int, default=4)
    parser.add_argument("--steps", type=int, default=3, help="of a block")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--cpu-time", action="store_true", help="of the process, not wall clock"
    )
    args = parser.parse_args()
    clock = time.process_time if args.cpu_time else time.perf_counter
    ours, batches = our_steps(args)
    sides = {"ours": ours}
    if peers.official(args.official):
        sides["official"] = their_steps(args)
    times = {name: [] for name in sides}
    for call in sides.values():
        call()  # compiles
    waited = batches.seconds_waited
    for _ in range(args.rounds):
        for name, call in sides.items():
            start = clock()
            call()
            times[name].append((clock() - start) / args.steps)
    found = {name: float(np.median(each)) for name, each in times.items()}
    if not args.cpu_time:  # the share of a step that waits for its batch
        waited = batches.seconds_waited - waited
        found["input_wait"] = waited / sum(times["ours"]) / args.steps
    if "official" in times:
        ratios = np.divide(times["ours"], times["official"])
        found["ratio"] = float(np.median(ratios))
    settings = {k: v for k, v in vars(args).items() if k != "official"}
    print(json.dumps({"library": kd.__version__, **settings, **found}))


if __name__ == "__main__":
    main()

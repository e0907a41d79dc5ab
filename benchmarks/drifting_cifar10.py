"""A public drifting model on CIFAR-10, for the time of `train_cifar10.py`.

    python benchmarks/drifting_cifar10.py ../drifting-model --data cifar10

`../drifting-model` is a checkout of tyfeld/drifting-model on GitHub. Its
transformer, drift, queue, optimizer and step are used as they are. Its encoder,
a ResNet with weights of ImageNet, is replaced by the one that the preset
`cifar10_mlp` was trained with, which is trained here, on the same images, and
counts as time in `--cpu-seconds`. Prints one line of JSON: the Fréchet
distances of images drawn by it, of its averaged weights as well, and of the
preset, in the features of the judge of `examples/train_cifar10.py`. Images are
written to `outputs/drifting_cifar10`. Needs `KERAS_BACKEND=torch`.
"""

import json
import sys
import time
import types

import cifar10_judge
import keras
import numpy as np
import torch
from cifar10_judge import small_images
from cifar10_judge import train_cifar10

GUIDANCE = 1.5  # of the images that its training shows


def checkout(path):
    """Its modules, without torchvision, of which the step needs nothing."""
    for name in ("", ".datasets", ".transforms", ".models"):
        sys.modules["torchvision" + name] = types.ModuleType("torchvision")
    for name in ("datasets", "transforms", "models"):
        setattr(
            sys.modules["torchvision"], name, sys.modules[f"torchvision.{name}"]
        )
    sys.path.insert(0, str(path))
    import model
    import train
    import utils

    return model, train, utils


def encoder_maps(classifier, dtype):
    """A function from images to the maps of all stages, channels first."""
    images = keras.Input(train_cifar10.SHAPE)
    stages = train_cifar10.without_normalization(classifier, dtype)(images)
    network = keras.Model(
        images,
        [
            keras.layers.Activation("linear", dtype="float32")(
                stages[f"stage_{stage}"]
            )
            for stage in range(3)
        ],
    )
    network.trainable = False

    def maps(x):
        found = network(x.permute(0, 2, 3, 1))
        return [each.permute(0, 3, 1, 2) for each in found]

    return maps


def drifted(path, images, labels, encoder, end, count):
    """Trains until the process has taken `end` seconds, and draws images.

    Returns:
        Two arrays of images in `[-1, 1]`, of the trained weights and of their
        averages, and the number of steps.
    """
    networks, train, utils = checkout(path)
    config = train.CIFAR10_CONFIG
    device = torch.device("cpu")
    network = networks.DriftDiT_models[config["model"]](
        img_size=config["img_size"],
        in_channels=config["in_channels"],
        num_classes=config["num_classes"],
        label_dropout=config["label_dropout"],
    )
    average = utils.EMA(network, decay=config["ema_decay"])
    optimizer = torch.optim.AdamW(
        network.parameters(),
        lr=config["lr"],
        betas=(0.9, 0.95),
        weight_decay=config["weight_decay"],
    )
    schedule = utils.WarmupLRScheduler(
        optimizer, config["warmup_steps"], config["lr"]
    )
    queue = utils.SampleQueue(
        config["num_classes"], config["queue_size"], (3, 32, 32)
    )
    rng = np.random.default_rng(0)
    x = torch.tensor(images.transpose(0, 3, 1, 2))
    y = torch.tensor(labels.astype("int64"))

    def push():
        chosen = rng.permutation(len(x))[:256]
        batch = x[chosen]
        mirrored = torch.tensor(rng.random(256) < 0.5)
        batch[mirrored] = batch[mirrored].flip(-1)
        queue.add(batch, y[chosen])

    while not queue.is_ready(64):
        push()
    steps = 0
    while time.process_time() < end:
        push()
        info = train.train_step(
            network, optimizer, queue, config, device, encoder
        )
        average.update(network)
        schedule.step()
        steps += 1
        if steps % 10 == 0:
            print(steps, info, flush=True)
    return drawn(network, count), drawn(average.shadow, count), steps


@torch.no_grad()
def drawn(network, count):
    network.eval()
    found = []
    for start in range(0, count, cifar10_judge.DRAWN):
        labels = torch.arange(start, min(start + cifar10_judge.DRAWN, count))
        noise = torch.randn(len(labels), 3, 32, 32)
        found.append(
            network.forward_with_cfg(noise, labels % 10, alpha=GUIDANCE)
        )
    images = torch.cat(found).clamp(-1, 1).numpy()
    return np.ascontiguousarray(images.transpose(0, 2, 3, 1))


def main():
    args, train_set, test_set, output = cifar10_judge.begun(
        __doc__, "checkout", "drifting_cifar10"
    )
    end = time.process_time() + args.cpu_seconds
    classifier = train_cifar10.trained(
        train_cifar10.encoder_classifier,
        "mixed_bfloat16",
        *train_set,
        args.classifier_epochs,
        output / "encoder.weights.h5",
        0,
    )
    accuracy = small_images.accuracy(classifier, *test_set)
    images, averaged, steps = drifted(
        args.checkout,
        *train_set,
        encoder_maps(classifier, "mixed_bfloat16"),
        end,
        args.samples,
    )
    found = cifar10_judge.compare(
        {"drifting_model": images, "drifting_model_averaged": averaged},
        train_set,
        test_set,
        args.classifier_epochs,
        output,
    )
    print(json.dumps({"steps": steps, "encoder": accuracy, **found}))


if __name__ == "__main__":
    main()

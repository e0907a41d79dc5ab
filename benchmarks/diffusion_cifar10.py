"""Keras' diffusion example on CIFAR-10, for the time of `train_cifar10.py`.

    python benchmarks/diffusion_cifar10.py ddim.py --data cifar10

`ddim.py` is `examples/generative/ddim.py` of keras-team/keras-io on GitHub. Its
network, loss, optimizer and way to draw are used as they are, with images of
32 x 32, in bfloat16, and with averages of 0.99 instead of 0.999, which after a
few thousand steps would still hold initial weights. Trains for
`--cpu-seconds`, and prints one line of JSON: the Fréchet distance of images
drawn in 20 steps, and that of the preset `cifar10_mlp`, in the features of the
judge of `examples/train_cifar10.py`, which is trained here. Images are written
to `outputs/diffusion_cifar10`. Needs `KERAS_BACKEND=tensorflow`.
"""

import ast
import json
import time

import cifar10_judge
import keras
import numpy as np
import tensorflow as tf
from cifar10_judge import DRAWN
from keras import layers


def definitions(path):
    """What the example defines, without its data, metric and training."""
    nodes = [
        node
        for node in ast.parse(path.read_text()).body
        if (isinstance(node, (ast.ClassDef, ast.FunctionDef)))
        or (isinstance(node, ast.Assign) and not _calls(node))
    ]
    names = {"tf": tf, "keras": keras, "layers": layers}
    exec("import math", names)
    exec(compile(ast.Module(nodes, []), str(path), "exec"), names)
    names.update(image_size=32, ema=0.99, KID=keras.metrics.Mean)
    _compute_in_bfloat16(names)
    return names


def _calls(node):
    return any(isinstance(each, ast.Call) for each in ast.walk(node))


def _compute_in_bfloat16(names):
    """Convolutions in bfloat16; embeddings and outputs in float32."""
    embedding, network = names["sinusoidal_embedding"], names["get_network"]

    @keras.saving.register_keras_serializable("ddim")  # it is cloned
    def embedded(x):
        return embedding(tf.cast(x, "float32"))

    def mixed_network(*args):
        keras.config.set_dtype_policy("mixed_bfloat16")
        inner = network(*args)
        keras.config.set_dtype_policy("float32")
        outputs = layers.Activation("linear", dtype="float32")(inner.output)
        return keras.Model(inner.inputs, outputs)

    names.update(sinusoidal_embedding=embedded, get_network=mixed_network)


class StopAfter(keras.callbacks.Callback):
    """Stops training after so many seconds of the processor."""

    def __init__(self, seconds):
        super().__init__()
        self.end = time.process_time() + seconds
        self.steps = 0

    def on_train_batch_end(self, batch, logs=None):
        self.steps += 1
        if time.process_time() > self.end:
            self.model.stop_training = True


def diffused(path, images, seconds, count):
    """Trains the example, and returns images in `[-1, 1]`, and the steps."""
    names = definitions(path)
    model = names["DiffusionModel"](32, names["widths"], names["block_depth"])
    images = (images + 1.0) / 2.0
    model.normalizer.adapt(images)
    model.compile(
        optimizer=keras.optimizers.AdamW(
            names["learning_rate"], weight_decay=names["weight_decay"]
        ),
        loss=keras.losses.MeanAbsoluteError(),
        jit_compile=False,
    )
    batches = tf.data.Dataset.from_tensor_slices(images)
    batches = batches.shuffle(len(images), seed=0).repeat()
    batches = batches.batch(names["batch_size"], drop_remainder=True)
    stop = StopAfter(seconds)
    model.fit(batches, steps_per_epoch=10**6, callbacks=[stop], verbose=0)
    drawn = [model.generate(DRAWN, 20) for _ in range(count // DRAWN)]
    return np.concatenate(drawn) * 2.0 - 1.0, stop.steps


def main():
    args, train_set, test_set, output = cifar10_judge.begun(
        __doc__, "example", "diffusion_cifar10"
    )
    keras.utils.set_random_seed(0)
    images, steps = diffused(
        args.example, train_set[0], args.cpu_seconds, args.samples
    )
    found = cifar10_judge.compare(
        {"diffusion": images},
        train_set,
        test_set,
        args.classifier_epochs,
        output,
    )
    print(json.dumps({"steps": steps, **found}))


if __name__ == "__main__":
    main()

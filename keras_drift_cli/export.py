"""Write a preset as an artifact of another runtime."""

import pathlib

HELP = "write a preset for another runtime"
EXAMPLES = """\
Examples:
  keras-drift export digits_dit --out digits.onnx
  keras-drift export cifar10_mlp --int8 --out cifar10.onnx
  keras-drift --backend tensorflow export mnist_mlp --out mnist.tflite
  keras-drift --backend torch export my_folder --out model.pt2

The ending of --out names the format: .onnx, .xml (OpenVINO), .tflite (LiteRT,
on TensorFlow), .pt2 (on PyTorch), none for a SavedModel (on JAX and
TensorFlow). An artifact takes noise, labels and guidance scales, in batches of
any size.

In Python:
  model = keras_drift.DriftModel.from_preset("digits_dit")
  model.export("digits.onnx")
"""


def add_arguments(parser):
    """Adds the options of this command."""
    parser.add_argument("preset", metavar="PRESET")
    parser.add_argument(
        "--out",
        required=True,
        type=pathlib.Path,
        help="the file, or folder, to write",
    )
    parser.add_argument(
        "--int8",
        action="store_true",
        help="quantizes dense layers, their weights and inputs, to 8 bits",
    )


def run(options):
    """Exports the model."""
    import keras_drift as kd
    from keras_drift import export

    export.resolve(options.out, None)  # before a preset is fetched
    model = kd.DriftModel.from_preset(options.preset, load_encoder=False)
    if options.int8:
        model.generator.quantize("int8")
    model.export(options.out)

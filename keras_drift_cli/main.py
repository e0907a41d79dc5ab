"""Parses the command line and runs a subcommand."""

import argparse
import os
import sys

from keras_drift_cli import backends
from keras_drift_cli import doctor
from keras_drift_cli import draw
from keras_drift_cli import evaluate
from keras_drift_cli import export
from keras_drift_cli import presets
from keras_drift_cli import train

COMMANDS = (draw, train, export, evaluate, presets, doctor)
_DESCRIPTION = """\
Draw from, train, export, measure and list one-step generators of keras_drift.

A preset is the name of one (see `keras-drift presets`), the path of a folder
that `model.save_to_preset` wrote, or such a folder on a hub:
  hf://owner/name   kaggle://owner/model/keras/variation   gs://bucket/folder
"""
_EPILOG = """\
To begin with:
  keras-drift doctor                      what is installed, what is missing
  keras-drift draw digits_dit --out digits.png
  keras-drift train folder_small --data my_images
  keras-drift COMMAND --help              options and examples

The backend is that of --backend, of the environment variable KERAS_BACKEND, or
of ~/.keras/keras.json; else one that is installed.
"""


def parser():
    """The parser of the whole command."""
    whole = argparse.ArgumentParser(
        prog="keras-drift",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    whole.add_argument(
        "--backend", choices=backends.NAMES, help="what Keras runs on"
    )
    commands = whole.add_subparsers(
        title="commands", dest="command", metavar="COMMAND", required=True
    )
    for module in COMMANDS:
        own = commands.add_parser(
            module.__name__.rpartition(".")[-1],
            help=module.HELP,
            description=module.__doc__,
            epilog=module.EXAMPLES,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.add_arguments(own)
        own.set_defaults(run=module.run)
    return whole


def main(arguments=None):
    """Runs the command.

    Args:
        arguments: list of str. Defaults to `None`: those of the process.

    Returns:
        The exit status: 0, or 1 after an error, which is printed.
    """
    options = parser().parse_args(arguments)
    chosen, reason = backends.choose(options.backend)
    options.backend_reason = reason
    if chosen is not None:
        os.environ["KERAS_BACKEND"] = chosen
    try:
        return options.run(options) or 0
    except BrokenPipeError:  # as of `keras-drift presets | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (ImportError, OSError, TypeError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1

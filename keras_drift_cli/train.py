"""Train a generator of images, from a folder of images to a preset."""

import importlib.util
import pathlib
import time

HELP = "train a generator of images"
EXAMPLES = """\
Examples:
  keras-drift train folder_small --data my_images
  keras-drift train mnist --set training.steps=1000
  keras-drift train imagenet_smoke
  keras-drift train my.yaml --run outputs/second

Images are in a folder with one folder for each class, or in a .zip file of one.
CONFIG is a YAML file, or one of these:
  folder_small     images of your own, 16x16: a first picture, on a CPU
  folder           images of your own, 64x64
  mnist            handwritten digits, 28x28
  cifar10          ten classes in color, 32x32
  imagenet_smoke   every stage in minutes, to see that all of it runs
  latent_ablation, latent_b2, latent_l2, pixel_b16, pixel_l16
                   the generators of the official ImageNet release
  mae_latent_256, mae_latent_640, mae_pixel_640
                   its encoders
The stages are: data (checked), latents (of an autoencoder, cached), encoder
(trained or fetched), generator (trained), evaluate, preset. Each is done once:
a run that was stopped goes on by the same command. The folder of a run holds
config.yaml, the configuration with all defaults, as a start for one of your
own; metrics.jsonl, TensorBoard logs, grids of samples, checkpoints, the
evaluation and the preset.

The generator is trained on all devices, also by several processes, if their
hosts share the folders of the images and of the run:
  torchrun --nproc-per-node=8 -m -- keras_drift_cli train ...  on PyTorch
  srun keras-drift train ...                           on JAX, under Slurm
  KERAS_DISTRIBUTION_NUM_PROCESSES=4 keras-drift train ...     on JAX, on
                                       each of 4 hosts of a slice of TPUs
  TF_CONFIG=... keras-drift train ...                  on TensorFlow
The guide "Training on many devices" has more. The other stages are done by the
first process.

Needs pip install "keras-drift[examples]", and all but folder_small
"keras-drift[eval]" for the evaluation, which --skip evaluate leaves out.

In Python: `compile`, `fit` and `save_to_preset` of a keras_drift.DriftModel, as
in the guide "Train on a folder of images".
"""


def add_arguments(parser):
    """Adds the options of this command."""
    parser.add_argument(
        "config", metavar="CONFIG", help="a YAML file or a name, see below"
    )
    parser.add_argument(
        "--data",
        metavar="PATH",
        help="folder or .zip file of the images; for mnist an .npz file",
    )
    parser.add_argument(
        "--validation",
        metavar="PATH",
        help="held-out images; a share of those of --data by default",
    )
    parser.add_argument(
        "--run",
        type=pathlib.Path,
        dest="directory",
        metavar="FOLDER",
        help="folder of the run (default: outputs/train_images/CONFIG)",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="changes a value of the configuration, such as "
        "training.steps=1000; can be given several times",
    )
    parser.add_argument(
        "--smoke",
        action="store_true",
        help="takes imagenet_smoke instead, with the same images",
    )
    parser.add_argument("--until", metavar="STAGE", help="the last stage")
    parser.add_argument(
        "--skip",
        nargs="+",
        default=[],
        metavar="STAGE",
        help="stages to leave out",
    )
    parser.add_argument(
        "--redo",
        nargs="+",
        default=[],
        metavar="STAGE",
        help="deletes what these stages and all later ones have made, and "
        "makes it again",
    )


def run(options):
    """Trains, stage by stage; returns 130 if it is stopped by Ctrl-C."""
    config, name = _read_config(options)
    # Imported once the configuration is known to be right: it takes seconds.
    from keras_drift_cli.image_training import processes
    from keras_drift_cli.image_training import run_directory
    from keras_drift_cli.image_training import stages

    planned = stages.planned(config)
    _check_stages(options, planned, stages.NAMES)
    if options.until is not None:
        planned = planned[: planned.index(options.until) + 1]
    path = options.directory or pathlib.Path("outputs/train_images") / name
    processes.join()
    with processes.first_prints():
        processes.by_first(_begin)(path, config, planned, options)
        processes.require_shared(path)
        run = stages.Run(run_directory.RunDirectory(path, config))
        try:
            _run_stages(run, planned, options.skip)
        except KeyboardInterrupt:
            print(
                "\nStopped. The same command goes on from the last checkpoint."
            )
            return 130
    return 0


def _begin(path, config, planned, options):
    """Checks what is to be done, and makes the folder of the run."""
    from keras_drift_cli.image_training import early_checks
    from keras_drift_cli.image_training import run_directory
    from keras_drift_cli.image_training import stages

    done = _kept(run_directory.complete_stages(path), options.redo, stages)
    early_checks.check(
        config, [s for s in planned if s not in {*done, *options.skip}]
    )
    directory = run_directory.RunDirectory(path, config)
    if options.redo:
        stages.undo(directory, options.redo)


def _read_config(options):
    """The configuration that the command line describes, and its name."""
    if importlib.util.find_spec("yaml") is None:
        from keras_drift import extras

        extras.load("yaml", "Configurations", "PyYAML", "examples")
    from keras_drift_cli.image_training import config as configs

    path = configs.find(options.config)
    if options.smoke:
        path = configs.find("imagenet_smoke")
    overrides = [configs.parsed_override(each) for each in options.set]
    # Paths as they are: to YAML, `#` begins a comment and `2024` is a number.
    if options.data is not None:
        overrides.append(("data.path", options.data))
        if path.stem == "imagenet_smoke":
            overrides.append(("data.source", "folder"))
    if options.validation is not None:
        overrides.append(("data.validation_path", options.validation))
    return configs.load(path, overrides), path.stem


def _kept(complete, redone, stages):
    """The stages that are complete, and not done again."""
    if not redone:
        return complete
    first = min(map(stages.NAMES.index, redone))
    return [name for name in complete if stages.NAMES.index(name) < first]


def _check_stages(options, planned, known):
    """Refuses names of stages that this run does not have."""
    until = [] if options.until is None else [options.until]
    for stage in [*options.skip, *options.redo, *until]:
        if stage not in known:
            raise ValueError(
                f"A stage is one of {', '.join(known)}. Received: {stage}"
            )
    for stage in [*options.redo, *until]:
        if stage not in planned:
            raise ValueError(
                "The stages of this configuration are "
                f"{', '.join(planned)}. Received: {stage}"
            )
    for stage in options.redo:
        if stage in options.skip:
            raise ValueError(
                "A stage is done again or skipped, not both. Received: "
                f"--redo {stage} --skip {stage}"
            )


def _run_stages(run, planned, skipped):
    """Does what is not complete, and records it."""
    from keras_drift_cli.image_training import processes
    from keras_drift_cli.image_training import stages

    for stage in planned:
        if processes.agreed(run.directory.is_complete(stage)):
            print(f"== {stage}: complete")
        elif stage in skipped:
            print(f"== {stage}: skipped")
        else:
            print(f"== {stage}", flush=True)
            start = time.perf_counter()
            found = stages.STAGES[stage](run)
            seconds = round(time.perf_counter() - start, 1)
            if processes.is_first():
                run.directory.complete(stage, stage_seconds=seconds, **found)

"""Trains a one-step generator of images, from a folder to a preset.

    python examples/train_images.py folder --data FOLDER
    python examples/train_images.py latent_l2 --data imagenet/train
    python examples/train_images.py imagenet_smoke

The first argument is a YAML file, or the name of one in `examples/configs`.
The stages are: check the data, cache latents, train or fetch the encoder, train
the generator, evaluate, save the preset. Each is done once: a run that was
stopped goes on by the same command. Everything about a run is in its folder,
`outputs/train_images/NAME`: the configuration with all defaults, versions,
`metrics.jsonl`, TensorBoard logs, pictures, checkpoints, evaluation and preset.

`--set training.steps=1000` changes a value of the configuration. `--redo
encoder` deletes what this stage and all later ones have made, and makes it
again.
"""

import argparse
import pathlib
import time

from image_training import config as configs


def arguments():
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("config", help="a YAML file or a name")
    parser.add_argument("--data", help="folder or archive of the images")
    parser.add_argument("--validation", help="folder of the held-out images")
    parser.add_argument("--run", type=pathlib.Path, help="folder of the run")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="changes a value, such as training.steps=1000",
    )
    parser.add_argument(
        "--smoke",
        action="store_true",
        help="every stage in minutes, at the size of a toy",
    )
    parser.add_argument("--skip", nargs="+", default=[], metavar="STAGE")
    parser.add_argument("--redo", nargs="+", default=[], metavar="STAGE")
    parser.add_argument("--until", metavar="STAGE", help="the last stage")
    return parser.parse_args()


def read_config(args):
    """The configuration that the command line describes, and its name."""
    path = configs.find(args.config)
    if args.smoke:
        path = configs.find("imagenet_smoke")
    overrides = [configs.parsed_override(each) for each in args.set]
    # Paths as they are: to YAML, `#` begins a comment and `2024` is a number.
    if args.data is not None:
        overrides.append(("data.path", args.data))
        if path.stem == "imagenet_smoke":
            overrides.append(("data.source", "folder"))
    if args.validation is not None:
        overrides.append(("data.validation_path", args.validation))
    return configs.load(path, overrides), path.stem


def check_stages(args, planned, known):
    """Refuses names of stages that this run does not have."""
    until = [] if args.until is None else [args.until]
    for stage in [*args.skip, *args.redo, *until]:
        if stage not in known:
            raise SystemExit(
                f"A stage is one of {', '.join(known)}. Received: {stage}"
            )
    for stage in [*args.redo, *until]:
        if stage not in planned:
            raise SystemExit(
                "The stages of this configuration are "
                f"{', '.join(planned)}. Received: {stage}"
            )
    for stage in args.redo:
        if stage in args.skip:
            raise SystemExit(
                "A stage is done again or skipped, not both. Received: "
                f"--redo {stage} --skip {stage}"
            )


def main():
    args = arguments()
    config, name = read_config(args)
    # Imported once the configuration is known to be right: it takes seconds.
    from image_training import stages
    from image_training.run_directory import RunDirectory

    planned = stages.planned(config)
    check_stages(args, planned, stages.NAMES)
    if args.until is not None:
        planned = planned[: planned.index(args.until) + 1]
    path = args.run or pathlib.Path("outputs/train_images") / name
    if "evaluate" in planned and "evaluate" not in args.skip:
        stages.require_torch_fidelity()
    directory = RunDirectory(path, config)
    if args.redo:
        stages.undo(directory, args.redo)
    run = stages.Run(directory)
    for stage in planned:
        if directory.is_complete(stage):
            print(f"== {stage}: complete")
        elif stage in args.skip:
            print(f"== {stage}: skipped")
        else:
            print(f"== {stage}", flush=True)
            start = time.perf_counter()
            found = stages.STAGES[stage](run)
            seconds = round(time.perf_counter() - start, 1)
            directory.complete(stage, stage_seconds=seconds, **found)


if __name__ == "__main__":
    main()

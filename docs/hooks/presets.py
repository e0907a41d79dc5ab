"""The list of presets, from what they say of themselves."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[2]))

from keras_drift_cli.presets import COLUMNS
from keras_drift_cli.presets import rows

MARK = "<!-- presets -->"


def table(presets):
    """The table of the command `keras-drift presets`, and descriptions."""
    lines = [COLUMNS, ["---"] * len(COLUMNS), *rows(presets)]
    described = [
        f"- `{name}`: {metadata['description']}"
        for name, metadata in presets.items()
    ]
    cells = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return "\n".join([cells, "", *described])


def tables():
    """The tables of models and of their parts."""
    import keras_drift as kd

    text = f"## Models\n\n{table(kd.DriftModel.presets)}"
    for title, base in {
        "Generators": kd.generators.Generator,
        "Encoders": kd.encoders.Encoder,
        "Autoencoders": kd.autoencoders.Autoencoder,
    }.items():
        if base.presets:
            text += f"\n\n## {title}\n\n{table(base.presets)}"
    return text


def on_page_markdown(markdown, page, config, files):
    """Puts the tables where the page has the mark."""
    return markdown.replace(MARK, tables()) if MARK in markdown else markdown

"""Notebooks of the guides, for Colab: `make notebooks` writes them.

    python docs/hooks/notebooks.py

They are the guides, with a first cell that installs the library and chooses a
backend. They have no outputs: pages of the documentation show those.
"""

import pathlib
import re

import jupytext

ROOT = pathlib.Path(__file__).parents[2]
FOLDER = ROOT / "guides/notebooks"

SETUP = """\
# %%
%pip install -q "keras-drift[{extras}]"
import os

# Before Keras is imported: "jax", "tensorflow" or "torch".
os.environ["KERAS_BACKEND"] = "{backend}"
"""


def extras_of(text):
    """The extras that a guide installs by itself, or those of all guides."""
    found = re.search(r'pip install "keras-drift\[(.*?)\]"', text)
    return found[1] if found else "examples"


def notebook(guide):
    """The text of the notebook of a guide."""
    text = guide.read_text()
    found = jupytext.reads(text, fmt="py:percent")
    backend = re.search(r"KERAS_BACKEND=(\w+)", text)[1]
    setup = SETUP.format(extras=f"{backend},{extras_of(text)}", backend=backend)
    found.cells[:0] = jupytext.reads(setup, fmt="py:percent").cells
    for index, cell in enumerate(found.cells):
        cell["id"] = f"cell-{index}"  # not a random one: the file is committed
        cell.source = cell.source.replace("(../docs/", "(../../docs/")
    found.metadata = {
        "kernelspec": {
            "display_name": "Python 3",
            "language": "python",
            "name": "python3",
        }
    }
    return jupytext.writes(found, fmt="ipynb") + "\n"


def notebooks():
    """Maps the path of each notebook to its text."""
    return {
        FOLDER / f"{guide.stem}.ipynb": notebook(guide)
        for guide in sorted((ROOT / "guides").glob("*.py"))
    }


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for path, text in notebooks().items():
        path.write_text(text)
        print(path.relative_to(ROOT))

"""Guides: pages of the notebooks that `make docs` has executed."""

import pathlib

import jupytext
from mkdocs.structure.files import File
from nbconvert import MarkdownExporter
from nbconvert.preprocessors import CoalesceStreamsPreprocessor

ROOT = pathlib.Path(__file__).parents[2]


def notebook(guide, executed):
    """The notebook of a guide, with its outputs if it was executed."""
    path = executed / f"{guide.stem}.ipynb"
    found = jupytext.read(path if path.exists() else guide)
    found.metadata["language_info"] = {"name": "python"}
    for cell in found.cells:
        if cell.cell_type == "code":
            cell.outputs = [o for o in cell.outputs if belongs(o)]
    return found


def belongs(output):
    """Whether an output is printed or plotted by the guide.

    Progress and notes of other libraries are not, nor is the value of the last
    line of a cell, unless it is a picture.
    """
    if output.output_type == "execute_result":
        return "image/png" in output.data
    return output.get("name") != "stderr"


def page(guide, executed):
    """The Markdown of a guide, and its pictures by name."""
    exporter = MarkdownExporter(
        preprocessors=[CoalesceStreamsPreprocessor(enabled=True)]
    )
    text, resources = exporter.from_notebook_node(
        notebook(guide, executed), {"unique_key": guide.stem}
    )
    # Pictures of `docs` are one folder above the pages of guides.
    return text.replace("(../docs/", "(../"), resources["outputs"]


def on_files(files, config):
    """Adds a page for each guide, and its pictures."""
    executed = ROOT / config.extra["executed_guides"]
    for guide in sorted((ROOT / "guides").glob("*.py")):
        text, pictures = page(guide, executed)
        for name, content in {f"{guide.stem}.md": text, **pictures}.items():
            path = f"guides/{name}"
            files.append(File.generated(config, path, content=content))
    return files

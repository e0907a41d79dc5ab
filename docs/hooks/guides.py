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
            # Progress and notes of other libraries.
            cell.outputs = [
                output
                for output in cell.outputs
                if output.get("name") != "stderr"
            ]
    return found


def on_files(files, config):
    """Adds a page for each guide, and its pictures."""
    executed = ROOT / config.extra["executed_guides"]
    for guide in sorted((ROOT / "guides").glob("*.py")):
        exporter = MarkdownExporter(
            preprocessors=[CoalesceStreamsPreprocessor(enabled=True)]
        )
        text, resources = exporter.from_notebook_node(
            notebook(guide, executed), {"unique_key": guide.stem}
        )
        # Pictures lie beside the pages, not in `docs`.
        text = text.replace("(../docs/", "(../")
        path = f"guides/{guide.stem}.md"
        files.append(File.generated(config, path, content=text))
        for name, content in resources["outputs"].items():
            path = f"guides/{name}"
            files.append(File.generated(config, path, content=content))
    return files

"""Reference: one page for each public name, from the docstrings."""

import functools
import pathlib

import griffe
from mkdocs.structure.files import File

ROOT = pathlib.Path(__file__).parents[2]
PACKAGE = "keras_drift"
# In the order of the navigation, from what a user meets first.
FOLDERS = (
    "generators",
    "drifts",
    "drifts.normalizations",
    "kernels",
    "schedules",
    "callbacks",
    "datasets",
    "encoders",
    "autoencoders",
    "metrics",
    "evaluation",
    "flows",
    "spectral",
    "energies",
    "training",
    "distribution",
    "presets",
    "ops",
)


@functools.cache
def package():
    """The library, parsed and not imported."""
    return griffe.load(PACKAGE, search_paths=[ROOT], resolve_aliases=True)


@functools.cache
def public_names():
    """Maps each public module to its names, and these to their objects."""
    modules = {PACKAGE: {}}
    for name, value in package().members.items():
        if value.is_alias and not value.is_module and name[0] != "_":
            modules[PACKAGE][name] = value
    for folder in FOLDERS:
        module = package()[folder]
        found = {name: exported(module, str(name)) for name in module.exports}
        modules[f"{PACKAGE}.{folder}"] = {
            str(name): value for name, value in found.items() if value
        }
    return modules


def exported(module, name):
    """What a module exports by a name, or `None` for another module.

    Python takes the function where a file is named like it; griffe the file.
    """
    value = module[name]
    return value.members.get(name) if value.is_module else value


def first_line(value):
    """The first line of a docstring."""
    return value.docstring.value.splitlines()[0] if value.docstring else ""


def module_page(module, names):
    """The page of a module: its docstring, and a table of its names."""
    value = griffe_object(module)
    lines = [f"# {module}", "", first_line(value), ""]
    lines += ["| name | |", "|---|---|"]
    for name, described in names.items():
        described = first_line(described).replace("|", "\\|")
        lines.append(f"| [`{name}`]({name}.md) | {described} |")
    return "\n".join([*lines, ""])


def griffe_object(path):
    """The module of a dotted path."""
    below = path.removeprefix(PACKAGE).lstrip(".")
    return package()[below] if below else package()


def pages():
    """Maps the path of each page of the reference to its Markdown."""
    found = {"reference/index.md": overview()}
    for module, names in public_names().items():
        folder = f"reference/{module.removeprefix(PACKAGE + '.')}"
        found[f"{folder}/index.md"] = module_page(module, names)
        for name, value in names.items():
            found[f"{folder}/{name}.md"] = f"::: {value.path}\n"
    return found


def overview():
    """The page that lists the modules."""
    lines = ["# Reference", "", "| module | |", "|---|---|"]
    for module in public_names():
        folder = module.removeprefix(PACKAGE + ".")
        described = first_line(griffe_object(module))
        lines.append(f"| [`{module}`]({folder}/index.md) | {described} |")
    return "\n".join([*lines, ""])


def on_config(config):
    """Adds the pages of the reference to the navigation."""
    sections = ["reference/index.md"]
    for module, names in public_names().items():
        folder = module.removeprefix(PACKAGE + ".")
        entries = [f"reference/{folder}/index.md"]
        entries += [{name: f"reference/{folder}/{name}.md"} for name in names]
        sections.append({folder: entries})
    config.nav.append({"Reference": sections})
    return config


def on_files(files, config):
    """Adds the pages of the reference."""
    for path, text in pages().items():
        files.append(File.generated(config, path, content=text))
    return files

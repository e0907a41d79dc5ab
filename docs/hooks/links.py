"""Links from names in the text, such as `DriftModel.fit`, to the reference."""

import collections
import pathlib
import re
import sys
from xml.etree import ElementTree

from markdown.extensions import Extension
from markdown.treeprocessors import Treeprocessor
from mkdocs.plugins import event_priority

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import reference

GUIDE = re.compile(r"(?<!\[)`guides/(\w+)\.py`")


def identifiers():
    """Maps every way to write a public name to its address in the reference.

    `drifts.KernelDrift` always is one, `KernelDrift` where no other module has
    that name, and functions only with their module: their names are words.
    """
    found = {}
    short = collections.defaultdict(list)
    for module, names in reference.public_names().items():
        below = module.removeprefix(reference.PACKAGE).lstrip(".")
        for name, value in names.items():
            if below:
                found[f"{below}.{name}"] = value.path
            if not below or name[0].isupper():
                short[name].append((len(below), value.path))
    for name, addresses in short.items():
        nearest = min(addresses)
        # What the package itself exports comes first.
        if len(addresses) == 1 or nearest[0] == 0:
            found[name] = nearest[1]
    return found


class NameLinks(Treeprocessor):
    """Makes links of the names in code spans."""

    def __init__(self, md, names):
        super().__init__(md)
        self.names = names

    def run(self, root):
        """Replaces the spans of one page."""
        for parent in list(root.iter()):
            if parent.tag in ("a", "pre", "autoref", "h1", "h2", "h3"):
                continue
            for index, child in enumerate(list(parent)):
                if child.tag == "code":
                    address = self.address(child.text or "")
                    if address:
                        parent[index] = linked(child, address)

    def address(self, text):
        """The identifier of a name, with or without arguments, or `None`."""
        name = re.sub(r"\(.*\)$", "", text)
        name = re.sub(r"^(kd|keras_drift)\.", "", name)
        if name in self.names:
            return self.names[name]
        owner, _, method = name.rpartition(".")
        if owner in self.names and method.isidentifier():
            return f"{self.names[owner]}.{method}"
        return None


def linked(code, identifier):
    """The element of a reference that mkdocs-autorefs resolves."""
    element = ElementTree.Element(
        "autoref", {"identifier": identifier, "optional": ""}
    )
    element.tail, code.tail = code.tail, None
    element.append(code)
    return element


class NameLinkExtension(Extension):
    """Markdown extension of the links."""

    def extendMarkdown(self, md):  # noqa: N802
        """Registers the processor, after that of inline text."""
        md.treeprocessors.register(NameLinks(md, identifiers()), "names", 5)


@event_priority(100)  # before mkdocstrings takes the extensions
def on_config(config):
    """Adds the extension, for pages and docstrings."""
    config.markdown_extensions.append(NameLinkExtension())
    return config


def on_page_markdown(markdown, page, config, files):
    """Makes links of the names of guides."""
    folder = "" if page.file.src_uri.startswith("guides/") else "guides/"
    return GUIDE.sub(rf"[`guides/\1.py`]({folder}\1.md)", markdown)

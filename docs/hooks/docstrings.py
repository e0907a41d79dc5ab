"""Docstrings in the style of Keras, as sections that griffe knows."""

import re
import textwrap

import griffe

EXAMPLE = re.compile(r"^Example:\n\n(>>> .*?)(?=\n\n(?!>>> )|\Z)", re.M | re.S)
# A heading and what is indented below it.
RETURNS = re.compile(r"^(Returns|Yields):\n((?:    .*\n|\n)*(?:    .*)?)", re.M)


def in_google_style(text):
    """Names the sections of a docstring as Google's style does.

    `Call arguments:` becomes a list like that of `Args:`, and the lines of an
    `Example:`, which are not indented in Keras, become a block of code. What is
    returned is a paragraph: griffe would take it for a list of types.
    """
    text = RETURNS.sub(
        lambda match: f"**{match[1]}:**\n\n{textwrap.dedent(match[2])}", text
    )
    text = re.sub(
        "^Call arguments:$", "Other args: Call arguments:", text, flags=re.M
    )
    text = EXAMPLE.sub(
        lambda match: "Examples:\n" + re.sub("^", "    ", match[1], flags=re.M),
        text,
    )
    return re.sub(r"^(Example|Reference):$", r"**\1:**", text, flags=re.M)


class KerasDocstrings(griffe.Extension):
    """Converts every docstring that is loaded."""

    def on_instance(self, *, obj, **kwargs):
        """Converts the docstring of one object."""
        if obj.docstring:
            obj.docstring.value = in_google_style(obj.docstring.value)

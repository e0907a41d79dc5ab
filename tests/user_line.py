"""Warnings that name the line of the user, for tests."""

import contextlib
import re
import sys

import pytest


@contextlib.contextmanager
def warns(match):
    """Like `pytest.warns`; the warnings name the file of the caller, too."""
    file = sys._getframe(2).f_code.co_filename  # beyond `contextlib`
    with pytest.warns(UserWarning, match=match) as caught:
        yield caught
    messages = [w for w in caught if re.search(match, str(w.message))]
    assert {warning.filename for warning in messages} == {file}

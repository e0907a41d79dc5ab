"""What every test and every example in a docstring finds in place."""

import keras
import numpy as np
import pytest


@pytest.fixture(autouse=True)
def _seed():
    keras.utils.set_random_seed(0)


@pytest.fixture(autouse=True)
def _names(doctest_namespace):
    doctest_namespace.update(keras=keras, np=np)

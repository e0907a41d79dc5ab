import numpy as np
import pytest

from contracts import copy_of
from keras_drift import autoencoders


def test_says_how_to_load_the_autoencoder():
    missing = copy_of(autoencoders.MissingAutoencoder("some_preset"))
    for use in (missing.encode, missing.decode, missing, missing.call_decoder):
        with pytest.raises(ValueError, match=r"load_autoencoder=True.*'some_p"):
            use(np.zeros((1, 8, 8, 3), "float32"))
    with pytest.raises(ValueError, match="load_autoencoder=True"):
        missing.require()

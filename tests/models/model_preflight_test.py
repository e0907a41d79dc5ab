import pathlib

import keras
import numpy as np
import pytest

import on_devices
from contracts import numpy
from keras_drift import DriftModel
from keras_drift import PowerLawGuidance
from keras_drift import datasets
from keras_drift import encoders
from keras_drift import generators

DATA = np.random.default_rng(0).normal(size=(96, 2)).astype("float32")
CASES = pathlib.Path(__file__).parent / "preflight_cases.py"
ON_JAX = pytest.mark.skipif(
    keras.backend.backend() != "jax", reason="`keras.distribution` of JAX"
)


def compiled(optimizer="adam", **options):
    model = DriftModel(generators.MLP(2, hidden_dims=(8,)), seed=0, **options)
    model.compile(optimizer)
    return model


def nbytes(variables):
    return sum(numpy(v).nbytes for v in variables)


def test_one_device_is_given_the_whole_batch():
    found = compiled(num_generated=16).preflight(DATA, batch_size=32)
    assert (found.devices, found.processes, found.split) == (1, 1, None)
    assert (found.groups, found.positives, found.generated) == (1, 32, 16)
    assert found.memory["samples"] == 4 * 2 * (32 + 16)


def test_groups_and_unconditional_samples_are_counted():
    model = DriftModel(
        generators.MLP(2, hidden_dims=(8,), num_classes=3),
        guidance_sampler=PowerLawGuidance(),
    )
    model.compile("sgd")
    batches = datasets.GroupedDataset(
        DATA, np.arange(96) % 3, positives=8, unconditional=4
    )
    found = model.preflight(batches)
    assert (found.groups, found.positives, found.generated) == (3, 8, 8)
    assert found.memory["samples"] == 4 * 2 * 3 * (8 + 4 + 8)


@pytest.mark.parametrize("use_ema", [False, True])
def test_memory_is_that_of_the_variables_there_are(use_ema):
    optimizer = keras.optimizers.Adam(use_ema=use_ema)
    encoder = encoders.MAEResNet(1, base_channels=8, num_blocks=(1, 1, 1, 1))
    generator = generators.DiT(
        (32, 32, 1), patch_size=8, hidden_dim=8, depth=1, num_heads=1
    )
    model = DriftModel(generator, encoder=encoder)
    model.compile(optimizer)
    memory = model.preflight(np.zeros((8, 32, 32, 1)), batch_size=4).memory
    weights = nbytes(model.trainable_variables)
    assert memory["generator"] == weights == memory["gradients"]
    assert memory["encoder"] == nbytes(encoder.variables) > 0
    # Two moments, the step and the learning rate.
    slots = nbytes(optimizer.variables) - use_ema * weights
    assert memory["optimizer"] == slots
    assert 0 <= slots - 2 * weights < 20
    assert memory["averages"] == use_ema * weights


def test_training_is_not_changed():
    runs = []
    for looks in (False, True):
        keras.utils.set_random_seed(0)
        model = compiled(keras.optimizers.Adam(use_ema=True))
        data = datasets.ArrayDataset(DATA, batch_size=32, seed=1)
        if looks:
            model.preflight(data)
        model.fit(data, epochs=2, verbose=0)
        runs.append(np.concatenate([numpy(v).ravel() for v in model.variables]))
    np.testing.assert_array_equal(*runs)


def test_what_does_not_fit_is_refused_with_the_table():
    model = compiled()
    total = model.preflight(DATA).total_memory
    assert model.preflight(DATA, device_memory=total).device_memory == total
    with pytest.raises(ValueError, match=r"(?s)do not fit.*sum +\S+ kB of"):
        model.preflight(DATA, device_memory=total - 1)


def test_what_fit_refuses_is_refused():
    with pytest.raises(ValueError, match="no classes, so it cannot use labels"):
        compiled().preflight(DATA, np.zeros(96, "int32"))
    model = DriftModel(generators.MLP(2))
    with pytest.raises(ValueError, match="compile"):
        model.preflight(DATA)


def test_an_iterator_keeps_its_first_batch():
    batches = iter([DATA[:8], DATA[8:16]])
    with pytest.raises(TypeError, match="iterator would lack"):
        compiled().preflight(batches)
    np.testing.assert_array_equal(next(batches), DATA[:8])


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="a `tf.data.Dataset`"
)
def test_data_of_unknown_sizes_are_refused():
    import tensorflow as tf

    known = tf.data.Dataset.from_tensor_slices(DATA)
    found = compiled().preflight(known.batch(32, drop_remainder=True))
    assert found.positives == 32
    with pytest.raises(TypeError, match="needs the sizes of a batch"):
        compiled().preflight(known.batch(32))


def test_the_table_says_what_it_counts():
    lines = str(compiled().preflight(DATA, device_memory=1e9)).splitlines()
    table = dict(line.split("  ", 1) for line in map(str.strip, lines))
    table = {key: value.strip() for key, value in table.items()}
    assert (
        table["batch"]
        == "groups: 1, each of 96 positives and 96 generated samples"
    )
    assert table["field"] == "global: of the whole batch"
    assert table["not counted"].startswith("features, activations")
    assert table["sum"].endswith("kB of 1.00 GB")


@pytest.fixture(scope="module")
def on_eight():
    return on_devices.results_of(CASES)


@ON_JAX
def test_says_how_eight_devices_divide_a_batch(on_eight):
    unused, plans, *_ = on_eight
    assert unused[0].startswith("7 more devices are not used")
    engine = "DataParallel of jax on a mesh of batch=8"
    start = [8, 1, engine]
    assert plans["flat"] == [
        *[*start, 1, 64, 64, "samples", 8, 0, "global"],
        *[4 * 2 * 2 * 8, []],
    ]
    *found, bytes_of_samples, notes = plans["13 groups"]
    assert found == [*start, 13, 40, 40, "groups", 2, 3, "global"]
    # Every device is given all positives; 520 generated samples are divided.
    assert bytes_of_samples == 4 * 2 * (520 + 65)
    (note,) = notes
    assert "do not divide the 13 groups" in note
    assert plans["3 groups"][3:9] == [3, 4, 8, "samples", 1, 0]


@ON_JAX
def test_refuses_what_eight_devices_cannot_do(on_eight):
    messages = on_eight[2]
    assert "`set_distribution` first" in messages["before"]
    assert "on 1 devices, a mesh of 8" in messages["before, fit"]
    assert "batches of 3 groups of 4 generated samples" in messages["few"]
    assert "do not fit on a device" in messages["memory"]


@ON_JAX
def test_bytes_are_those_that_a_device_holds(on_eight):
    *_, whole, cut, text = on_eight
    for found in (whole, cut):
        for name, (counted, held) in found.items():
            assert counted == held > 0, name
    for name in whole:
        assert cut[name][0] < 0.2 * whole[name][0]
    assert "split            samples: 8 of each group on every device" in text

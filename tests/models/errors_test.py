import keras
import numpy as np
import pytest

import user_line
from keras_drift import DriftModel
from keras_drift import PowerLawGuidance
from keras_drift import datasets
from keras_drift import drifts
from keras_drift import encoders
from keras_drift import energies
from keras_drift import generators
from keras_drift.training.data_batch import DataBatch
from small_models import class_mlp
from small_models import small_mlp


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"generator": "mlp"}, TypeError, "`generator` is a"),
        ({"step_size": 0}, ValueError, "`step_size`.*step_size=0"),
        ({"num_generated": 0}, ValueError, "`num_generated`.*=0"),
        ({"num_generated": 1.5}, TypeError, "`num_generated`.*=1.5"),
        ({"frozen_steps": 0}, ValueError, "`frozen_steps`"),
        (
            {"frozen_steps": 2, "stop_gradient": False},
            ValueError,
            "toward one frozen field",
        ),
        ({"guidance_sampler": 1.5}, TypeError, "PowerLawGuidance"),
        (
            {"guidance_sampler": PowerLawGuidance()},
            ValueError,
            "needs `num_classes`",
        ),
        ({"drift": "kernel_drif"}, ValueError, "Did you mean 'kernel_drift'"),
        ({"encoder": "vgg"}, TypeError, "'vgg'"),
    ],
)
def test_names_a_wrong_argument(arguments, error, message):
    with pytest.raises(error, match=message):
        DriftModel(**{"generator": small_mlp(), **arguments})


def test_refuses_a_loss():
    with pytest.raises(ValueError, match="regression onto its drifted"):
        DriftModel(small_mlp()).compile("adam", loss="mse")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ((np.zeros((8, 3), "float32"),), r"shape \(1, 8, 3\).*shape \(2,\)"),
        ((np.zeros((8, 2, 2, 2), "float32"),), r"\(8, 2, 2, 2\)"),
        ((np.zeros((0, 2), "float32"),), "at least one"),
        (
            (np.full((8, 2), np.nan, "float32"),),
            "must be finite, but 8 of the 8",
        ),
        (
            (np.zeros((8, 2), "float32"), np.zeros(8, "int32")),
            "no classes",
        ),
    ],
    ids=["dimension", "rank", "empty", "nan", "labels"],
)
def test_refuses_invalid_points(data, message):
    model = DriftModel(small_mlp(), seed=0)
    model.compile("adam")
    with pytest.raises(ValueError, match=message):
        model.fit(*data, verbose=0)
    with pytest.raises(ValueError, match=message):
        model.evaluate(*data, verbose=0)


def test_refuses_invalid_labels(classes):
    samples, labels = classes
    model = DriftModel(class_mlp(), seed=0)
    model.compile("adam")
    for wrong, message in (
        (labels + 1, "from 0 to 2.*labels=3"),
        (labels - 1, "from 0 to 2.*labels=-1"),
        (labels * 1.0, "integers.*float64"),
    ):
        with pytest.raises(ValueError, match=message):
            model.fit(samples, wrong, verbose=0)
    with pytest.raises(ValueError, match="needs the labels"):
        model.fit(samples, verbose=0)
    with pytest.raises(ValueError, match="cannot be used with samples and la"):
        model.fit(samples, labels, sample_weight=np.ones(60), verbose=0)
    with pytest.raises(ValueError, match="class_weight"):
        model.fit(samples, labels, class_weight={0: 2.0}, verbose=0)
    with pytest.raises(ValueError, match="flat batch of shape"):
        model.fit(((s, lab) for s, lab in [(samples, labels)]), verbose=0)
    grouped = samples.reshape(3, 20, 2)
    with pytest.raises(ValueError, match=r"labels `\(groups,\)`"):
        model.fit(grouped, np.zeros((3, 20), "int32"), verbose=0)


def test_refuses_missing_unconditional_samples(classes):
    model = DriftModel(class_mlp(), guidance_sampler=PowerLawGuidance(), seed=0)
    model.compile("adam")
    batches = datasets.GroupedDataset(*classes, positives=6)
    with pytest.raises(ValueError, match="unconditional=16"):
        model.fit(batches, verbose=0)


def test_refuses_invalid_arguments_of_generate():
    model = DriftModel(class_mlp(), seed=0)
    for arguments, message in (
        ({}, "how many samples"),
        ({"n": 0}, "`n`"),
        ({"n": 2, "labels": [1]}, "n=2, 1 labels"),
        ({"labels": [3]}, "from 0 to 2"),
        ({"labels": [0], "guidance": 2.0}, "guidance scale of 1 only"),
        ({"n": 1, "batch_size": 0}, "`batch_size`"),
    ):
        with pytest.raises(ValueError, match=message):
            model.generate(**arguments)
    with pytest.raises(ValueError, match="no classes"):
        DriftModel(small_mlp()).generate(2, labels=[0, 1])


def test_a_network_in_drift_and_encoder_is_refused():
    """Files would hold its weights once, and a copy has them twice."""
    network = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
    energy = energies.FrechetDistance(encoder=encoders.Pretrained(network))
    drift = drifts.VariationalDrift(energy)
    with pytest.raises(
        ValueError, match=r"`model` share the var.*clone_model.*set_weights"
    ):
        DriftModel(small_mlp(), drift, encoder=network)
    copy = keras.models.clone_model(network)
    copy.set_weights(network.get_weights())
    DriftModel(small_mlp(), drift, encoder=copy)
    model = DriftModel(small_mlp(), drift)
    with pytest.raises(ValueError, match=r"`model` share the variable"):
        model.encoder = network
    assert isinstance(model.encoder, encoders.Identity)


@pytest.mark.parametrize("dtype", ["float32", "bool"])
def test_refuses_labels_of_a_source_that_are_no_numbers(dtype):
    batch = (
        keras.KerasTensor((2, 8, 2)),
        keras.KerasTensor((2,), dtype),
    )
    with pytest.raises(ValueError, match=f"integers.*type {dtype}"):
        DataBatch.parse(batch, class_mlp())


def test_refuses_a_label_of_a_later_batch():
    labels = np.repeat([0, 1, 2, 5], 16)
    data = datasets.GroupedDataset(
        np.zeros((64, 2)), labels, positives=8, groups_per_batch=1
    )
    model = DriftModel(class_mlp())
    model.compile("adam")
    with pytest.raises(ValueError, match=r"from 0 to 2.*5"):
        model.fit(data, verbose=0)
    with pytest.raises(ValueError, match=r"from 0 to 2.*5"):
        model.fit(data, steps_per_epoch=2, verbose=0)


def larger_table():
    """A generator whose table has a row more than there are classes."""
    noise = keras.Input((4,), name="noise")
    labels = keras.Input((), dtype="int32", name="labels")
    rows = keras.layers.Embedding(4, 2)(labels)
    outputs = keras.layers.Dense(2)(noise) + rows
    network = keras.Model({"noise": noise, "labels": labels}, outputs)
    return generators.Functional(network, num_classes=3)


@pytest.mark.parametrize("network", [class_mlp, larger_table])
@pytest.mark.parametrize("label", [-1, 3])
def test_a_later_label_that_is_no_class_trains_none(label, network):
    def batches():  # of which the first one is looked at
        for each in (0, label, label):
            yield np.zeros((1, 8, 2), "float32"), np.array([each], "int32")

    model = DriftModel(network())
    model.compile("adam")
    if keras.backend.backend() == "jax":  # which cannot raise in a program
        history = model.fit(batches(), steps_per_epoch=2, verbose=0).history
        assert np.isnan(history["loss"][0])
    else:
        with pytest.raises(
            Exception, match=r"out of range|is not in \[0, [34]\)"
        ):
            model.fit(batches(), steps_per_epoch=2, verbose=0)


@pytest.mark.parametrize(
    "data",
    [
        {"positives": np.zeros((64, 2))},
        (np.zeros((64, 2)),),
        (np.zeros((64, 2)), np.zeros(64, "int32")),
    ],
)
def test_refuses_arrays_that_are_a_batch(data):
    model = DriftModel(small_mlp())
    model.compile("adam")
    with pytest.raises(TypeError, match="one by one"):
        model.fit(data, verbose=0)
    with pytest.raises(TypeError, match="one by one"):
        model.evaluate(data, verbose=0)
    with pytest.raises(TypeError, match="one by one"):
        model.fit(np.zeros((64, 2)), validation_data=(data,), verbose=0)


def test_refuses_a_generator_of_seeds():
    seed = keras.random.SeedGenerator(0)
    with pytest.raises(TypeError, match="`seed` must be a non-negative int"):
        DriftModel(small_mlp()).generate(3, seed=seed)


def test_warns_of_classes_that_only_validation_has():
    model = DriftModel(class_mlp())
    model.compile("adam")
    labels = np.sort(np.arange(63) % 3)
    with user_line.warns(r"no label of \[2\]"):
        model.fit(
            np.zeros((63, 2), "float32"),
            labels,
            validation_split=1 / 3,
            verbose=0,
        )


def test_takes_a_tuple_of_samples_and_refuses_a_list_of_labels():
    model = DriftModel(small_mlp())
    model.compile("adam")
    model.fit(tuple(np.zeros((8, 2), "float32")), verbose=0)
    model = DriftModel(class_mlp())
    model.compile("adam")
    with pytest.raises(ValueError, match=r"array of class numbers.*list"):
        model.train_on_batch(np.zeros((2, 8, 2), "float32"), [0, 1])


def test_training_needs_an_optimizer_and_evaluation_does_not(tmp_path):
    data = np.zeros((8, 2), "float32")
    model = DriftModel(small_mlp(), seed=0)
    model.compile(None)
    for train in (model.fit, model.train_on_batch):
        with pytest.raises(ValueError, match=r"an optimizer.*optimizer=None"):
            train(data)
    assert np.isfinite(model.evaluate(data, verbose=0)[0])
    model.save(tmp_path / "model.keras")
    assert keras.saving.load_model(tmp_path / "model.keras").optimizer is None


def test_metadata_of_a_preset_are_a_dict(tmp_path):
    model = DriftModel(small_mlp())
    for part in (model, model.generator):
        with pytest.raises(TypeError, match="metadata='text'"):
            part.save_to_preset(tmp_path / "preset", "text")


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="of tf.data"
)
def test_refuses_data_of_unknown_rank():
    import tensorflow as tf

    data = tf.data.Dataset.from_generator(
        lambda: iter([np.zeros((8, 2), "float32")]),
        output_signature=tf.TensorSpec(None, "float32"),
    )
    model = DriftModel(small_mlp())
    model.compile("sgd")
    with pytest.raises(ValueError, match=r"ensure_shape.*unknown shape"):
        model.fit(data, verbose=0)


def test_layers_that_micro_batches_refuse_are_named():
    network = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dropout(0.5, name="dropped")]
    )
    generator = generators.Functional(network)
    with pytest.raises(ValueError, match=r"layers \['dropped'\]"):
        DriftModel(generator, micro_batches=2)

import json
import time
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from keras_drift.datasets import GroupedDataset

COUNTS = [40, 3, 25, 60, 12]
LABELS = np.random.default_rng(0).permutation(
    np.repeat([0, 2, 3, 7, 9], COUNTS)
)
# A sample says its own index, so that a batch shows what was drawn.
SAMPLES = np.stack([np.arange(140), LABELS], axis=1).astype("float32")


def make(**kwargs):
    arguments = {"groups_per_batch": 4, "positives": 8, "steps_per_epoch": 10}
    return GroupedDataset(SAMPLES, LABELS, **{**arguments, **kwargs})


def drawn(dataset):
    """Everything an epoch gives, flat: labels, then positives."""
    items = [dataset[i] for i in range(len(dataset))]
    return np.concatenate([np.r_[y, x.ravel()] for x, y in items])


def test_batch_is_groups_of_samples_with_one_label_each():
    x, y = make()[0]
    assert x.shape == (4, 8, 2)
    assert x.dtype == np.float32
    assert y.shape == (4,)
    assert y.dtype == np.int32


def test_images_keep_their_shape():
    images = np.zeros((20, 4, 5, 3))
    dataset = GroupedDataset(images, np.arange(20) % 2, positives=6)
    assert dataset.sample_shape == (4, 5, 3)
    assert dataset[0][0].shape == (2, 6, 4, 5, 3)


def test_knows_its_classes():
    dataset = make()
    assert dataset.labels_present.tolist() == [0, 2, 3, 7, 9]
    assert dataset.labels_present.dtype == np.int32
    assert dataset.num_classes == 10
    assert dataset.num_samples == 140


def test_samples_of_a_group_belong_to_its_label():
    for x, y in make():
        np.testing.assert_array_equal(x[:, :, 1], np.tile(y[:, None], 8))
        np.testing.assert_array_equal(
            LABELS[x[:, :, 0].astype(int)], x[:, :, 1]
        )


def test_classes_of_a_batch_are_different():
    for _, y in make():
        assert len(set(y.tolist())) == 4


def test_samples_repeat_only_where_a_class_has_too_few():
    for x, y in make():
        for group, label in zip(x, y, strict=True):
            if label != 2:  # has 3 samples
                assert len(set(group[:, 0].tolist())) == 8


def test_all_samples_are_reached_alike():
    dataset = make(groups_per_batch=5, steps_per_epoch=2000)
    indices = np.concatenate([x[..., 0].ravel() for x, _ in dataset])
    expected = (
        2000 * 8 / np.array(COUNTS)[np.searchsorted([0, 2, 3, 7, 9], LABELS)]
    )
    counts = np.bincount(indices.astype(int), minlength=140)
    # Five standard deviations of independent draws.
    assert np.all(np.abs(counts - expected) < 5 * np.sqrt(expected))


@pytest.mark.parametrize("groups", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("steps", [1, 5, 7, 10])
def test_classes_are_visited_equally_often_up_to_once(groups, steps):
    dataset = make(groups_per_batch=groups, steps_per_epoch=steps)
    labels = np.concatenate([y for _, y in dataset])
    counts = (labels[:, None] == dataset.labels_present).sum(axis=0)
    assert np.ptp(counts) <= 1


def test_classes_are_shuffled_anew_once_all_were_visited():
    dataset = make(groups_per_batch=5, steps_per_epoch=20)
    assert len({tuple(y.tolist()) for _, y in dataset}) > 15


def test_item_does_not_depend_on_the_items_before():
    fresh, used = make()[3], make()
    for i in (0, 9, 3):
        x, y = used[i]
    np.testing.assert_array_equal(x, fresh[0])
    np.testing.assert_array_equal(y, fresh[1])


def test_threads_change_nothing():
    dataset = make()
    with ThreadPoolExecutor(4) as pool:
        items = list(pool.map(dataset.__getitem__, reversed(range(10))))
    together = np.concatenate([np.r_[y, x.ravel()] for x, y in items[::-1]])
    np.testing.assert_array_equal(together, drawn(dataset))


def test_same_seed_same_data_and_other_seed_other_data():
    np.testing.assert_array_equal(drawn(make(seed=3)), drawn(make(seed=3)))
    assert np.any(drawn(make(seed=3)) != drawn(make(seed=4)))


def test_epoch_changes_the_draw_and_can_be_set():
    dataset = make()
    first = drawn(dataset)
    dataset.on_epoch_end()
    assert dataset.epoch == 1
    assert np.any(drawn(dataset) != first)
    dataset.epoch = 0
    np.testing.assert_array_equal(drawn(dataset), first)


def test_fixed_batches_never_change():
    dataset = make(unconditional=0)
    dataset.epoch = 5
    fixed = dataset.fixed()
    before, training = drawn(fixed), drawn(dataset)
    fixed.on_epoch_end()
    np.testing.assert_array_equal(drawn(fixed), before)
    np.testing.assert_array_equal(drawn(dataset), training)
    dataset.on_epoch_end()
    assert dataset.epoch == 6
    assert fixed.epoch == 0
    np.testing.assert_array_equal(drawn(fixed), before)
    np.testing.assert_array_equal(drawn(dataset.fixed(5)), training)


def test_keras_validates_on_the_same_samples_in_every_epoch():
    dataset = make()
    model = classifier()
    model.compile(keras.optimizers.SGD(0.0), model.loss)
    options = {"epochs": 3, "verbose": 0, "shuffle": False}
    history = model.fit(make(), validation_data=dataset.fixed(), **options)
    assert len(set(history.history["val_loss"])) == 1
    history = model.fit(make(), validation_data=dataset, **options)
    assert len(set(history.history["val_loss"])) == 3


@settings(deadline=None, max_examples=30, database=None)
@given(
    groups=st.integers(1, 5),
    positives=st.integers(1, 50),
    unconditional=st.integers(0, 5),
    seed=st.integers(0, 9),
    epochs=st.integers(0, 3),
)
def test_state_restores_the_batches(
    groups, positives, unconditional, seed, epochs
):
    def flat(dataset):
        arrays = keras.tree.flatten(list(dataset))
        return np.concatenate([np.ravel(array) for array in arrays])

    options = {
        "groups_per_batch": groups,
        "positives": positives,
        "unconditional": unconditional,
        "steps_per_epoch": 2,
    }
    first = make(seed=seed, **options)
    for _ in range(epochs):
        first.on_epoch_end()
    second = make(seed=seed + 1, **options)
    second[0]  # what was read before is forgotten
    second.set_state(json.loads(json.dumps(first.get_state())))
    for _ in range(2):
        np.testing.assert_array_equal(flat(second), flat(first))
        for dataset in (first, second):
            dataset.on_epoch_end()


def test_says_which_axis_is_which_and_which_to_spread():
    x, _ = make()[0]
    assert x.shape[make().group_axis] == 4
    assert x.shape[make().sample_axis] == 8
    assert make().placement == "groups"
    assert make(groups_per_batch=1).placement == "samples"
    assert GroupedDataset(SAMPLES).placement == "samples"


@pytest.mark.parametrize("attribute", ["seed", "epoch"])
def test_seed_and_epoch_change_both_the_samples_and_the_classes(attribute):
    unlabelled = GroupedDataset(SAMPLES, positives=8)
    labeled = make(groups_per_batch=5)
    (samples,), (_, classes) = unlabelled[0], labeled[0]
    setattr(unlabelled, attribute, 7)
    setattr(labeled, attribute, 7)
    assert np.any(unlabelled[0][0] != samples)
    assert np.any(labeled[0][1] != classes)


def test_batches_of_an_epoch_differ():
    batches = [x.tobytes() for x, _ in make(groups_per_batch=5)]
    assert len(set(batches)) == 10


def test_unconditional_samples_come_from_everywhere():
    dataset = make(unconditional=100)
    x, y = dataset[0]
    assert x["positives"].shape == (4, 8, 2)
    assert x["unconditional"].shape == (4, 100, 2)
    assert x["unconditional"].dtype == np.float32
    assert y.shape == (4,)
    for group in x["unconditional"]:
        assert len(set(group[:, 0].tolist())) == 100
        assert set(group[:, 1].tolist()) == {0, 2, 3, 7, 9}


def test_unconditional_samples_leave_the_positives_as_they_are():
    alone, _ = make()[2]
    both, _ = make(unconditional=6)[2]
    np.testing.assert_array_equal(both["positives"], alone)


def test_without_labels_all_samples_are_one_group():
    dataset = GroupedDataset(SAMPLES, positives=140)
    assert dataset.labels_present is None
    assert dataset.num_classes is None
    assert len(dataset) == 1
    (x,) = dataset[0]
    assert sorted(x[0, :, 0].tolist()) == list(range(140))


def test_without_labels_unconditional_samples_are_possible():
    (x,) = GroupedDataset(SAMPLES, positives=8, unconditional=3)[0]
    assert x["positives"].shape == (1, 8, 2)
    assert x["unconditional"].shape == (1, 3, 2)


def test_default_is_all_classes_and_as_many_samples_as_there_are():
    dataset = GroupedDataset(SAMPLES, LABELS)
    x, y = dataset[0]
    assert sorted(y.tolist()) == [0, 2, 3, 7, 9]
    assert x.shape == (5, 32, 2)
    assert len(dataset) == 1
    assert len(make(steps_per_epoch=None)) == 5  # 140 / (4 * 8) rounded up


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "bfloat16"])
def test_any_float_becomes_single_precision(dtype):
    if dtype == "bfloat16":
        dtype = pytest.importorskip("ml_dtypes").bfloat16
    dataset = GroupedDataset(SAMPLES.astype(dtype), positives=140)
    (x,) = dataset[0]
    assert x.dtype == np.float32
    assert sorted(x[0, :, 0].tolist()) == list(range(140))


def test_reads_from_disk_only_what_is_drawn(tmp_path):
    shape = (50_000, 2)
    file = np.memmap(tmp_path / "data", "float32", "w+", shape=shape)
    file[:] = np.arange(50_000)[:, None]
    file[40_000] = np.nan  # Beyond what is checked.
    (x,) = GroupedDataset(file, positives=16)[0]
    assert type(x) is np.ndarray
    np.testing.assert_array_equal(x[..., 0], np.rint(x[..., 1]))


def test_drawing_does_not_hand_out_the_data_itself():
    samples = SAMPLES.copy()
    (x,) = GroupedDataset(samples, positives=8)[0]
    x[:] = 0
    np.testing.assert_array_equal(samples, SAMPLES)


def test_a_thousand_classes_take_milliseconds():
    labels = np.repeat(np.arange(1000), 1280)
    samples = np.zeros((len(labels), 1), "float32")
    dataset = GroupedDataset(
        samples, labels, groups_per_batch=64, positives=64, unconditional=16
    )
    durations = []
    for i in range(10):
        start = time.perf_counter()
        dataset[i]
        durations.append(time.perf_counter() - start)
    # About 3 ms; a loop over the samples would take a second.
    assert min(durations) < 0.05


def classifier(unconditional=0):
    positives = keras.Input((8, 2), name="positives")
    inputs = positives
    if unconditional:
        others = keras.Input((unconditional, 2), name="unconditional")
        inputs = {"positives": positives, "unconditional": others}
    hidden = keras.layers.Flatten()(positives)
    model = keras.Model(inputs, keras.layers.Dense(10)(hidden))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("sgd", loss)
    return model


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("unconditional", [0, 3])
def test_trains_a_model(workers, unconditional):
    dataset = make(unconditional=unconditional, workers=workers)
    history = classifier(unconditional).fit(dataset, epochs=2, verbose=0)
    assert np.all(np.isfinite(history.history["loss"]))


def test_resumed_training_sees_what_uninterrupted_training_sees():
    class Recorder(GroupedDataset):
        def __getitem__(self, index):
            seen.append(self.epoch)
            return super().__getitem__(index)

    seen = []
    dataset = Recorder(SAMPLES, LABELS, positives=8)
    model = classifier()
    model.fit(dataset, epochs=3, verbose=0)
    uninterrupted = seen[-1]
    dataset.epoch = 2
    model.fit(dataset, initial_epoch=2, epochs=3, verbose=0)
    assert seen[-1] == uninterrupted


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (np.zeros((3, 2), "uint8"), r"Scale images to \[-1, 1\].*dtype=uint8"),
        (np.zeros((3, 2), int), r"must be floats.*dtype=int64"),
        (np.array([["a"]]), r"must be floats.*dtype=<U1"),
        (np.zeros(3), r"samples\[:, None\].*shape=\(3,\)"),
        (np.zeros((0, 2)), r"non-empty.*shape=\(0, 2\)"),
        (
            np.array([[0.0], [1.0], [np.nan]]),
            r"finite.*1 of the 3.*samples\[2\]",
        ),
        (np.array([[0.0], [np.inf], [np.nan]]), r"2 of the 3.*samples\[1\]"),
    ],
)
def test_names_samples_that_cannot_be_used(samples, message):
    with pytest.raises(ValueError, match=message):
        GroupedDataset(samples)


def test_names_the_start_of_a_file_that_is_broken(tmp_path):
    file = np.memmap(tmp_path / "data", "float32", "w+", shape=(2000, 1))
    file[999] = np.nan
    with pytest.raises(ValueError, match=r"1 of the 1000.*samples\[999\]"):
        GroupedDataset(file)


@pytest.mark.parametrize(
    ("labels", "error", "message"),
    [
        (LABELS[:-1], ValueError, r"len\(samples\)=140, len\(labels\)=139"),
        (LABELS[:, None], ValueError, r"squeeze.*labels\.shape=\(140, 1\)"),
        (np.eye(140), ValueError, r"argmax.*labels\.shape=\(140, 140\)"),
        (LABELS * 1.0, TypeError, r"integers.*dtype=float64"),
        (LABELS == 2, TypeError, r"integers.*dtype=bool"),
        (np.arange(140) - 1, ValueError, r"zero or positive.*labels\[0\]=-1"),
    ],
)
def test_names_labels_that_cannot_be_used(labels, error, message):
    with pytest.raises(error, match=message):
        GroupedDataset(SAMPLES, labels)


@pytest.mark.parametrize(
    ("kwargs", "error", "message"),
    [
        ({"groups_per_batch": 6}, ValueError, r"only 5 classes.*batch=6"),
        ({"groups_per_batch": 0}, ValueError, r"groups_per_batch=0"),
        ({"positives": 0}, ValueError, r"positive integer.*positives=0"),
        ({"positives": 2.0}, TypeError, r"integer.*positives=2\.0"),
        ({"unconditional": -1}, ValueError, r"non-negative.*unconditional=-1"),
        ({"unconditional": 0.5}, TypeError, r"integer.*unconditional=0\.5"),
        ({"seed": -1}, ValueError, r"non-negative integer.*seed=-1"),
        ({"seed": None}, TypeError, r"integer.*seed=None"),
        ({"steps_per_epoch": 0}, ValueError, r"steps_per_epoch=0"),
    ],
)
def test_names_a_number_that_cannot_be(kwargs, error, message):
    with pytest.raises(error, match=message):
        make(**kwargs)


def test_names_several_groups_without_labels():
    with pytest.raises(ValueError, match=r"one group.*groups_per_batch=2"):
        GroupedDataset(SAMPLES, groups_per_batch=2)
    assert len(GroupedDataset(SAMPLES, groups_per_batch=1)) == 5


@pytest.mark.parametrize("index", [-1, 10])
def test_names_an_index_outside_the_epoch(index):
    with pytest.raises(IndexError, match=rf"10 batches.*index={index}"):
        make()[index]


@pytest.mark.parametrize("groups", [4, 1])
def test_the_shares_of_a_batch_are_those_of_the_whole_one(groups):
    options = {"groups_per_batch": groups, "unconditional": 6}
    labels = LABELS if groups > 1 else None
    whole = GroupedDataset(SAMPLES, labels, positives=8, **options)
    parts = [
        GroupedDataset(SAMPLES, labels, positives=8, share=(i, 2), **options)
        for i in range(2)
    ]
    axis = 0 if groups > 1 else 1
    assert len(parts[0]) == len(whole)
    # A run goes on with any number of processes, without a warning.
    states = [data.get_state() for data in (whole, *parts)]
    assert states[0] == states[1] == states[2]
    for index in range(3):
        x, *of_groups = whole[index]
        found, *of_parts = zip(*(part[index] for part in parts), strict=True)
        for name in ("positives", "unconditional"):
            joined = np.concatenate([each[name] for each in found], axis)
            np.testing.assert_array_equal(joined, x[name])
        if of_groups:
            np.testing.assert_array_equal(
                np.concatenate(of_parts[0]), of_groups[0]
            )


def test_the_only_class_is_that_of_every_share():
    data = make(groups_per_batch=1, share=(1, 2))
    x, labels = data[0]
    assert x.shape == (1, 4, 2)
    assert labels.shape == (1,)


def test_a_share_reads_no_other_samples():
    class Recorded:
        """Samples on a disk, which are read when they are indexed."""

        shape, dtype, ndim = SAMPLES.shape, SAMPLES.dtype, 2
        size, read = SAMPLES.size, []

        def __len__(self):
            return len(SAMPLES)

        def __getitem__(self, key):
            self.read.append(np.shape(key))
            return SAMPLES[key]

    samples = Recorded()
    data = GroupedDataset(
        samples, LABELS, groups_per_batch=4, positives=8, share=(0, 4)
    )
    samples.read.clear()
    data[0]
    assert samples.read == [(1, 8)]


@pytest.mark.parametrize(
    ("share", "kwargs", "words"),
    [
        ((2, 2), {}, "share=(2, 2), groups_per_batch=4"),
        ((0, 3), {}, "share=(0, 3), groups_per_batch=4"),
        (
            (0, 2),
            {"groups_per_batch": 1, "positives": 7},
            "positives=7, unconditional=0",
        ),
    ],
)
def test_refuses_parts_that_are_not_equal(share, kwargs, words):
    with pytest.raises(ValueError, match="one of `count` equal parts") as error:
        make(share=share, **kwargs)
    assert words in str(error.value)


@pytest.mark.parametrize("share", [1, (0,), (0, 1, 2), {0, 2}, "02"])
def test_refuses_what_is_no_share(share):
    with pytest.raises(TypeError, match=r"two integers. Received: share="):
        make(share=share)


@pytest.mark.parametrize("label", [2**31, 2**32 + 1, 2**63])
def test_refuses_labels_beyond_32_bits(label):
    """2**32 + 1 became class 1."""
    labels = np.array([0, label], "uint64")
    with pytest.raises(ValueError, match=rf"32 bits.*labels\[1\]={label}"):
        GroupedDataset(np.zeros((2, 1)), labels)

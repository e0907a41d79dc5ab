import collections
import gc
import itertools
import threading
import time
import weakref

import keras
import numpy as np
import pytest

from contracts import numpy
from keras_drift import DriftModel
from keras_drift import PowerLawGuidance
from keras_drift import drifts
from keras_drift import generators
from keras_drift.datasets import BankedDataset

pytestmark = pytest.mark.usefixtures("small_heap")

NUM_CLASSES = 5


class Stream:
    """Samples that hold their own number, and an exact position."""

    def __init__(self, size=12, fails_at=None):
        self.number = 0
        self._size, self._fails_at = size, fails_at

    def __iter__(self):
        return self

    def __next__(self):
        numbers = np.arange(self.number, self.number + self._size)
        if self._fails_at is not None and self._fails_at < numbers[-1]:
            raise OSError("the disk is gone")
        self.number += self._size
        return _samples(numbers), _labels(numbers)

    def get_state(self):
        return {"number": self.number}

    def set_state(self, state):
        self.number = state["number"]


def _samples(numbers):
    return np.stack([numbers, np.sin(numbers)], axis=1).astype("float32")


def _labels(numbers):
    return (numbers * 7919 // 13) % NUM_CLASSES


def make(stream=None, **options):
    options = {
        "sample_shape": (2,),
        "num_classes": NUM_CLASSES,
        "groups_per_batch": 3,
        "positives": 4,
        "unconditional": 2,
        "push_per_step": 8,
        "capacity": 6,
        "unconditional_capacity": 20,
        "steps_per_epoch": 7,
        "verbose": False,
        **options,
    }
    return BankedDataset(Stream() if stream is None else stream, **options)


def flat(batch):
    x, labels = batch
    parts = x.values() if isinstance(x, dict) else [x]
    return np.concatenate([part.ravel() for part in parts] + [labels])


def assert_same(batches, others):
    for one, other in zip(batches, others, strict=True):
        np.testing.assert_array_equal(flat(one), flat(other))


def take(batches, num):
    """Batches as an epoch of `fit` reads them."""
    whole = []
    while len(whole) < num:
        whole += list(batches)
    return whole[:num]


def threads():
    return [t for t in threading.enumerate() if "BankedDataset" in t.name]


def wait_until(condition):
    deadline = time.monotonic() + 20
    while not condition() and time.monotonic() < deadline:
        time.sleep(1e-3)
    assert condition()


@pytest.fixture(autouse=True)
def _no_threads_left():
    yield
    if threads():
        gc.collect()
    wait_until(lambda: not threads())


def test_batches_have_the_form_of_grouped_ones():
    x, labels = make()[0]
    assert x["positives"].shape == (3, 4, 2)
    assert x["unconditional"].shape == (3, 2, 2)
    assert labels.shape == (3,)
    assert {x[k].dtype.name for k in x} == {"float32"}
    assert labels.dtype == "int32"
    x, labels = make(unconditional=0, dtype="float16")[0]
    assert x.shape == (3, 4, 2)
    assert x.dtype == "float32"
    assert len(make()) == 7
    assert make().placement == "groups"
    assert make(groups_per_batch=1).placement == "samples"


def test_follows_rings_written_naively():
    """Which samples a batch may hold, with deques in place of banks."""
    batches = take(make(groups_per_batch=5, prefetch=3), 60)
    rings = [collections.deque(maxlen=6) for _ in range(NUM_CLASSES)]
    newest = collections.deque(maxlen=20)
    number, is_warm, position = 0, False, 0
    while position < len(batches):
        arrived = range(number, number + 8)
        number += 8
        for i in arrived:
            rings[_labels(i)].append(i)
            newest.append(i)
        is_warm = is_warm or min(map(len, rings)) >= 4
        if not is_warm:
            continue
        x, labels = batches[position]
        position += 1
        # Classes of what has just arrived come first, each once.
        fresh = {int(_labels(i)) for i in arrived}
        assert len(set(labels.tolist())) == 5
        assert set(labels[: len(fresh)].tolist()) == fresh
        for label, group in zip(labels, x["positives"], strict=True):
            drawn = group[:, 0].astype(int).tolist()
            assert len(set(drawn)) == 4
            assert set(drawn) <= set(rings[label])
            np.testing.assert_array_equal(group, _samples(np.array(drawn)))
        for group in x["unconditional"]:
            drawn = group[:, 0].astype(int).tolist()
            assert len(set(drawn)) == 2
            assert set(drawn) <= set(newest)


def test_draws_are_uniform():
    """All classes alike, and all samples of a ring."""
    batches = take(make(steps_per_epoch=700, push_per_step=5), 700)
    labels = np.array([labels for _, labels in batches])
    frequencies = np.bincount(labels.ravel(), minlength=NUM_CLASSES)
    np.testing.assert_allclose(frequencies / labels.size, 0.2, atol=0.03)
    # One class, of which one sample arrives and one is drawn in each step.
    numbers = (np.array([[i, i]], "float32") for i in itertools.count())
    stream = ((samples, np.zeros(1, int)) for samples in numbers)
    options = {"num_classes": 1, "groups_per_batch": 1, "positives": 1}
    batches = make(stream, push_per_step=1, unconditional=1, **options)
    batches = take(batches, 2000)
    drawn = [
        (x["positives"][0, 0, 0], x["unconditional"][0, 0, 0])
        for x, _ in batches
    ]
    ages = np.arange(2000)[:, None] - np.array(drawn, int)
    for column, capacity in enumerate((6, 20)):
        found = np.bincount(ages[100:, column], minlength=capacity)
        assert len(found) == capacity
        # 1900 draws: 317 of each age and 95, deviating by 16 and 10.
        np.testing.assert_allclose(found, 1900 / capacity, atol=70)


def test_same_seed_same_batches():
    batches = [take(make(seed=seed), 20) for seed in (0, 0, 1)]
    assert_same(batches[0], batches[1])
    different = [
        np.any(flat(one) != flat(other))
        for one, other in zip(batches[0], batches[2], strict=True)
    ]
    assert all(different)


@pytest.mark.parametrize("prefetch", [1, 5])
@pytest.mark.usefixtures("eager_threads")
def test_drawing_ahead_changes_no_batch(prefetch):
    assert_same(take(make(), 20), take(make(prefetch=prefetch), 20))


def test_the_size_of_the_batches_of_the_stream_changes_nothing():
    assert_same(take(make(Stream(12)), 20), take(make(Stream(50)), 20))


def test_looking_at_a_batch_does_not_take_it():
    expected = take(make(), 7)
    batches = make()
    looked = [batches[0], batches[0], batches[1], batches[0]]
    assert_same(looked, [expected[i] for i in (0, 0, 1, 0)])
    assert_same(list(batches), expected)
    # As Keras reads it with TensorFlow.
    batches = make()
    assert_same(
        [batches[0], batches[0], batches[1]], [expected[i] for i in (0, 0, 1)]
    )
    batches.on_epoch_end()
    batches.on_epoch_begin()
    assert_same([batches[i] for i in range(7)], expected)


@pytest.mark.parametrize("steps", [1, 2, 3])
@pytest.mark.parametrize("looked", [0, 1, 2])
def test_an_epoch_goes_on_with_new_batches(steps, looked):
    """Even if it is as short as what Keras looks at before it."""
    expected = take(make(), 6)
    batches = make(steps_per_epoch=steps)
    found = []
    while len(found) < 6:
        for i in range(min(looked, steps)):
            batches[i]
        found += list(batches)
    assert_same(found, expected)


def test_an_interrupted_epoch_goes_on_with_the_next_batch():
    expected = take(make(), 8)
    batches = make()
    batches.on_epoch_begin()
    assert_same([batches[i] for i in range(3)], expected[:3])
    assert_same([batches[0]], expected[3:4])  # the next `fit` looks at it
    batches.on_epoch_end()
    batches.on_epoch_begin()
    assert_same([batches[i] for i in range(5)], expected[3:])


def test_epochs_of_other_lengths_show_no_batch_twice():
    """With `steps_per_epoch` of `fit` that do not divide the own ones."""
    expected = take(make(), 12)
    batches = make(steps_per_epoch=5)
    found, following = [], 0
    for _ in range(4):
        batches.on_epoch_begin()
        for _ in range(3):
            found.append(batches[following])
            following = (following + 1) % 5
        batches.on_epoch_end()
    assert_same(found, expected)


@pytest.mark.parametrize("read", [0, 1, 3, 20])
@pytest.mark.parametrize("looked", [0, 1, 2])
def test_state_restores_all_that_follows(read, looked):
    straight = make()
    take(straight, read)
    for i in range(looked):
        straight[i]
    state = straight.get_state()
    expected = take(straight, 14)
    restored = make(seed=5)  # what is there goes
    take(restored, 3)
    for batches in (restored, straight):
        batches.set_state(state)
        assert_same(take(batches, 14), expected)


def test_a_state_is_a_snapshot():
    batches = make()
    take(batches, 2)
    state = batches.get_state()
    one, two = make(), make()
    one.set_state(state)
    first = take(one, 7)
    first[0][0]["positives"][:] = -1  # a batch may be changed
    take(one, 14)
    two.set_state(state)
    assert_same(take(two, 7)[1:], first[1:])
    assert np.all(take(two, 1)[0][0]["positives"][..., 0] >= 0)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"positives": 3}, r"'positives': \(3, 3, 2\)"),
        ({"groups_per_batch": 2}, r"'labels': \(2,\)"),
        ({"unconditional": 0}, "other arguments"),
        ({"capacity": 7}, "up to 7 samples"),
    ],
)
def test_names_a_state_of_other_arguments(options, match):
    batches = make()
    batches[0]
    with pytest.raises(ValueError, match=match):
        make(**options).set_state(batches.get_state())


def test_names_a_state_of_something_else():
    with pytest.raises(ValueError, match=r"get_state.*dict"):
        make().set_state({"seed": 0, "epoch": 1})


def test_an_error_of_the_stream_reaches_the_reader():
    batches = make(Stream(fails_at=100))
    with pytest.raises(OSError, match="the disk is gone"):
        take(batches, 30)
    wait_until(lambda: not threads())


def test_a_stream_that_ends_is_named():
    stream = itertools.islice(Stream(), 5)
    with pytest.raises(ValueError, match="ended after 60 samples"):
        take(make(stream), 30)


def test_a_class_that_never_arrives_is_named():
    with pytest.raises(ValueError, match=r"1 of 6 classes.*: 5. Shuffle"):
        make(num_classes=6)[0]
    batches = make(num_classes=6, warm_up=0)
    seen = {int(label) for _, labels in take(batches, 40) for label in labels}
    assert seen == {0, 1, 2, 3, 4}


def test_shapes_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match=r"sample_shape=\(3,\).*\(12, 2\)"):
        make(sample_shape=(3,))[0]


def test_the_thread_ends_with_the_data_set():
    class Slow(Stream):
        def __next__(self):
            time.sleep(1e-3)
            return super().__next__()

    batches = make(Slow(), prefetch=1000)
    batches[0]
    assert threads()
    reference = weakref.ref(batches)
    del batches
    gc.collect()
    wait_until(lambda: reference() is None)
    wait_until(lambda: not threads())


def test_does_not_wait_for_a_stream_that_is_faster_than_the_reader():
    class Slow(Stream):
        def __next__(self):
            time.sleep(0.02)
            return super().__next__()

    batches = make(Slow(size=8), steps_per_epoch=20)
    batches[0]
    first = batches.seconds_waited
    for _ in batches:
        time.sleep(0.05)
    # In turns it would be 0.4 s.
    assert batches.seconds_waited - first < 0.2


def test_validation_on_a_stream_is_refused():
    model = _model()
    with pytest.raises(ValueError, match="GroupedDataset"):
        model.evaluate(make(), verbose=0)


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"num_classes": 0}, ValueError, "num_classes=0"),
        ({"groups_per_batch": 6}, ValueError, "groups_per_batch=6"),
        ({"positives": 7}, ValueError, "capacity=6, positives=7"),
        ({"unconditional": 21}, ValueError, "unconditional=21"),
        ({"warm_up": 7}, ValueError, "warm_up=7"),
        ({"warm_up": -1}, ValueError, "warm_up=-1"),
        ({"push_per_step": 0}, ValueError, "push_per_step=0"),
        ({"steps_per_epoch": 0.5}, TypeError, "steps_per_epoch=0.5"),
        ({"prefetch": 0}, ValueError, "prefetch=0"),
        ({"verbose": 1}, TypeError, "verbose=1"),
        ({"sample_shape": 2}, ValueError, "sample_shape=2"),
        ({"seed": -1}, ValueError, "seed=-1"),
    ],
)
def test_names_an_argument_that_cannot_be(options, error, match):
    with pytest.raises(error, match=match):
        make(**options)
    with pytest.raises(IndexError, match=r"7 batches.*index=7"):
        make()[7]


def _model():
    keras.utils.set_random_seed(0)
    model = DriftModel(
        generators.MLP(2, hidden_dims=(8,), num_classes=NUM_CLASSES),
        drifts.SlicedWassersteinDrift(num_projections=4),
        guidance_sampler=PowerLawGuidance(),
        seed=1,
    )
    model.compile(keras.optimizers.SGD(0.01, momentum=0.9))
    return model


def test_a_run_that_is_restored_equals_one_that_was_not():
    states = []

    class Keep(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            states.append(self.model.training_state())

    straight = _model()
    straight.fit(make(), epochs=4, verbose=0, callbacks=[Keep()])
    two_calls, data = _model(), make()
    two_calls.fit(data, epochs=2, verbose=0)
    two_calls.fit(data, epochs=4, initial_epoch=2, verbose=0)
    restored = _model()
    restored.restore_training_state(states[1])
    restored.fit(make(), epochs=4, initial_epoch=2, verbose=0)
    for other in (two_calls, restored):
        for one, two in zip(straight.variables, other.variables, strict=True):
            np.testing.assert_array_equal(numpy(one), numpy(two))
    wait_until(lambda: not threads())


def test_a_restored_run_reads_nothing_before_it_is_restored():
    """The first look at the data would fill the banks once more."""
    model, data = _model(), make()
    model.fit(data, epochs=1, verbose=0)
    wait_until(lambda: not threads())  # though `data` goes on to exist
    state = model.training_state()
    data = make()
    model.restore_training_state(state)
    model.fit(data, epochs=2, initial_epoch=1, verbose=0)
    # 7 steps and 2 batches ahead, in batches of 12 samples.
    assert data._stream._num_read <= 9 * 8 + 12

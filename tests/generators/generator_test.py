import keras
import numpy as np
import pytest

from contracts import numpy
from keras_drift import generators


@pytest.fixture(scope="module")
def points():
    return generators.MLP(2, hidden_dims=[3])


@pytest.fixture(scope="module")
def classes():
    return generators.MLP(2, hidden_dims=[3], num_classes=3)


@pytest.fixture
def styled(tiny_dit):
    return tiny_dit(num_classes=None, num_context_tokens=0)


def test_an_int_seed_gives_what_numpy_does(styled):
    noise = styled.sample_noise(5, seed=7)
    first, second = (
        np.random.default_rng(np.random.SeedSequence(7, spawn_key=(stream,)))
        for stream in (0, 1)
    )
    expected = first.standard_normal((5, 4, 6, 1), dtype="float32")
    np.testing.assert_array_equal(noise["noise"], expected)
    expected = second.integers(0, 4, (5, 2), dtype="int32")
    np.testing.assert_array_equal(noise["styles"], expected)
    assert noise["noise"].dtype == "float32"
    assert noise["styles"].dtype == "int32"


def test_the_first_samples_do_not_depend_on_how_many_follow(styled):
    few, many = styled.sample_noise(3, seed=7), styled.sample_noise(50, seed=7)
    for key, value in few.items():
        np.testing.assert_array_equal(many[key][:3], value)


def test_other_seeds_and_none_give_other_noise(points):
    draws = [points.sample_noise(2, seed)["noise"] for seed in (0, 1)]
    draws += [points.sample_noise(2)["noise"] for _ in range(2)]
    assert len({draw.tobytes() for draw in draws}) == 4


@pytest.mark.parametrize("on_device", [False, True])
def test_noise_is_normal_and_codes_are_uniform(on_device, styled):
    seed = keras.random.SeedGenerator(0) if on_device else 0
    noise = styled.sample_noise(2000, seed)
    values = numpy(noise["noise"]).ravel()  # 48000
    moments = [np.mean(values**power) for power in (1, 2, 3, 4)]
    np.testing.assert_allclose(moments, [0, 1, 0, 3], atol=0.2)
    np.testing.assert_allclose(moments[:2], [0, 1], atol=0.03)
    codes, counts = np.unique(numpy(noise["styles"]), return_counts=True)
    np.testing.assert_array_equal(codes, [0, 1, 2, 3])
    np.testing.assert_allclose(counts, 1000, rtol=0.15)


def test_a_seed_generator_gives_fresh_noise_that_can_be_repeated(styled):
    def two_draws():
        seed = keras.random.SeedGenerator(3)
        return [styled.sample_noise(4, seed) for _ in range(2)]

    (first, second), (again, _) = two_draws(), two_draws()
    for key in ("noise", "styles"):
        shape = (4, *styled.input[key].shape[1:])
        assert tuple(first[key].shape) == shape
        assert not np.array_equal(numpy(first[key]), numpy(second[key]))
        np.testing.assert_array_equal(numpy(first[key]), numpy(again[key]))


def test_a_seed_generator_gives_fresh_noise_in_compiled_code(points):
    class Sampler(keras.Model):
        def __init__(self):
            super().__init__()
            self.seed = keras.random.SeedGenerator(0)

        def call(self, x):
            return x + points.sample_noise(2, self.seed)["noise"]

    sampler = Sampler()
    draws = [sampler.predict_on_batch(np.zeros((2, 8))) for _ in range(3)]
    assert len({draw.tobytes() for draw in draws}) == 3


def test_labels_are_the_classes_in_turn_and_guidance_is_one(classes):
    inputs = classes.sample_inputs(5)
    np.testing.assert_array_equal(inputs["labels"], [0, 1, 2, 0, 1])
    np.testing.assert_array_equal(inputs["guidance"], np.ones(5))
    assert inputs["labels"].dtype == "int32"
    assert inputs["guidance"].dtype == "float32"


@pytest.mark.parametrize("labels", [2, [2], [2, 2, 2], np.uint8(2)])
@pytest.mark.parametrize("guidance", [1.5, 3, [1.0, 2.0, 3.0]])
def test_one_value_is_given_to_all_samples(labels, guidance, classes):
    inputs = classes.sample_inputs(3, labels, guidance, seed=0)
    np.testing.assert_array_equal(inputs["labels"], [2, 2, 2])
    np.testing.assert_array_equal(inputs["guidance"], np.full(3, guidance))
    assert classes(inputs).shape == (3, 2)


def test_inputs_have_the_noise_of_their_seed(classes):
    noise = classes.sample_noise(3, seed=5)["noise"]
    inputs = classes.sample_inputs(3, labels=1, seed=5)
    np.testing.assert_array_equal(inputs["noise"], noise)
    assert tuple(sorted(inputs)) == classes.input_keys


def test_without_classes_only_noise_is_needed(points):
    assert list(points.sample_inputs(3, guidance=2.0)) == ["noise"]
    assert points.input_keys == ("noise",)
    assert points.sample_shape == (2,)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, 3, 1], "from 0 to 2. Received: labels=3$"),
        ([-1, 0, 0], "from 0 to 2. Received: labels=-1$"),
        ([9] * 8, r"labels=9, 9, 9, 9, 9, \.\.\.$"),
        ([0.0, 1.0], r"integers.*float64, labels=0\.0, 1\.0$"),
        ([True, False], "integers.*bool"),
        ("cat", "integers.*labels=cat"),
        ([0, 1], r"one for each.*shape \(2,\), batch_size=8"),
        ([[0] * 8], r"one for each.*shape \(1, 8\), batch_size=8"),
    ],
    ids=str,
)
def test_says_which_labels_are_wrong(labels, message, classes):
    with pytest.raises(ValueError, match=message):
        classes.sample_inputs(8, labels)


def test_refuses_labels_where_there_are_no_classes(points):
    with pytest.raises(ValueError, match=r"no classes.*labels=\[1\]"):
        points.sample_inputs(1, labels=[1])
    with pytest.raises(ValueError, match=r"no classes.*labels=\[1\]"):
        points.check_labels([1])


def test_refuses_guidance_of_another_length(classes):
    with pytest.raises(ValueError, match=r"`guidance` .*shape \(2,\)"):
        classes.sample_inputs(3, guidance=[1.0, 2.0])


@pytest.mark.parametrize("seed", [-1, 1.5, "zero", [1, 2]])
def test_refuses_a_seed_that_is_no_integer(seed, points):
    with pytest.raises(
        (TypeError, ValueError), match="`seed` is a non-negative integer"
    ):
        points.sample_noise(1, seed)


@pytest.mark.parametrize("batch_size", [0, -1, 2.0, "3", None])
def test_refuses_a_batch_size_below_one(batch_size, points):
    with pytest.raises((TypeError, ValueError), match="`batch_size` must"):
        points.sample_noise(batch_size)


def test_inputs_drawn_on_the_device_are_tensors_throughout():
    generator = generators.MLP(2, hidden_dims=(4,), num_classes=3)
    seed = keras.random.SeedGenerator(0)
    inputs = generator.sample_inputs(4, labels=[2, 1, 0, 2], seed=seed)
    assert all(keras.ops.is_tensor(value) for value in inputs.values())
    assert numpy(inputs["labels"]).tolist() == [2, 1, 0, 2]
    assert generator(inputs).shape == (4, 2)

import math

import numpy as np
import pytest

from keras_drift import DriftModel
from keras_drift import callbacks
from keras_drift import datasets
from keras_drift import drifts
from keras_drift import generators
from keras_drift import kernels
from keras_drift import spectral


def plan_of(**options):
    options = {"k_min": 0.5, "k_max": 20.0, **options}
    return spectral.plan_training(num_steps=1000, verbose=False, **options)


@pytest.mark.parametrize("kernel", ["gaussian", "laplacian", "matern"])
def test_the_ends_are_where_the_outermost_modes_decay_fastest(kernel):
    plan = plan_of(kernel=kernel, dim=2)
    at_end = float(plan.schedule(1000)) * np.array([1.0, 0.25])
    for width, k in ((plan.schedule.initial, 0.5), (at_end.min(), 20.0)):
        rates = [
            float(
                spectral.dispersion(
                    plan.kernel.from_config(
                        {
                            **plan.kernel.get_config(),
                            "bandwidth": width * factor,
                        }
                    ),
                    k,
                    dim=2,
                )
            )
            for factor in (0.9, 1.0, 1.1)
        ]
        assert max(rates) == rates[1]


def test_a_gaussian_in_closed_form():
    # `u^2 exp(-u^2 / 2)` is largest at the square root of two.
    plan = plan_of(ratios=1.0)
    np.testing.assert_allclose(plan.schedule.initial, 2**0.5 / 0.5, rtol=2e-3)
    np.testing.assert_allclose(plan.schedule.final, 2**0.5 / 20, rtol=2e-3)


def test_most_of_the_steps_are_annealed_at_a_constant_rate():
    plan = plan_of()
    widths = [float(plan.schedule(step)) for step in (0, 300, 600, 601, 1000)]
    np.testing.assert_allclose(widths[1] ** 2, widths[0] * widths[2], rtol=1e-4)
    assert widths[2:] == pytest.approx([plan.schedule.final] * 3)
    assert plan.num_steps == 1000


def test_bandwidths_keep_their_ratios():
    plan = plan_of(ratios=[0.1, 1.0, 0.5])
    widths = plan.kernel.initial_bandwidth
    np.testing.assert_allclose(widths / widths[0], [1.0, 0.5, 0.1], rtol=1e-6)
    assert widths[0] == pytest.approx(plan.schedule.initial)


def test_data_set_the_unit():
    data = datasets.spirals(500, seed=0)
    plan = spectral.plan_training(data, 100, verbose=False)
    tenfold = spectral.plan_training(10 * data, 100, verbose=False)
    np.testing.assert_allclose(
        tenfold.kernel.initial_bandwidth,
        10 * plan.kernel.initial_bandwidth,
        rtol=1e-5,
    )
    assert tenfold.schedule.rate == pytest.approx(plan.schedule.rate)
    relative = spectral.plan_training(data, 100, verbose=False, relative=True)
    unit = plan.schedule.final / relative.schedule.final
    assert plan.schedule.initial / relative.schedule.initial == (
        pytest.approx(unit)
    )
    assert f"mean distance of two samples, {unit:.3g}" in str(relative)


def test_a_narrow_range_leaves_nothing_to_anneal():
    plan = plan_of(k_min=1.0, k_max=1.0)
    widths = {float(plan.schedule(step)) for step in (0, 10, 999)}
    np.testing.assert_allclose(list(widths), plan.schedule.initial, rtol=1e-5)
    assert math.isfinite(plan.schedule.rate)


@pytest.mark.parametrize("relative", [False, True])
def test_sets_the_bandwidth_under_fit(relative):
    data = datasets.two_moons(64, seed=0)
    plan = spectral.plan_training(data, 4, verbose=False, relative=relative)
    drift = drifts.KernelDrift(plan.kernel, relative=relative)
    model = DriftModel(generators.MLP(2, hidden_dims=(4,)), drift)
    model.compile("sgd")
    model.fit(
        data,
        batch_size=32,
        epochs=2,
        verbose=0,
        callbacks=[callbacks.BandwidthAnnealing(plan)],
    )
    expected = plan.schedule.final * np.array([1.0, 0.25])
    np.testing.assert_allclose(drift.bandwidth.numpy(), expected, rtol=1e-5)
    other = drifts.KernelDrift(plan.kernel, relative=not relative)
    with pytest.raises(ValueError, match="different units"):
        DriftModel(model.generator, other, bandwidth_schedule=plan)


def test_says_what_it_chose(capsys):
    plan = spectral.plan_training(num_steps=10, k_min=1.0, k_max=8.0)
    assert capsys.readouterr().out == f"{plan}\n"
    plan_of()
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"num_steps": None}, TypeError, "num_steps=None"),
        ({"num_steps": 1}, ValueError, "num_steps=1"),
        ({"num_steps": 9.5}, TypeError, r"num_steps=9\.5"),
        ({"k_min": None}, ValueError, "data=None"),
        ({"relative": True}, ValueError, "Pass `data`"),
        ({"relative": "no"}, TypeError, "relative='no'"),
        ({"ratios": (0.5, 0.25)}, ValueError, r"ratios=\(0\.5, 0\.25\)"),
        ({"ratios": (1.0, 0.0)}, ValueError, "positive"),
        ({"ratios": "wide"}, TypeError, "ratios='wide'"),
        ({"kernel": "von_mises_fisher"}, ValueError, "spherical"),
    ],
)
def test_refuses_what_it_cannot_use(options, error, message):
    defaults = {"num_steps": 10, "k_min": 1.0, "k_max": 2.0, "verbose": False}
    with pytest.raises(error, match=message):
        spectral.plan_training(**{**defaults, **options})


def test_images_are_planned_for_a_gaussian():
    images = np.random.default_rng(0).normal(size=(50, 3, 40, 40))
    plan = spectral.plan_training(images, 100, verbose=False)
    assert 0 < plan.schedule.final <= plan.schedule.initial


@pytest.mark.parametrize(
    "kernel",
    [
        kernels.Gaussian(1.0),
        kernels.Gaussian([1.0, 0.5]),
        kernels.Laplacian([1.0, 0.25]),
    ],
    ids=["one bandwidth", "other ratios", "other kernel"],
)
def test_a_plan_is_for_its_own_kernel(kernel):
    model = DriftModel(
        generators.MLP(2, hidden_dims=(4,)), drifts.KernelDrift(kernel)
    )
    annealing = callbacks.BandwidthAnnealing(plan_of())
    with pytest.raises(ValueError, match=r"KernelDrift\(plan.kernel\)"):
        annealing.set_model(model)


def test_the_scale_of_the_bandwidths_is_that_of_the_schedule():
    kernel = kernels.Gaussian([4.0, 1.0])
    model = DriftModel(
        generators.MLP(2, hidden_dims=(4,)), drifts.KernelDrift(kernel)
    )
    callbacks.BandwidthAnnealing(plan_of()).set_model(model)


def test_every_kernel_of_a_plan_is_new():
    plan = plan_of()
    trained = plan.kernel
    trained.bandwidth.assign([0.1, 0.1])
    assert float(plan.kernel.bandwidth[0]) == pytest.approx(
        plan.schedule.initial
    )


def test_says_that_nothing_is_annealed():
    assert "Stay at bandwidths" in str(plan_of(ratios=(1.0, 0.001)))
    assert "Start at bandwidths" in str(plan_of())


def test_constant_coordinates_have_no_frequencies():
    data = np.random.default_rng(0).normal(size=(300, 2))
    padded = np.concatenate([data, np.ones((300, 3))], axis=1)
    plans = [
        spectral.plan_training(each, 10, verbose=False, dim=2)
        for each in (data, padded)
    ]
    assert plans[0].k_max == plans[1].k_max


def test_a_data_set_of_batches_is_no_array_of_samples():
    batches = datasets.ArrayDataset(np.zeros((20, 2), "float32"), batch_size=5)
    with pytest.raises(TypeError, match="data=ArrayDataset"):
        spectral.plan_training(batches, 10)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "from the data; the finest by their power spectrum"),
        ({"k_max": 99.0}, "the coarsest from the data, the finest as given"),
        ({"k_min": 0.01}, "the coarsest as given, the finest by their power"),
        ({"k_min": 0.01, "k_max": 99.0}, "(as given)"),
    ],
)
def test_says_where_each_end_of_the_range_comes_from(given, words):
    data = datasets.spirals(500, seed=0)
    plan = spectral.plan_training(data, 100, verbose=False, **given)
    assert words in str(plan)


PLANS = [
    spectral.plan_annealing,
    spectral.plan_bandwidths,
    spectral.plan_training,
]


@pytest.mark.parametrize("plan", PLANS)
def test_a_frequency_is_no_positional_argument(plan):
    data = datasets.spirals(100, seed=0)
    with pytest.raises(TypeError, match="positional argument"):
        plan(data, 3000, 1.0)


@pytest.mark.parametrize("plan", PLANS[:2])
def test_a_number_of_steps_is_not_taken_for_a_frequency(plan):
    with pytest.raises(TypeError, match="positional argument"):
        plan(datasets.spirals(100, seed=0), 3000)


@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize("seed", [-1, "zero", 0.5])
def test_names_a_wrong_seed(plan, seed):
    options = {"num_steps": 9} if plan is spectral.plan_training else {}
    with pytest.raises((TypeError, ValueError), match=f"seed={seed!r}"):
        plan(datasets.spirals(100, seed=0), seed=seed, **options)


def test_says_what_to_do_in_too_many_dimensions():
    data = np.random.default_rng(0).normal(size=(50, 3000))
    with pytest.raises(ValueError, match=r"Use a `Gaussian`.*dim=3000"):
        spectral.plan_annealing(data, kernel="laplacian", verbose=False)


@pytest.mark.parametrize("kernel", ["laplacian", "matern"])
def test_the_fastest_mode_in_closed_form(kernel):
    # `t (1 + t)^-(nu + 1 + d / 2)` is largest at `t = 1 / (nu + d / 2)`.
    nu = {"laplacian": 0.5, "matern": 1.5}[kernel]
    for dim in (1, 2, 40, 3000):
        plan = plan_of(kernel=kernel, dim=dim)
        expected = (2 * nu / (nu + dim / 2)) ** 0.5 / 0.5
        assert plan.schedule.initial == pytest.approx(expected, rel=2e-3)


@pytest.mark.parametrize("plan", ["training", "bandwidths", "annealing"])
def test_constant_coordinates_change_no_plan(plan):
    """They raised the dimension, and narrowed the bandwidths by a half."""
    samples = np.random.default_rng(0).normal(size=(200, 2))
    padded = np.concatenate([samples, np.full((200, 4), 3.0)], axis=1)

    def kernel_of(data):
        if plan == "training":
            return spectral.plan_training(
                data, 100, kernel="laplacian", verbose=False
            ).schedule.initial
        if plan == "bandwidths":
            found = spectral.plan_bandwidths(
                data, kernel="laplacian", verbose=False
            )
            return found.kernel.initial_bandwidth
        found = spectral.plan_annealing(data, kernel="laplacian", verbose=False)
        return found.schedule.initial

    np.testing.assert_allclose(kernel_of(padded), kernel_of(samples), rtol=1e-6)

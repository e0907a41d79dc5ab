"""Runs the examples, the guides and the README as a user would."""

import itertools
import json
import pathlib
import re
import runpy
import sys
import zipfile
from importlib.util import find_spec

import keras
import numpy as np
import pytest
from PIL import Image

import keras_drift
from keras_drift.presets import registry
from tiny_autoencoder import TinyAutoencoder
from turns import beside_torch_on
from turns import in_turn

ROOT = pathlib.Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "examples"))

import small_images  # noqa: E402

GUIDES = ROOT / "guides"
TWO_TOYS = ("spirals", "two_moons")


def run(monkeypatch, folder, script, *arguments):
    monkeypatch.chdir(folder)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    monkeypatch.setenv("KERAS_DRIFT_QUICK", "1")
    monkeypatch.setattr(sys, "argv", [script, *arguments])
    runpy.run_path(str(ROOT / script), run_name="__main__")
    import matplotlib.pyplot as plt  # not before `MPLBACKEND` is set

    plt.close("all")  # guides leave them open, and notebooks show them


@beside_torch_on("jax")
def test_digits_example_generates_measures_and_saves(monkeypatch, tmp_path):
    digits = keras_drift.datasets.digits
    monkeypatch.setattr(
        keras_drift.datasets,
        "digits",
        lambda split: [array[:300] for array in digits(split)],
    )
    run(
        monkeypatch,
        tmp_path,
        "examples/digits.py",
        "--epochs=1",
        "--steps-per-epoch=2",
    )
    output = tmp_path / "outputs/digits"
    assert (output / "digits.png").exists()
    assert (output / "epochs/epoch_0001.png").exists()
    numbers = json.loads((output / "numbers.json").read_text())
    assert 0 <= numbers["real_classifier_on_generated_digits"] <= 1
    model = keras_drift.DriftModel.from_preset(output / "preset")
    assert model.generate(labels=[3], seed=0).shape == (1, 8, 8, 1)


@pytest.fixture
def few_images(monkeypatch):
    """Classifiers train on 16 images, and groups have 4 positives at first."""
    train_classifier, train = small_images.train_classifier, small_images.train

    def on_few_images(model, images, labels, *args, **options):
        return train_classifier(
            model, images[:16], labels[:16], *args, **options
        )

    def on_small_groups(model, images, labels, steps, _, *args, **options):
        return train(model, images, labels, steps, 4, *args, **options)

    monkeypatch.setattr(small_images, "train_classifier", on_few_images)
    monkeypatch.setattr(small_images, "train", on_small_groups)


@pytest.fixture
def mnist_like(tmp_path):
    """The path of a file like that of MNIST: 200 images, 20 of each class."""
    rng = np.random.default_rng(0)
    images = rng.integers(256, size=(200, 28, 28), dtype="uint8")
    labels = (np.arange(200) % 10).astype("uint8")
    path = tmp_path / "mnist.npz"
    np.savez(path, x=images, y=labels)
    return path


MNIST = ("--steps=2", "--classifier-epochs=1")


@beside_torch_on("torch")
@pytest.mark.usefixtures("few_images")
def test_mnist_example_generates_measures_and_saves(
    monkeypatch, tmp_path, mnist_like
):
    script = "examples/train_mnist.py"
    run(monkeypatch, tmp_path, script, *MNIST, f"--data={mnist_like}")
    output = tmp_path / "outputs/mnist"
    assert (output / "mnist.png").exists()
    # One with the first number of positives, one with the second.
    epochs = sorted(path.name for path in (output / "epochs").iterdir())
    assert epochs == ["epoch_0001.png", "epoch_0002.png"]
    numbers = json.loads((output / "numbers.json").read_text())
    assert 0 <= numbers["real_classifier_on_generated_digits"] <= 1
    assert numbers["frechet_distance"] > 0
    model = keras_drift.DriftModel.from_preset(output / "preset")
    assert model.generate(labels=[3], seed=0).shape == (1, 28, 28, 1)

    # One with other arguments is not mixed with it.
    with pytest.raises(SystemExit):
        run(monkeypatch, tmp_path, script, "--steps=3", f"--data={mnist_like}")

    # A run that ended is not trained again.
    before = model.generator.get_weights()
    run(monkeypatch, tmp_path, script, *MNIST, f"--data={mnist_like}")
    model = keras_drift.DriftModel.from_preset(output / "preset")
    for one, two in zip(before, model.generator.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


@pytest.fixture
def cifar_like(tmp_path):
    """A folder like that of CIFAR-10: 5 images of each class, twice."""
    rng = np.random.default_rng(0)
    for part, label in itertools.product(("train", "test"), range(10)):
        folder = tmp_path / "data" / part / f"class_{label}"
        folder.mkdir(parents=True)
        for index in range(5):
            image = rng.integers(256, size=(32, 32, 3), dtype="uint8")
            Image.fromarray(image).save(folder / f"{index}.png")
    return tmp_path / "data"


@beside_torch_on("torch")
@pytest.mark.usefixtures("few_images")
@pytest.mark.filterwarnings("ignore:The covariance of 192 features")
def test_cifar10_example_generates_measures_and_saves(
    monkeypatch, tmp_path, cifar_like
):
    script = "examples/train_cifar10.py"
    options = ("--steps=2", "--classifier-epochs=1", "--samples=20")
    run(monkeypatch, tmp_path, script, *options, f"--data={cifar_like}")
    output = tmp_path / "outputs/cifar10"
    assert (output / "cifar10.png").exists()
    assert (output / "guidance.png").exists()
    numbers = json.loads((output / "numbers.json").read_text())
    scales = [row["guidance"] for row in numbers["by_guidance"]]
    assert scales == [1.0, 1.5, 2.0, 2.5, 3.0, 4.0]
    assert numbers["frechet_distance"] == min(
        row["frechet_distance"] for row in numbers["by_guidance"]
    )
    model = keras_drift.DriftModel.from_preset(output / "preset")
    images = model.generate(labels=[3], guidance=2.0, seed=0)
    assert images.shape == (1, 32, 32, 3)
    assert np.abs(images).max() <= 1


def test_normalization_becomes_part_of_convolutions():
    example = runpy.run_path(str(ROOT / "examples/train_cifar10.py"))
    classifier = example["encoder_classifier"]("float32")
    rng = np.random.default_rng(0)
    for layer in classifier.layers:  # as if trained
        if isinstance(layer, keras.layers.BatchNormalization):
            shapes = [weight.shape for weight in layer.get_weights()]
            layer.set_weights([rng.uniform(0.5, 2.0, s) for s in shapes])
    images = rng.uniform(-1, 1, size=(2, 32, 32, 3)).astype("float32")
    folded = example["without_normalization"](classifier, "float32")
    found = folded(images)
    names = ("stage_0", "stage_1", "stage_2", "vector")
    outputs = {name: classifier.get_layer(name).output for name in names}
    expected = keras.Model(classifier.input, outputs)(images)
    for name in names:
        one, two = (
            keras.ops.convert_to_numpy(x[name]) for x in (found, expected)
        )
        np.testing.assert_allclose(
            one, two, rtol=1e-4, atol=1e-4 * np.abs(two).max()
        )


def test_contrast_gives_components_the_variances_of_the_data():
    example = runpy.run_path(str(ROOT / "examples/train_cifar10.py"))
    rng = np.random.default_rng(0)
    data = rng.normal(size=(50, 4)) @ rng.normal(size=(4, 12)) + 1.0
    components = small_images.principal_components(data, 4)
    drawn = rng.normal(size=(30, 4)) * [0.2, 0.5, 1.0, 0.1] + 0.3
    images = drawn @ components[0] + components[1]
    matrix, mean = example["with_contrast"](components, images, power=1.0)
    found = drawn @ matrix + mean
    np.testing.assert_allclose(found.mean(0), images.mean(0))
    coefficients = (found - data.mean(0)) @ np.linalg.pinv(components[0])
    np.testing.assert_allclose(coefficients.std(0), np.ones(4))
    same = example["with_contrast"](components, images, power=0.0)
    for one, two in zip(same, components, strict=True):
        np.testing.assert_allclose(one, two)


def test_principal_components_reproduce_images_and_covariance():
    rng = np.random.default_rng(0)
    # Of rank 5, so that no variance is outside of the components.
    images = rng.normal(size=(40, 5)) @ rng.normal(size=(5, 784)) + 2.0
    scaled, mean = small_images.principal_components(images, 256)
    np.testing.assert_allclose(mean, images.mean(0))
    np.testing.assert_allclose(
        scaled.T @ scaled, np.cov(images, rowvar=False), atol=1e-8
    )


def test_contrast_is_found_again():
    example = runpy.run_path(str(ROOT / "examples/train_mnist.py"))
    generated = np.random.default_rng(0).uniform(-1.2, 1.0, size=(50, 784))
    gain, threshold = 1.6, 0.2  # as a fraction of the range from -1 to 1
    images = np.clip((generated + 1 - 2 * threshold) * gain - 1, -1, 1)
    found = example["contrast_of"](generated, images)
    np.testing.assert_allclose(found, (1.6, -0.04))
    plain = np.clip(generated, -1, 1)
    np.testing.assert_allclose(
        example["contrast_of"](generated, plain), (1.0, 0.0), atol=1e-12
    )


def test_nearest_class_is_that_of_the_nearest_image():
    rng = np.random.default_rng(0)
    images, references = rng.normal(size=(2, 30, 28, 28, 1))
    references[:10] *= 3.0  # long ones are near to nothing
    labels = rng.integers(10, size=30)
    expected = [
        labels[np.argmin([np.linalg.norm(x - y) for y in references])]
        for x in images
    ]
    found = small_images.nearest_class(images, references, labels)
    np.testing.assert_array_equal(found, expected)


def test_images_are_shifted_by_up_to_two_pixels_and_padded_with_paper():
    example = runpy.run_path(str(ROOT / "examples/train_mnist.py"))
    shifted = example["shifted_digits"]
    image = np.full((28, 28, 1), -1.0)
    image[2:26, 2:26] = np.random.default_rng(0).uniform(size=(24, 24, 1))
    shifts = {
        np.roll(image, shift, (0, 1)).tobytes()
        for shift in itertools.product(range(-2, 3), repeat=2)
    }
    images = np.repeat(image[None], 400, axis=0)
    found = shifted(images, np.random.default_rng(0))
    assert found.shape == images.shape
    assert {np.ascontiguousarray(one).tobytes() for one in found} == shifts


@pytest.mark.parametrize("toy", in_turn(["spirals", "all"]))
def test_toy_example_generates_and_measures(monkeypatch, tmp_path, toy):
    if toy == "all":
        toys = {key: keras_drift.datasets.TOYS[key] for key in TWO_TOYS}
        monkeypatch.setattr(keras_drift.datasets, "TOYS", toys)
    run(
        monkeypatch,
        tmp_path,
        "examples/toy_2d.py",
        f"--toy={toy}",
        "--epochs=1",
        "--steps-per-epoch=2",
        "--num-samples=100",
    )
    output = tmp_path / "outputs/toy_2d"
    assert (output / f"{toy}.png").exists()
    numbers = json.loads((output / "spirals.json").read_text())
    assert numbers["sliced_wasserstein_over_floor"] > 0
    assert numbers["precision_over_floor"] > 0
    assert 0 <= numbers["coverage"] <= 1


@pytest.mark.parametrize(
    "guide",
    in_turn(sorted((p.name for p in GUIDES.glob("*.py")), reverse=True)),
)
def test_guide_runs(monkeypatch, tmp_path, guide):
    if guide == "guidance.py" and not find_spec("torch_fidelity"):
        pytest.skip("needs torch-fidelity, which `make test` installs")
    monkeypatch.delenv("KERAS_DRIFT_PRESET", raising=False)
    run(monkeypatch, tmp_path, f"guides/{guide}")
    assert list((tmp_path / "outputs/guides").glob("*.png"))


def test_guide_draws_from_an_official_preset_that_is_named(
    monkeypatch, tmp_path
):
    name = "drift_l2_latent_imagenet256"
    generator = keras_drift.generators.DiT(
        image_shape=(8, 8, 4), num_classes=1000, hidden_dim=8, depth=1
    )
    keras_drift.DriftModel(
        generator,
        guidance_sampler=keras_drift.PowerLawGuidance(),
        autoencoder=TinyAutoencoder(),
    ).save_to_preset(tmp_path / "cache" / name)
    monkeypatch.setenv("KERAS_DRIFT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("KERAS_DRIFT_PRESET", name)
    run(monkeypatch, tmp_path, "guides/draw_images_from_official_weights.py")
    samples = np.load(tmp_path / "outputs/guides/official_samples.npy")
    assert samples.shape == (4, 8, 8, 4)


# Sizes for which a script runs in seconds.
COMPARISON = ["--steps=3", "--toys=two_moons", "--drifts=sinkhorn"]
REPRODUCTIONS = {
    "compare_methods.py": [
        "--seconds=0.1",
        "--num-samples=200",
        "--toy=two_moons",
        "--cpu-time",
    ],
    "compare_drifts.py": COMPARISON,
    "generator_lag.py": ["--steps=4", "--train-steps=20", "--frequencies=2"],
    "ladder_against_annealing.py": [
        "--particles=96",
        "--modes=8",
        "--steps=400",
    ],
    "score_identity.py": ["--seeds=1", "--sizes", "200", "400"],
    "sinkhorn_modes.py": ["--steps=3", "--samples=500"],
    "spectral_bottleneck.py": ["--particles=96", "--modes=14", "--steps=800"],
    "stop_gradient.py": ["--steps=8"],
}


@pytest.mark.slow
@pytest.mark.parametrize(
    "script",
    sorted(
        path.name
        for path in (ROOT / "examples/reproduce").glob("*.py")
        if path.name not in ("common.py", "peers.py")
    ),
)
def test_reproduction_runs(monkeypatch, tmp_path, script):
    monkeypatch.syspath_prepend(str(ROOT / "examples/reproduce"))
    arguments = REPRODUCTIONS[script]
    run(monkeypatch, tmp_path, f"examples/reproduce/{script}", *arguments)
    output = tmp_path / "outputs/reproduce"
    name = pathlib.Path(script).stem
    assert (output / f"{name}.png").exists()
    numbers = json.loads((output / f"{name}.json").read_text())
    assert numbers["backend"] == keras.backend.backend()


@pytest.mark.slow
def test_comparison_of_drifts_keeps_results_of_the_same_settings(
    monkeypatch, tmp_path
):
    monkeypatch.syspath_prepend(str(ROOT / "examples/reproduce"))
    script = "examples/reproduce/compare_drifts.py"
    output = tmp_path / "outputs/reproduce"
    run(monkeypatch, tmp_path, script, *COMPARISON)
    kept = output / "compare_drifts/sinkhorn-two_moons.json"
    numbers = json.loads(kept.read_text())
    assert {"precision", "recall", "sliced_wasserstein"} <= set(numbers)
    kept.write_text(json.dumps({**numbers, "precision": -1.0}))

    def precision(steps):
        run(monkeypatch, tmp_path, script, *COMPARISON[1:], f"--steps={steps}")
        found = json.loads((output / "compare_drifts.json").read_text())
        return found["sinkhorn"]["two_moons"]["precision"]

    assert precision(steps=3) == -1.0  # from the file
    assert precision(steps=2) > 0  # trained: the file is of other settings


@beside_torch_on("jax")
def test_code_of_the_readme_runs_and_holds(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(
        r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL
    )
    assert len(blocks) >= 3
    for block in blocks:
        exec(compile(block, "README.md", "exec"), {})


def built_in_model(name, max_bytes):
    """A model of this package, and what its card says."""
    folder = pathlib.Path(keras_drift.__file__).parent / "presets" / name
    assert sum(path.stat().st_size for path in folder.iterdir()) <= max_bytes
    metadata = keras_drift.DriftModel.presets[name]
    assert {"description", "training_data", "license"} <= set(metadata)
    return keras_drift.DriftModel.from_preset(name), metadata["metrics"]


@beside_torch_on("tensorflow")
def test_digits_preset_is_as_good_as_it_says():
    model, metrics = built_in_model("digits_dit", 2_000_000)
    example = runpy.run_path(str(ROOT / "examples/digits.py"))
    digits = keras_drift.datasets.digits
    measured = example["measure"](model, digits("train"), digits("test"))
    key = "real_classifier_on_generated_digits"
    assert measured[key] == pytest.approx(metrics[key], abs=0.003)


@beside_torch_on("jax")
def test_mnist_preset_is_as_good_as_it_says():
    model, metrics = built_in_model("mnist_mlp", 4_000_000)
    labels = np.arange(1000) % 10
    generated = model.generate(labels=labels, seed=1)
    assert generated.min() >= -1
    assert generated.max() <= 1
    # Without noise on paper: most pixels are as white as those of MNIST.
    assert np.mean(generated < -0.9) > 0.6
    path = ROOT.parent / "shared/data/mnist10k.npz"
    if not path.exists():
        pytest.skip(f"needs the digits in {path}")
    example = runpy.run_path(str(ROOT / "examples/train_mnist.py"))
    train_set, _ = example["load"](path)
    found = small_images.nearest_class(generated, *train_set)
    key = "nearest_neighbor_accuracy"
    assert np.mean(found == labels) == pytest.approx(metrics[key], abs=0.003)


@beside_torch_on("tensorflow")
def test_cifar10_preset_is_as_good_as_it_says():
    model, metrics = built_in_model("cifar10_mlp", 8_000_000)
    labels = np.arange(1000) % 10
    generated = model.generate(labels=labels, seed=1, batch_size=500)
    assert np.abs(generated).max() <= 1
    guided = model.generate(labels=labels[:10], guidance=4.0, seed=1)
    assert np.abs(guided - generated[:10]).mean() > 0.01
    path = ROOT.parent / "shared/data/cifar10.zip"
    if not path.exists():
        pytest.skip(f"needs the images in {path}")
    images, classes = [], []
    with zipfile.ZipFile(path) as file:
        for name in sorted(file.namelist()):
            if name.startswith("train/") and name.endswith(".jpg"):
                images.append(np.asarray(Image.open(file.open(name))))
                classes.append(name.split("/")[1])
    images = np.stack(images).astype("float32") / 127.5 - 1
    classes = np.unique(classes, return_inverse=True)[1]
    found = small_images.nearest_class(generated, images, classes)
    key = "nearest_neighbor_accuracy"
    assert np.mean(found == labels) == pytest.approx(metrics[key], abs=0.003)


def test_every_preset_of_the_package_is_tested():
    names = set(keras_drift.DriftModel.presets) & set(registry.built_in_names())
    assert names == {"cifar10_mlp", "digits_dit", "mnist_mlp"}

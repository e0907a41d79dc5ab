"""The page that generates images in the browser, in headless Chromium.

It does not depend on the backend: these tests run on one.
"""

import base64
import contextlib
import io
import json

import filelock
import keras
import numpy as np
import pytest
from PIL import Image
from scipy import stats

import browse_page
import build_page
import keras_drift as kd

sync_api = pytest.importorskip(
    "playwright.sync_api", reason="needs Playwright, of the extra `test`"
)

BACKEND = "tensorflow"  # the fastest to export
AXE = build_page.HERE / "node_modules" / "axe-core" / "axe.min.js"
COLUMNS = {"one-class": 5, "all-classes": 10}
PHONE = {"width": 360, "height": 740}


def missing():
    """What these tests lack here, or an empty string."""
    if keras.backend.backend() != BACKEND:
        return f"the page is the same on every backend: tested on {BACKEND}"
    if browse_page.CHROMIUM is None:
        return "needs Chromium: `apt-get install chromium`"
    if not AXE.exists():
        return "needs packages of npm: `npm ci --prefix docs/demo`"
    return ""


pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """The built page, one for all workers."""
    shared = tmp_path_factory.getbasetemp()
    if shared.name.startswith("popen-"):  # of a worker
        shared = shared.parent
    page = shared / "page"
    with filelock.FileLock(shared / "page.lock"):
        if not page.exists():
            build_page.build(shared / "unfinished")
            (shared / "unfinished").rename(page)
    return page


@pytest.fixture(scope="module")
def address(folder):
    with browse_page.served(folder) as address:
        yield address


@pytest.fixture(scope="module")
def playwright():
    with sync_api.sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope="module")
def browser(playwright):
    browser = browse_page.launch(playwright)
    yield browser
    browser.close()


@contextlib.contextmanager
def opened(browser, address, **options):
    """Opens the page in a window of its own; nothing may go wrong in it."""
    page = browser.new_page(**options)
    errors, urls = watch(page)
    page.goto(address)
    browse_page.wait_until_ready(page)
    yield page
    page.close()
    assert errors == []
    host = address.partition("?")[0]
    assert [url for url in urls if not url.startswith(host)] == []


@pytest.fixture(scope="module")
def page(browser, address):
    """A page that tests share."""
    with opened(browser, address) as page:
        yield page


def watch(page):
    """Lists that fill with errors and with the addresses of requests."""
    errors, urls = [], []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("request", lambda request: urls.append(request.url))
    page.on("requestfailed", lambda request: errors.append(request.url))
    page.on(
        "console",
        lambda said: said.type == "error" and errors.append(said.text),
    )
    return errors, urls


def choose(page, model, label, seed, guidance=None):
    page.locator(f"#models [value={model}]").click()
    page.locator(f"#classes [value='{label}']").click()
    page.locator("#seed").fill(str(seed))
    if guidance is not None:
        page.locator("#guidance").fill(str(guidance))
    browse_page.wait_until_ready(page)


def call(page, module, name, *arguments):
    """Calls an exported function of a module of the page."""
    return page.evaluate(
        """async ([module, name, values]) => {
            const result = (await import(`./${module}`))[name](...values);
            return ArrayBuffer.isView(result) ? [...result] : result;
        }""",
        [module, name, arguments],
    )


def shown_images(page, name, shape):
    """The pixels that a canvas shows, `(n, height, width, 3)`."""
    png = page.evaluate("id => document.getElementById(id).toDataURL()", name)
    picture = Image.open(io.BytesIO(base64.b64decode(png.partition(",")[2])))
    pixels = np.array(picture, "int32")[..., :3]
    height, width, _ = pixels.shape
    gap = max(1, round(shape[1] / 12))
    columns = COLUMNS[name]
    assert width == columns * (shape[1] + gap) - gap
    rows = (height + gap) // (shape[0] + gap)
    return np.stack(
        [
            pixels[top : top + shape[0], left : left + shape[1]]
            for top in range(0, rows * (shape[0] + gap), shape[0] + gap)
            for left in range(0, width, shape[1] + gap)
        ]
    )


def generated(model, labels, guidance, noise):
    """Samples in Python of the noise."""
    count = len(labels)
    inputs = model.generator.sample_inputs(count, labels, guidance, seed=0)
    noise = np.array(noise, "float32").reshape(inputs["noise"].shape)
    samples = model.generator({**inputs, "noise": noise})
    return keras.ops.convert_to_numpy(samples)


def levels(samples):
    return np.clip((samples + 1) * 127.5, 0, 255)


def assert_shows(page, name, model, labels, guidance, seed):
    """The canvas shows what the model generates from the noise of the seed."""
    size = len(labels) * int(np.prod(model.generator.noise_shape))
    noise = call(page, "random.js", "standardNormal", seed, size)
    expected = levels(generated(model, labels, guidance, noise))
    shown = shown_images(page, name, model.image_shape)
    assert shown.shape == (len(labels), *model.image_shape[:2], 3)
    assert np.ptp(shown) > 100  # there is something to see
    # One level is 1/255; the other half is rounding.
    assert np.max(np.abs(shown - expected)) <= 1.5


@pytest.mark.parametrize(
    ("name", "label", "seed", "guidance"),
    [
        ("digits_dit", 3, 5, None),
        ("mnist_mlp", 7, 4294967295, 1.5),
        ("cifar10_mlp", 8, 6, 3.5),
    ],
)
def test_shows_the_images_of_python(page, name, label, seed, guidance):
    choose(page, name, label, seed, guidance)
    model = kd.DriftModel.from_preset(name)
    scale = guidance or 1.0
    columns = np.arange(50) % 10
    assert_shows(page, "one-class", model, [label] * 25, scale, seed)
    assert_shows(page, "all-classes", model, columns, scale, seed)
    status = page.locator("#gallery-status").inner_text()
    assert " ms, 50 of all classes in " in status
    assert "WebAssembly, 1 thread." in status
    slider = page.locator("#guidance")
    assert slider.is_enabled() == (guidance is not None)
    hint = page.locator("#guidance-hint").inner_text()
    assert ("trained for one strength" in hint) == slider.is_disabled()


@pytest.mark.parametrize(
    ("typed", "seed"),
    [("", 0), ("-3", 0), ("2.7", 2), ("1e12", 4294967295)],
)
def test_takes_any_number_for_a_seed(page, typed, seed):
    choose(page, "digits_dit", 4, typed)
    label = page.locator("#one-class").get_attribute("aria-label")
    assert label == f"25 images of class 4; seed {seed}"


def test_draws_for_scripts(page):
    model = kd.DriftModel.from_preset("digits_dit")
    labels = [3, 1, 4]
    noise = np.random.default_rng(0).standard_normal((3, 64), "float32")
    drawn = page.evaluate(
        """async ([labels, noise]) => {
            const batch = { model: "digits_dit", labels, guidance: 1, noise };
            const { samples, milliseconds } = await keras_drift.draw(batch);
            return [[...samples], milliseconds];
        }""",
        [labels, noise.ravel().tolist()],
    )
    samples = np.reshape(drawn[0], (3, 8, 8, 1))
    expected = generated(model, labels, 1.0, noise)
    np.testing.assert_allclose(samples, expected, atol=1e-4)
    assert drawn[1] > 0


@pytest.mark.slow  # a GPU computed by the CPU
def test_webgpu_shows_the_images_of_python(playwright, address):
    browser = browse_page.launch(playwright, browse_page.SOFTWARE_GPU)
    with opened(browser, f"{address}?engine=webgpu") as page:
        status = page.locator("#gallery-status").inner_text()
        assert "Engine: WebGPU." in status
        model = kd.DriftModel.from_preset("digits_dit")
        assert_shows(page, "one-class", model, [0] * 25, 1.0, seed=0)
    browser.close()


def test_another_engine_where_webgpu_fails(playwright, address):
    browser = browse_page.launch(playwright, browse_page.SOFTWARE_GPU)
    page = browser.new_page()
    page.route("**/*.jspi.wasm", lambda route: route.abort())
    errors, urls = watch(page)
    page.goto(f"{address}?engine=webgpu")
    browse_page.wait_until_ready(page)
    status = page.locator("#gallery-status").inner_text()
    browser.close()
    assert "Engine: WebAssembly" in status
    assert any(url.endswith(".jspi.wasm") for url in urls)
    assert errors  # of the file


def test_threads_where_the_page_is_isolated(browser, folder):
    with (
        browse_page.served(folder, isolated=True) as address,
        opened(browser, address) as page,
    ):
        count = min(4, page.evaluate("navigator.hardwareConcurrency"))
        status = page.locator("#gallery-status").inner_text()
        assert f"WebAssembly, {count} thread" in status


def test_says_what_does_not_load(browser, address):
    page = browser.new_page()
    page.route("**/mnist_mlp.onnx", lambda route: route.abort())
    errors, _ = watch(page)
    page.goto(address)
    choose(page, "mnist_mlp", 1, 0)
    status = page.locator("#gallery-status")
    assert "This model does not run here: " in status.inner_text()
    choose(page, "digits_dit", 1, 0)  # the others do
    assert "WebAssembly" in status.inner_text()
    page.unroute("**/mnist_mlp.onnx")
    choose(page, "mnist_mlp", 1, 0)  # and this one, once it is there
    assert "WebAssembly" in status.inner_text()
    page.route("**/models.json", lambda route: route.abort())
    page.reload()
    status.filter(has_text="The page did not start: ").wait_for()
    page.close()
    assert all("ERR_FAILED" in e or e.startswith(address) for e in errors)


def test_names_the_models_there_are(browser, page, address):
    unknown = browser.new_page()
    unknown.goto(f"{address}?model=mnist")
    said = 'did not start: No model is called "mnist". There are: digits_dit'
    unknown.locator("#gallery-status").filter(has_text=said).wait_for()
    unknown.close()
    with pytest.raises(sync_api.Error, match='No model is called "nope"'):
        page.evaluate("keras_drift.draw({ model: 'nope', labels: [1] })")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_accessible_on_a_phone(browser, address, scheme):
    options = {"color_scheme": scheme, "viewport": PHONE}
    with opened(browser, address, **options) as page:
        page.evaluate(AXE.read_text("utf-8"))
        for model in ("digits_dit", "cifar10_mlp"):  # guidance off and on
            choose(page, model, 2, 0)
            found = page.evaluate("axe.run()")
            assert [v["id"] for v in found["violations"]] == []
            assert len(found["passes"]) > 20
        assert is_dark(page) == (scheme == "dark")
        assert page.evaluate("document.documentElement.scrollWidth") == 360
        assert page.locator("#particles").evaluate("c => c.width == c.height")


def is_dark(page):
    color = page.evaluate("getComputedStyle(document.body).backgroundColor")
    return int(color.removeprefix("rgb(").partition(",")[0]) < 64


@pytest.fixture(scope="module")
def calm(browser, address):
    """A page for somebody who wants less motion, shared by tests."""
    with opened(browser, address, reduced_motion="reduce") as page:
        said = page.locator("#plane-status").inner_text()
        assert said == "Paused, as your system asks for less motion."
        yield page


def focused(page):
    """The id, or what else tells the focused element apart."""
    return page.evaluate(
        "(e => e.id || `${e.parentElement.id} ${e.value}`)"
        "(document.activeElement)"
    )


def tab_to(page, name):
    """Presses Tab until the element has the focus, which must be visible."""
    for _ in range(40):
        page.keyboard.press("Tab")
        outline = page.evaluate(
            "getComputedStyle(document.activeElement).outlineStyle"
        )
        assert outline == "solid"
        if focused(page) == name:
            return
    raise AssertionError(f"Tab does not reach {name}")


def test_images_by_keyboard(calm):
    caption = calm.locator("#one-class-caption")
    tab_to(calm, "models cifar10_mlp")
    calm.keyboard.press("Enter")
    tab_to(calm, "classes 6")
    calm.keyboard.press("Space")
    browse_page.wait_until_ready(calm)
    assert caption.inner_text() == "25 images of class frog"
    tab_to(calm, "guidance")
    calm.keyboard.press("ArrowRight")
    assert calm.locator("#guidance-value").inner_text() == "2.6"
    tab_to(calm, "seed")
    calm.keyboard.type("12")
    browse_page.wait_until_ready(calm)
    label = calm.locator("#one-class").get_attribute("aria-label")
    assert label == "25 images of class frog; seed 12"
    tab_to(calm, "another")
    calm.keyboard.press("Enter")
    browse_page.wait_until_ready(calm)
    seed = calm.locator("#seed").input_value()
    label = calm.locator("#one-class").get_attribute("aria-label")
    assert seed != "12"
    assert label == f"25 images of class frog; seed {seed}"


def test_particles_by_keyboard(calm):
    said = calm.locator("#plane-status")
    tab_to(calm, "data")
    calm.keyboard.type("Spirals")
    label = calm.locator("#particles").get_attribute("aria-label")
    assert label == "400 particles and 500 data points: Spirals"
    tab_to(calm, "kernels gaussian")
    calm.keyboard.press("Space")
    pressed = calm.locator("#kernels [aria-pressed=true]")
    assert pressed.inner_text() == "Gaussian"
    for name in ("bandwidth", "step-size"):
        before = calm.locator(f"#{name}-value").inner_text()
        tab_to(calm, name)
        calm.keyboard.press("ArrowRight")
        assert calm.locator(f"#{name}-value").inner_text() > before
    tab_to(calm, "one-step")
    calm.keyboard.press("Enter")
    norm = calm.locator("#drift-norm").inner_text()
    assert said.inner_text() == f"Paused at step 1, drift norm {norm}."
    tab_to(calm, "reset")
    calm.keyboard.press("Enter")
    assert calm.locator("#step-count").inner_text() == "0"
    tab_to(calm, "add")
    calm.keyboard.press("Enter")
    label = calm.locator("#particles").get_attribute("aria-label")
    assert label == "400 particles and 540 data points: Spirals"


def test_particles_rest_where_less_motion_is_wanted(calm):
    calm.locator("#particles").scroll_into_view_if_needed()
    assert calm.get_by_role("button", name="Run").is_visible()
    calm.wait_for_timeout(200)
    assert calm.locator("#step-count").inner_text() == "0"


def test_particles_move_where_they_are_seen(page):
    steps = page.locator("#step-count")
    page.locator("h1").scroll_into_view_if_needed()
    assert steps.inner_text() == "0"
    page.locator("#particles").scroll_into_view_if_needed()
    while int(steps.inner_text()) < 3:
        page.wait_for_timeout(50)
    page.get_by_role("button", name="Pause").click()
    stopped = steps.inner_text()
    said = page.locator("#plane-status").inner_text()
    assert said.startswith(f"Paused at step {stopped}, drift norm 0.")
    page.wait_for_timeout(200)
    assert steps.inner_text() == stopped


def test_dragging_adds_data(page):
    canvas = page.locator("#particles")
    canvas.scroll_into_view_if_needed()
    canvas.hover()
    page.mouse.down()
    page.mouse.up()
    label = canvas.get_attribute("aria-label")
    assert label == "400 particles and 504 data points: Two moons"


@pytest.mark.parametrize("kernel", ["gaussian", "laplacian"])
@pytest.mark.parametrize("bandwidth", [0.02, 0.5])
def test_particles_follow_kernel_drift(page, kernel, bandwidth):
    rng = np.random.default_rng(0)
    data = rng.normal(size=(40, 2)).astype("float32")
    far = np.array([[30.0, -20.0]])  # where a Gaussian underflows
    particles = np.concatenate([rng.normal(size=(30, 2)), far])
    particles = particles.astype("float32")
    cls = {"gaussian": kd.kernels.Gaussian, "laplacian": kd.kernels.Laplacian}
    drift = kd.drifts.KernelDrift(cls[kernel](bandwidth))
    for x in (particles, particles[:1]):  # alone, it has no negatives
        velocity = call(
            page,
            "kernel_drift.js",
            "kernelDrift",
            x.ravel().tolist(),
            data.ravel().tolist(),
            kernel,
            bandwidth,
        )
        expected = keras.ops.convert_to_numpy(drift(x, data))
        velocity = np.reshape(velocity, x.shape)
        np.testing.assert_allclose(velocity, expected, rtol=1e-5, atol=1e-5)
        norm = call(
            page, "kernel_drift.js", "driftNorm", velocity.ravel().tolist()
        )
        expected = np.sqrt(np.mean(np.sum(velocity**2, axis=1)))
        assert norm == pytest.approx(expected)


def test_particles_move_by_a_step_of_the_field(page):
    before, velocities, after = page.evaluate(
        """async () => {
            const { ParticleFlow } = await import("./particle_flow.js");
            const flow = new ParticleFlow("eight_gaussians");
            const before = [[...flow.particles], [...flow.velocities]];
            flow.step();
            return [...before, [...flow.particles]];
        }"""
    )
    expected = np.array(before) + 0.2 * np.array(velocities)
    np.testing.assert_allclose(after, expected, rtol=1e-12)


def test_toys_are_those_of_python(page):
    names = ["two_moons", "checkerboard", "spirals", "eight_gaussians"]
    options = page.locator("#data option").evaluate_all(
        "all => all.map(one => one.value)"
    )
    assert options == names
    for name in names:
        points = call(page, "toys.js", "toy", name, 2000, 3)
        points = np.reshape(points, (-1, 2)).astype("float32")
        data, other = (kd.datasets.TOYS[name](2000, seed) for seed in (0, 1))
        distance, floor = (
            float(kd.metrics.sliced_wasserstein(x, data, seed=0))
            for x in (points, other)
        )
        assert distance < 2 * floor, name


def test_noise_is_standard_normal(page):
    noise = call(page, "random.js", "standardNormal", 1, 20_000)
    assert stats.kstest(noise, "norm").pvalue > 0.01
    pairs = np.corrcoef(noise[:-1], noise[1:])[0, 1]
    assert abs(pairs) < 0.03
    again = call(page, "random.js", "standardNormal", 1, 100)
    other = call(page, "random.js", "standardNormal", 2, 100)
    assert again == noise[:100]
    assert abs(np.corrcoef(again, other)[0, 1]) < 0.3


def test_build_says_what_it_needs(tmp_path, monkeypatch):
    monkeypatch.setattr(build_page, "RUNTIME", tmp_path)
    with pytest.raises(FileNotFoundError, match="npm ci --prefix docs/demo"):
        build_page.build(tmp_path / "page")
    assert not (tmp_path / "page").exists()


def test_build_replaces_only_pages(tmp_path):
    (tmp_path / "thesis.tex").write_text("of the user")
    for folder in (tmp_path, build_page.SOURCES):
        before = sorted(folder.iterdir())
        with pytest.raises(ValueError, match="holds other files"):
            build_page.build(folder)
        assert sorted(folder.iterdir()) == before


def test_packages_are_pinned_and_name_no_registry():
    lock = (build_page.HERE / "package-lock.json").read_text("utf-8")
    assert "://" not in lock
    wanted = json.loads((build_page.HERE / "package.json").read_text("utf-8"))
    packages = json.loads(lock)["packages"]
    for kind in ("dependencies", "devDependencies"):
        for name, version in wanted[kind].items():
            assert packages[f"node_modules/{name}"]["version"] == version

"""The documentation: its pages, links, names, code and notebooks."""

import importlib.util
import inspect
import json
import os
import pathlib
import re
import subprocess
import sys
import types

import keras
import pytest

import keras_drift

ROOT = pathlib.Path(__file__).parents[1]
DOCS = ROOT / "docs"
HOOKS = DOCS / "hooks"
PAGES = sorted([*DOCS.glob("*.md"), *DOCS.glob("own/*.md")])
GUIDES = sorted((ROOT / "guides").glob("*.py"))
# All that is written in Markdown and kept in the repository.
SOURCES = [
    *PAGES,
    *GUIDES,
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    ROOT / "benchmarks/README.md",
    *sorted((ROOT / "examples").rglob("README.md")),
]
# Modules that no user imports: what they do is a method of a class, or has a
# name in the package itself.
INTERNAL = ("backend", "converters", "export", "models")
LINK = re.compile(r"\]\(([^)\s]+)\)")
CODE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")

pytest.importorskip("mkdocs", reason="needs the extra `docs`")


def hook(name):
    """The module of a file in `docs/hooks`."""
    spec = importlib.util.spec_from_file_location(name, HOOKS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def links():
    return hook("links")


@pytest.fixture(scope="module")
def reference(links):
    return links.reference  # parses the library once


@pytest.fixture(scope="module")
def configured():
    """The configuration of the site."""
    from mkdocs.config import load_config

    return load_config(str(ROOT / "mkdocs.yml"))


def public_modules(package=keras_drift):
    """The package and its modules with `__all__`, as Python sees them."""
    yield package
    for name, value in vars(package).items():
        if isinstance(value, types.ModuleType) and hasattr(value, "__all__"):
            inside = value.__name__ == f"{package.__name__}.{name}"
            if inside and name not in INTERNAL:
                yield from public_modules(value)


def public_names():
    for module in public_modules():
        names = getattr(module, "__all__", None) or [
            name
            for name, value in vars(module).items()
            if getattr(value, "__module__", "").startswith("keras_drift.")
        ]
        for name in names:
            if not isinstance(getattr(module, name), types.ModuleType):
                yield f"{module.__name__}.{name}"


def documented(path):
    """The object of a dotted path, whose file may be named like it."""
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


def test_every_public_name_has_a_page(reference):
    pages = reference.pages()
    expected = {}
    for path in public_names():
        module, _, name = path.rpartition(".")
        folder = module.removeprefix("keras_drift.")
        expected[f"reference/{folder}/{name}.md"] = path
    assert "reference/keras_drift/DriftModel.md" in expected
    assert "reference/drifts.normalizations/Dual.md" in expected
    assert {page for page in pages if "index" not in page} == set(expected)
    for page, path in expected.items():
        (identifier,) = re.findall(r"^::: (\S+)$", pages[page], re.MULTILINE)
        assert documented(identifier) is documented(path)


def test_docstrings_become_sections(reference):
    """Arguments and examples of every class are parsed as such."""
    docstrings = hook("docstrings")
    griffe = pytest.importorskip("griffe")
    for identifier in public_names():
        value = documented(identifier)
        if not callable(value):
            continue
        text = inspect.getdoc(value)
        parsed = griffe.Docstring(docstrings.in_google_style(text)).parse(
            "google", warnings=False
        )
        kinds = [section.kind.value for section in parsed]
        titles = [section.title for section in parsed]
        prose = "".join(
            section.value for section in parsed if section.kind.value == "text"
        )
        assert ("parameters" in kinds) == ("\nArgs:\n" in text), identifier
        called = "\nCall arguments:\n" in text
        assert ("Call arguments:" in titles) == called, identifier
        assert ("examples" in kinds) == ("\nExample:\n\n>>>" in text), (
            identifier
        )
        assert ">>>" not in re.sub(r"```.*?```", "", prose, flags=re.DOTALL)
        assert "\nReturns:\n" not in prose, identifier


def test_names_in_the_text_become_links(links):
    import markdown

    extension = links.NameLinkExtension()

    def converted(text):
        return markdown.markdown(text, extensions=[extension])

    for text, identifier in {
        "`DriftModel`": "keras_drift.DriftModel",
        "`kd.kernels.Laplacian([0.1])`": "keras_drift.kernels.Laplacian",
        "`DriftModel.fit(x)`": "keras_drift.DriftModel.fit",
        "`spectral.overlap`": "keras_drift.spectral.overlap.overlap",
    }.items():
        assert f'identifier="{identifier}"' in converted(text)
    # Two modules have that class; a word is no function, and code no text.
    for text in ("`SlicedWasserstein`", "`overlap`", "`x`", "    DriftModel"):
        assert "autoref" not in converted(text)


def test_every_page_is_in_the_navigation(configured):
    def paths(entries):
        for entry in entries:
            if isinstance(entry, str):
                yield entry
            else:
                for value in entry.values():
                    yield from paths(
                        [value] if isinstance(value, str) else value
                    )

    found = list(paths(configured.nav))
    expected = [str(path.relative_to(DOCS)) for path in PAGES]
    expected += [f"guides/{path.stem}.md" for path in GUIDES]
    assert sorted(found) == sorted(expected)


def targets_of(path):
    """The local files that a page links to, without anchors."""
    text = path.read_text("utf-8")
    if path.suffix == ".py":
        text = "\n".join(re.findall(r"^# (.*)$", text, re.MULTILINE))
    text = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    for target in LINK.findall(text):
        if not re.match(r"https?://", target):
            yield target.partition("#")[0]


@pytest.mark.parametrize(
    "path", SOURCES, ids=lambda path: str(path.relative_to(ROOT))
)
def test_links_lead_to_files(path, reference):
    generated = {DOCS / page for page in reference.pages()}
    generated |= {DOCS / f"guides/{guide.stem}.md" for guide in GUIDES}
    for target in targets_of(path):
        found = pathlib.Path(os.path.normpath(path.parent / target))
        assert found.exists() or found in generated, target


@pytest.mark.parametrize(
    "path",
    [path for path in SOURCES if path.name != "CHANGELOG.md"],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_names_exist(path):
    """Names with their module, such as `drifts.KernelDrift`, are real."""
    modules = {module.__name__ for module in public_modules()}
    for code in CODE.findall(path.read_text("utf-8")):
        name = re.sub(r"[(\[].*$", "", code)
        name = re.sub(r"^(kd|keras_drift)\.", "", name)
        folder, _, _ = name.partition(".")
        is_file = re.search(r"/|\.(py|json|jsonl|md|png)$", name)
        if f"keras_drift.{folder}" not in modules or is_file:
            continue
        value = keras_drift
        for part in name.split("."):
            assert hasattr(value, part), code
            value = getattr(value, part)


def blocks_of(path):
    return re.findall(r"```python\n(.*?)```", path.read_text(), re.DOTALL)


@pytest.mark.parametrize(
    "path",
    [path for path in PAGES if path.name != "index.md" and blocks_of(path)],
    ids=lambda path: str(path.relative_to(DOCS)),
)
def test_code_of_a_page_runs_and_holds(monkeypatch, tmp_path, path):
    monkeypatch.chdir(tmp_path)
    policy = keras.config.dtype_policy()
    for block in blocks_of(path):
        exec(compile(block, path.name, "exec"), {"__name__": "page"})
    assert keras.config.dtype_policy() == policy


def test_code_of_the_first_page_is_that_of_the_readme():
    readme = (ROOT / "README.md").read_text()  # whose code is run
    (block,) = blocks_of(DOCS / "index.md")
    assert f"```python\n{block}```" in readme


def test_page_of_a_guide_shows_what_it_prints_and_plots(tmp_path):
    v4 = pytest.importorskip("nbformat").v4
    guide = tmp_path / "small.py"
    guide.write_text("# %% [markdown]\n# # Title\n\n# %%\nprint(1)\n")
    guides = hook("guides")
    text, pictures = guides.page(guide, tmp_path)  # not executed
    assert "# Title" in text
    assert "```python\nprint(1)\n```" in text
    assert not pictures

    picture = {"image/png": "aGVsbG8=", "text/plain": "<Figure>"}
    outputs = [
        v4.new_output("stream", name="stdout", text="step 1\n"),
        v4.new_output("stream", name="stderr", text="a note\n"),
        v4.new_output("stream", name="stdout", text="step 2\n"),
        v4.new_output("execute_result", data={"text/plain": "<History>"}),
        v4.new_output("display_data", data=picture),
    ]
    cell = v4.new_code_cell("print(1)", outputs=outputs)
    executed = v4.new_notebook(cells=[cell])
    (tmp_path / "small.ipynb").write_text(v4.writes(executed))
    text, pictures = guides.page(guide, tmp_path)
    assert "    step 1\n    step 2\n" in text
    assert "a note" not in text
    assert "<History>" not in text
    ((name, content),) = pictures.items()
    assert f"({name})" in text
    assert content == b"hello"


def test_notebooks_are_those_of_the_guides():
    expected = hook("notebooks").notebooks()
    found = sorted((ROOT / "guides/notebooks").iterdir())
    assert found == sorted(expected)
    for path, text in expected.items():
        assert path.read_text() == text, "run `make notebooks`"
        first = "".join(json.loads(text)["cells"][0]["source"])
        assert '%pip install -q "keras-drift[' in first
        assert 'os.environ["KERAS_BACKEND"] = "' in first


def test_every_preset_is_listed():
    presets = hook("presets")
    page = (DOCS / "models.md").read_text()
    text = presets.on_page_markdown(page, None, None, None)
    for base in (
        keras_drift.DriftModel,
        keras_drift.generators.Generator,
        keras_drift.encoders.Encoder,
    ):
        for name, metadata in base.presets.items():
            assert f"| {name} |" in text
            assert f"`{name}`: {metadata['description']}" in text


@pytest.mark.slow
def test_site_is_built_without_warnings_and_fetches_nothing(tmp_path):
    # Guides that were not executed are pages without outputs.
    result = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--site-dir", tmp_path],
        cwd=ROOT,
        env={**os.environ, "EXECUTED_GUIDES": "none"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    for path in tmp_path.rglob("*.html"):
        loaded = re.findall(
            r'<(?:script|img|iframe|link)\b[^>]*(?:src|href)="(https?:[^"]*)',
            path.read_text(),
        )
        assert not loaded, path
    page = tmp_path / "reference/drifts/KernelDrift.html"
    assert 'id="keras_drift.drifts.KernelDrift.adapt"' in page.read_text()
    home = (tmp_path / "which_drift.html").read_text()
    assert 'href="reference/drifts/SinkhornDrift.html#' in home

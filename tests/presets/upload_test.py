"""Uploads of presets, to stand-ins of the hubs, and what is there then."""

import json
import re

import numpy as np
import pytest

import keras_drift
import small_models
from contracts import numpy
from hub_stand_in import Hub
from keras_drift import DriftModel
from keras_drift import encoders
from keras_drift import generators
from keras_drift.presets import card
from keras_drift.presets import files

pytest.importorskip("huggingface_hub")
pytest.importorskip("kagglehub")

HANDLES = {
    "hf://owner/name": "owner/name",
    "kaggle://owner/model/keras/small": "owner/model/keras/small",
}
METADATA = {
    "description": "8x8 digits | of a test.",
    "training_data": "None at all.",
    "metrics": {"frechet_distance": 12.34567, "frechet_distance_floor": 0.5},
    "measured_with": "`python measure.py`",
    "license": "Apache-2.0 (weights); CC BY 4.0 (data)",
}


@pytest.fixture
def hub(tmp_path, monkeypatch):
    return Hub(tmp_path, monkeypatch)


@pytest.fixture(scope="module")
def model():
    return small_models.image_model()


@pytest.fixture
def folder(model, tmp_path):
    model.save_to_preset(tmp_path / "mine", METADATA)
    return tmp_path / "mine"


@pytest.mark.parametrize("handle", HANDLES)
def test_uploaded_preset_is_loaded(model, hub, folder, handle):
    address = keras_drift.upload_preset(handle, folder)
    assert address.startswith("https://")
    assert address.endswith(HANDLES[handle])
    copy = DriftModel.from_preset(handle)
    np.testing.assert_array_equal(
        copy.generate(2, seed=0), model.generate(2, seed=0)
    )
    names = {path.name for path in (hub.root / HANDLES[handle]).iterdir()}
    expected = {files.CONFIG, files.METADATA, files.WEIGHTS}
    assert names == {*expected, "README.md", "samples.png"}
    # The folder is as it was.
    assert {path.name for path in folder.iterdir()} == expected


@pytest.mark.parametrize(
    ("stated", "known"),
    [
        ("Apache-2.0", "apache-2.0"),
        ("MIT (weights)", "mit"),
        ("Apache-2.0 (weights); CC BY-SA 3.0 (data)", "apache-2.0"),
        ("MIT (code); CC BY-NC 4.0 (weights)", None),
        ("MIT; not for commercial use", None),
        ("Apache-2.0 (code only)", None),
        (None, None),
    ],
)
def test_restricted_weights_are_not_published_as_free(stated, known):
    assert card.license_id({"license": stated}) == known


def test_kaggle_is_told_the_license(hub, folder):
    keras_drift.upload_preset("kaggle://owner/model/keras/small", folder)
    assert hub.uploads == [("owner/model/keras/small", "Apache 2.0")]


def test_card_has_what_one_asks_for(hub, folder):
    keras_drift.upload_preset("hf://owner/name", folder)
    text = (hub.root / "owner/name/README.md").read_text()
    assert text.startswith(
        "---\nlibrary_name: keras_drift\nlicense: apache-2.0"
    )
    for part in (
        "# name\n\n8x8 digits | of a test.",
        "![Generated samples](samples.png)",
        "None at all.",
        "| metric | value | floor |",
        "| frechet distance | 12.35 | 0.5 |",
        "Measured with: `python measure.py`",
        "- image shape: [4, 4, 1]",
        "## License\n\nApache-2.0 (weights); CC BY 4.0 (data)",
    ):
        assert part in text
    assert "frechet distance floor" not in text


def test_lines_of_the_card_run(hub, folder, capsys):
    keras_drift.upload_preset("hf://owner/name", folder)
    text = (hub.root / "owner/name/README.md").read_text()
    (lines,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert lines.count("\n") <= 10
    backend = 'os.environ["KERAS_BACKEND"] = "jax"'
    assert backend in lines
    exec(lines.replace(backend, "pass"), {})
    assert capsys.readouterr().out.startswith("(8, 4, 4, 1)")


def test_card_says_what_nobody_stated():
    text = card.text("hf://owner/name", "generators.MLP", {})
    assert text.count("Not stated.") == 4
    assert "license" not in text.partition("---\n#")[0]
    odd = {"license": 'Ask: "me"', "metrics": {"a|b": 1, "floor": 2}}
    text = card.text("hf://owner/name", "generators.MLP", odd)
    assert 'license: other\nlicense_name: "Ask: \\"me\\""' in text
    assert "| a\\|b | 1 |  |" in text
    assert "| floor | 2 |  |" in text


def test_card_of_the_folder_or_of_the_hub_stays(hub, folder):
    keras_drift.upload_preset("hf://owner/name", folder)
    there = hub.root / "owner/name/README.md"
    there.write_text("edited on the hub")
    keras_drift.upload_preset("hf://owner/name", folder)
    assert there.read_text() == "edited on the hub"
    (folder / "README.md").write_text("from the folder")
    keras_drift.upload_preset("hf://owner/name", folder)
    assert there.read_text() == "from the folder"


def test_generated_card_is_written_again(model, hub, folder, tmp_path):
    keras_drift.upload_preset("hf://owner/name", folder)
    there = hub.root / "owner/name/README.md"
    assert card.is_generated(there.read_text())
    model.save_to_preset(
        tmp_path / "new", {**METADATA, "description": "A second one."}
    )
    keras_drift.upload_preset("hf://owner/name", tmp_path / "new")
    assert "A second one." in there.read_text()
    # Downloaded, and uploaded to another place.
    copy = tmp_path / "new" / "README.md"
    copy.write_text(there.read_text())
    keras_drift.upload_preset("hf://owner/other", tmp_path / "new")
    text = (hub.root / "owner/other/README.md").read_text()
    assert 'from_preset("hf://owner/other")' in text
    assert "hf://owner/name" in copy.read_text()  # the folder is as it was


def test_edits_of_a_generated_card_stay(hub, folder):
    keras_drift.upload_preset("hf://owner/name", folder)
    there = hub.root / "owner/name/README.md"
    edited = there.read_text().replace("# name", "# My name")
    there.write_text(edited)
    keras_drift.upload_preset("hf://owner/name", folder)
    assert there.read_text() == edited
    added = card.text("hf://owner/name", "DriftModel", {}) + "More.\n"
    (folder / "README.md").write_text(added)
    keras_drift.upload_preset("hf://owner/name", folder)
    assert there.read_text() == added


def test_only_files_of_the_preset_are_uploaded(hub, folder):
    (folder / "password.txt").write_text("secret")
    (folder / "LICENSE").write_text("mine")
    keras_drift.upload_preset("hf://owner/name", folder)
    names = {path.name for path in (hub.root / "owner/name").iterdir()}
    assert "LICENSE" in names
    assert "password.txt" not in names


@pytest.mark.parametrize("name", ["LICENSE", files.WEIGHTS])
def test_links_to_elsewhere_are_not_uploaded(hub, folder, tmp_path, name):
    source = folder / name
    if source.exists():
        source.rename(tmp_path / "secret")
    else:
        (tmp_path / "secret").write_text("secret")
    source.symlink_to(tmp_path / "secret")
    with pytest.raises(ValueError, match=rf"`{name}` .* is a symbolic link"):
        keras_drift.upload_preset("hf://owner/name", folder)
    assert not hub.uploads


def test_damaged_preset_is_not_uploaded(hub, folder):
    with (folder / files.WEIGHTS).open("r+b") as file:
        file.truncate(100)
    with pytest.raises(ValueError, match="damaged"):
        keras_drift.upload_preset("hf://owner/name", folder)
    assert not hub.uploads


def test_reference_to_a_folder_is_not_uploaded(model, hub, tmp_path):
    encoder = encoders.Identity()
    encoder.build((None, 4, 4, 1))
    encoder.save_to_preset(tmp_path / "encoder")
    model.save_to_preset(tmp_path / "mine", encoder=tmp_path / "encoder")
    with pytest.raises(ValueError, match=r"not to folders.*Upload the other"):
        keras_drift.upload_preset("hf://owner/name", tmp_path / "mine")
    # Nor loaded, if somebody else has uploaded it.
    hub.add("owner/name", tmp_path / "mine")
    with pytest.raises(ValueError, match="not to folders"):
        DriftModel.from_preset("hf://owner/name")


def test_generators_are_uploaded_without_a_picture(model, hub, tmp_path):
    model.generator.save_to_preset(tmp_path / "mine")
    keras_drift.upload_preset("hf://owner/name", tmp_path / "mine")
    text = (hub.root / "owner/name/README.md").read_text()
    assert 'kd.generators.DiT.from_preset("hf://owner/name")' in text
    assert "samples.png" not in text
    copy = generators.Generator.from_preset("hf://owner/name")
    np.testing.assert_array_equal(
        numpy(copy.variables[0]), numpy(model.generator.variables[0])
    )


@pytest.mark.parametrize(
    ("uri", "match"),
    [
        ("owner/name", "is uploaded to 'hf://owner/name'"),
        ("gs://bucket/folder", "gcloud storage cp -r"),
        ("hf://owner/name@main", "Leave the revision out"),
        ("kaggle://owner/model/keras/small/3", "Leave it out"),
        ("hf://name", "A handle of the Hugging Face hub"),
    ],
)
def test_address_is_checked(hub, folder, uri, match):
    with pytest.raises(ValueError, match=match):
        keras_drift.upload_preset(uri, folder)
    assert not hub.uploads


def test_folder_is_checked(hub, tmp_path):
    with pytest.raises(ValueError, match=r"`metadata\.json` is missing"):
        keras_drift.upload_preset("hf://owner/name", tmp_path)


def test_metadata_of_every_model_has_what_lists_show():
    for name, metadata in DriftModel.presets.items():
        keys = {"description", "num_parameters", "image_shape", "metrics"}
        assert keys | {"license"} <= set(metadata), name
        assert json.dumps(metadata)

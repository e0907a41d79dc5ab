"""Artifacts become presets; the hub is a folder laid out like its cache."""

import hashlib
import json
import shutil

import keras
import numpy as np
import pytest

from contracts import numpy
from keras_drift import DriftModel
from keras_drift import encoders
from keras_drift import generators
from keras_drift.converters import official
from keras_drift.presets import handles
from keras_drift.presets import registry

pytest.importorskip("huggingface_hub")
pytest.importorskip("msgpack")

import released_artifacts as artifacts

NAME = "drift_l2_latent_imagenet256"
FOLDER = "models/gen/jax/latent_L_sota"


@pytest.fixture(scope="module")
def artifact(tmp_path_factory):
    return artifacts.write(tmp_path_factory.mktemp("release") / FOLDER)


@pytest.fixture
def hub_cache(tmp_path, monkeypatch):
    """An empty cache of the hub, and an empty one of ours, without network."""
    from huggingface_hub import constants

    monkeypatch.setenv("KERAS_DRIFT_CACHE", str(tmp_path / "ours"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return tmp_path / "hub"


@pytest.fixture(scope="module")
def loaded(artifact):
    return official.load(artifact)


def test_weights_and_arguments_are_those_of_the_artifact(loaded):
    config = loaded.generator.get_config()
    assert config["image_shape"] == [4, 4, 2]
    assert config["num_style_tokens"] == 2
    arrays = artifacts.random_arrays()
    table = numpy(loaded.generator.get_layer("positions").table)
    expected = arrays["LightningDiT_0/pos_embed"]
    np.testing.assert_array_equal(table, expected)


def test_released_model_has_its_recipe(loaded):
    sampler = loaded.guidance_sampler
    assert (sampler.low, sampler.high, sampler.power) == (1.0, 4.0, 3.0)
    assert sampler.plain_fraction == 0.5
    assert loaded.num_generated == 64
    assert [e.handle for e in loaded.encoder.missing()] == ["mae_latent_640"]
    assert loaded.encoder.include_samples
    assert loaded.autoencoder.handle == "hf://stabilityai/sd-vae-ft-mse"
    assert loaded.drift.get_config()["kernel"]["config"]["bandwidth"] == [
        0.02,
        0.05,
        0.2,
    ]
    assert type(loaded.drift.normalization).__name__ == "OfficialDual"


def test_model_of_a_run_of_the_trainer_has_no_card(tmp_path, artifact):
    run = tmp_path / "runs/mine"
    shutil.copytree(artifact, run / "params_ema")
    model = official.convert(run, tmp_path / "mine")
    assert isinstance(model.encoder, encoders.Identity)
    assert model.guidance_sampler.high == 4.0
    card = json.loads((tmp_path / "mine/metadata.json").read_text())
    assert "metrics" not in card
    assert card["source"]["step"] == 200000


def test_name_is_fetched_converted_and_cached(
    hub_cache, tmp_path, artifact, loaded, capsys
):
    artifacts.add_to_hub_cache(hub_cache, artifact, FOLDER)
    model = DriftModel.from_preset(NAME, load_autoencoder=False)
    samples = model.generate(labels=[2, 0], guidance=1.5, seed=0, decode=False)
    np.testing.assert_array_equal(
        samples,
        loaded.generate(labels=[2, 0], guidance=1.5, seed=0, decode=False),
    )
    messages = capsys.readouterr().err
    assert f"fetching {NAME}, about 1.9 GB, from https://hugg" in messages
    assert "converting" in messages
    # The second time neither the hub nor its cache is needed.
    shutil.rmtree(hub_cache)
    part = generators.DiT.from_preset(NAME)
    np.testing.assert_array_equal(
        part.get_weights()[0], model.generator.get_weights()[0]
    )
    assert not capsys.readouterr().err
    assert {path.name for path in (tmp_path / "ours").iterdir()} <= {
        NAME,
        f".{NAME}.lock",
    }


def test_card_says_where_the_weights_are_from(hub_cache, artifact):
    artifacts.add_to_hub_cache(hub_cache, artifact, FOLDER)
    folder = official.cached(NAME)
    card = json.loads((folder / "metadata.json").read_text())
    assert card["metrics"]["fid"] == 1.53
    assert card["metrics"]["fid_in_the_paper"] == 1.54
    assert card["best_guidance"] == 1.0
    assert card["license"].startswith("None stated by the release")
    assert card["num_parameters"] == sum(
        array.size for array in artifacts.random_arrays().values()
    )
    source = card["source"]
    assert source["repo_id"] == "Goodeat/drifting"
    assert source["revision"] == artifacts.COMMIT
    assert source["folder"] == FOLDER
    content = (artifact / "ema_params.msgpack").read_bytes()
    assert source["files"]["ema_params.msgpack"] == {
        "num_bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }


def test_without_network_says_what_to_do_by_hand(hub_cache, tmp_path):
    with pytest.raises(ConnectionError) as error:
        DriftModel.from_preset(NAME, load_autoencoder=False)
    message = str(error.value)
    for part in (
        f"The preset '{NAME}'",
        "about 1.9 GB, from https://huggingface.co/Goodeat/drifting/tree/main/"
        f"{FOLDER}.",
        f"hf download Goodeat/drifting --include '{FOLDER}/*' --local-dir drif",
        f"python -m keras_drift.converters.official drifting/{FOLDER} "
        f"'{tmp_path / 'ours' / NAME}'",
    ):
        assert part in message, message
    assert not (tmp_path / "ours" / NAME).exists()


def test_what_was_fetched_by_hand_is_found(hub_cache, artifact, tmp_path):
    official.main([str(artifact), str(tmp_path / "ours" / NAME)])
    model = DriftModel.from_preset(NAME, load_autoencoder=False)
    assert model.encoder.missing()[0].handle == "mae_latent_640"


@pytest.mark.parametrize("damage", ["truncated", "altered"])
def test_damaged_download_is_named_and_never_loaded(
    hub_cache, artifact, tmp_path, damage
):
    blob = artifacts.add_to_hub_cache(hub_cache, artifact, FOLDER)
    content = bytearray(blob.read_bytes())
    content[-3] ^= 1  # a weight
    blob.write_bytes(content[:-1] if damage == "truncated" else content)
    with pytest.raises(ValueError, match=r"`ema_params\.msgpack`.*truncated"):
        DriftModel.from_preset(NAME, load_autoencoder=False)
    assert not (tmp_path / "ours" / NAME).exists()


def test_encoder_is_loaded_on_demand_only(hub_cache, artifact):
    artifacts.add_to_hub_cache(hub_cache, artifact, FOLDER)
    model = DriftModel.from_preset(NAME, load_autoencoder=False)
    model.compile()
    with pytest.raises(ValueError, match=r"load_encoder=True.*mae_latent_640"):
        model.fit(np.zeros((8, 4, 4, 2), "float32"), np.zeros(8, "int32"))
    with pytest.raises(ConnectionError, match=r"'mae_latent_640'.*10\.8 GB"):
        DriftModel.from_preset(NAME, load_encoder=True, load_autoencoder=False)


def test_weights_stay_float32_under_another_policy(artifact, tmp_path):
    keras.config.set_dtype_policy("bfloat16")
    try:
        official.convert(artifact, tmp_path / "preset")
    finally:
        keras.config.set_dtype_policy("float32")
    generator = generators.DiT.from_preset(tmp_path / "preset")
    expected = artifacts.random_arrays()["LightningDiT_0/pos_embed"]
    table = numpy(generator.get_layer("positions").table)
    np.testing.assert_array_equal(table, expected)


def test_labels_and_guidance_beyond_the_training_are_refused(loaded):
    with pytest.raises(ValueError, match=r"class numbers from 0 to 2.*=3"):
        loaded.generate(labels=[0, 3], decode=False)
    with pytest.raises(ValueError, match=r"from 1\.0 to 4\.0.*guidance=7"):
        loaded.generate(labels=[0, 1], guidance=7, decode=False)


@pytest.mark.parametrize(
    ("changes", "name", "shape"),
    [
        ({"hidden_size": 16}, "LightningDiT_0/pos_embed", (1, 4, 16)),
        ({"hidden_size": 2**30}, "LightningDiT_0/pos_embed", (1, 4, 2**30)),
        ({"num_classes": 2**31}, "Embed_0/embedding", (2**31, 8)),
        ({"input_size": 2**20}, "LightningDiT_0/pos_embed", (1, 2**38, 8)),
        ({"out_channels": 3}, "FinalLayer_0/TorchLinear_1/Dense_0/", (8, 12)),
        ({"mlp_ratio": 2.0**30}, "SwiGLUFFN_0/TorchLinear_0/Dense_0/kernel", 8),
        ({"num_heads": 1}, "Attention_0/q_norm/weight", (8,)),
    ],
    ids=str,
)
def test_configuration_of_other_weights_names_array_and_shapes(
    tmp_path, changes, name, shape
):
    config = {**artifacts.TINY, **changes}
    metadata = {**artifacts.METADATA, "model_config": config}
    folder = artifacts.write(tmp_path, metadata)
    with pytest.raises(ValueError) as error:
        official.load(folder)
    message = str(error.value)
    assert name in message
    assert str(shape).strip("(),") in message
    assert ".shape=(" in message
    assert str(folder) in message


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"depth": 2**31}, "lack .*'LightningDiT_0/blocks_1/"),
        ({"noise_coords": 2**31}, "lack .*'noise_embeds_2/embedding'"),
        ({"depth": 0}, "`depth`"),
        ({"patch_size": 0}, "`patch_size`"),
        ({"hidden_size": 8.5}, "`hidden_dim`"),
        ({"hidden_size": "8"}, "`hidden_size` is '8'"),
        ({"hidden_size": 10**400}, "`hidden_size` is 1000"),
        ({"mlp_ratio": float("inf")}, "`mlp_ratio` is inf"),
        ({"depth": [[[[]]]]}, r"`depth` is \[\[\["),
        ({"use_magic": True}, "'use_magic'"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_configuration_that_could_do_harm_is_refused(
    tmp_path, changes, message
):
    config = {**artifacts.TINY, **changes}
    metadata = {**artifacts.METADATA, "model_config": config}
    folder = artifacts.write(tmp_path, metadata)
    with pytest.raises(ValueError, match=message):
        official.load(folder)


def test_encoder_of_other_weights_names_array_and_shapes(tmp_path):
    config = {"base_channels": 2**30, "in_channels": 4, "layers": [1, 1, 1, 1]}
    metadata = {"kind": "mae", "model_config": config}
    arrays = {"encoder/conv1/kernel": np.zeros((3, 3, 4, 16), "float32")}
    folder = artifacts.write(tmp_path, metadata, arrays)
    with pytest.raises(ValueError) as error:
        official.load(folder)
    message = str(error.value)
    assert "'encoder/conv1/kernel'" in message
    assert f"(3, 3, 4, {2**30})" in message
    assert "(3, 3, 4, 16)" in message


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"kind": "gen", "model_', "Unterminated|Expecting"),
        ("[" * 100_000, "recursion|nested|depth"),
        ("[]", "not hold a JSON object"),
        ('{"kind": "gen"}', "no `model_config`"),
        ('{"kind": "vae"}', "`kind` is 'vae'"),
        ('{"format": "pickle", "kind": "gen"}', "format is 'pickle'"),
        (" " * 1_000_001, "too large"),
        ("\udcff", "utf-8"),
    ],
    ids=lambda value: value[:20],
)
def test_damaged_metadata_is_named(tmp_path, content, message):
    folder = artifacts.write(tmp_path)
    path = folder / "metadata.json"
    path.write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(ValueError, match=f"`metadata.json`.*(?:{message})"):
        official.load(folder)


@pytest.mark.parametrize("name", ["metadata.json", "ema_params.msgpack"])
def test_missing_file_is_named(tmp_path, name):
    folder = artifacts.write(tmp_path)
    (folder / name).unlink()
    with pytest.raises(ValueError, match=f"`{name}` is missing"):
        official.load(folder)


def test_command_line(tmp_path, artifact, capsys):
    out = tmp_path / "preset"
    official.main([str(artifact), str(out)])
    assert f"DriftModel.from_preset({str(out)!r})" in capsys.readouterr().out
    generator = generators.DiT.from_preset(out)
    assert generator.num_classes == 3
    for arguments, message in (
        (["latent_L_soto", str(out)], "Did you mean 'latent_L_sota'"),
        ([str(artifact), NAME], "Choose another name"),
        ([str(tmp_path), str(out)], "`metadata.json` is missing"),
    ):
        with pytest.raises(SystemExit) as error:
            official.main(arguments)
        assert error.value.code == 1
        assert message in capsys.readouterr().err
    with pytest.raises(SystemExit):
        official.main(["--help"])
    assert "mae_pixel_640" in capsys.readouterr().out


def test_command_line_without_network(hub_cache, tmp_path, capsys):
    for name in ("pixel_B_sota", "drift_b16_pixel_imagenet256"):
        with pytest.raises(SystemExit):
            official.main([name, str(tmp_path / "preset")])
        message = capsys.readouterr().err
        assert "'models/gen/jax/pixel_B_sota/*'" in message
        assert str(tmp_path / "preset") in message


def test_names_are_listed_without_network(hub_cache):
    listed = DriftModel.presets
    assert set(registry.released_names()) - set(listed) == {
        "mae_latent_256",
        "mae_latent_640",
        "mae_pixel_640",
    }
    card = listed[NAME]
    assert card["num_parameters"] == 462_909_456
    assert card["image_shape"] == [256, 256, 3]
    assert "mae_latent_640" in encoders.Encoder.presets
    for name in registry.released_names():
        entry = registry.released(name)
        assert entry["metadata"]["license"].startswith("None stated")
        for handle in entry.get("training", {}).get("encoders", {}).values():
            handles.check(handle)

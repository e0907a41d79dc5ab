import pytest

from keras_drift_cli.image_training import config as configs

NAMES = sorted(path.stem for path in configs.CONFIGS.glob("*.yaml"))
SMALL = """
data: {source: drawn}
generator: {depth: 2}
training: {steps: 10, steps_per_epoch: 5, warmup_steps: 2}
"""


def load(tmp_path, text, *overrides):
    path = tmp_path / "run.yaml"
    path.write_text(text)
    return configs.load(path, [configs.parsed_override(o) for o in overrides])


@pytest.mark.parametrize("name", NAMES)
def test_every_configuration_is_valid(name):
    config = configs.load(configs.find(name))
    assert config.description
    assert config.generator is not None or config.encoder.train is not None


def test_the_published_values_are_those_of_the_release():
    small = configs.load(configs.find("latent_ablation"))
    large = configs.load(configs.find("latent_l2"))
    pixel = configs.load(configs.find("pixel_b16"))
    assert (small.training.steps, small.training.learning_rate) == (
        30_000,
        2e-4,
    )
    assert (large.generator.depth, large.generator.hidden_dim) == (24, 1024)
    assert large.training.guidance.plain_fraction == 0.5
    assert pixel.generator.patch_size == 16
    assert pixel.training.positives == 128
    assert pixel.encoder.convnext.startswith("hf://facebook/convnextv2")
    crops = {
        "pixel_b16": [0.2, 1.0],
        "pixel_l16": [0.2, 1.0],
        "latent_b2": None,  # `use_aug: false` there
        "latent_l2": None,
        "latent_ablation": None,
    }
    for name, scale in crops.items():
        config = configs.load(configs.find(name))
        assert config.training.crop_scale == scale
    encoder = configs.load(configs.find("mae_pixel_640")).encoder
    assert encoder.train.crop_scale == [0.2, 1.0]
    for config in (small, large, pixel):
        assert config.drift.bandwidths == [0.02, 0.05, 0.2]
        assert config.drift.normalization == "official_dual"


def test_defaults_and_overrides(tmp_path):
    config = load(tmp_path, SMALL, "training.learning_rate=1e-3", "seed=7")
    assert config.training.learning_rate == 1e-3
    assert config.seed == 7
    assert config.training.ema == 0.999
    assert config.latents is None


def test_what_is_dumped_is_read_again(tmp_path):
    config = load(tmp_path, SMALL)
    assert load(tmp_path, configs.dump(config)) == config


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("trainig: {}", "Did you mean `training`"),
        ("training: {learnig_rate: 1}", "Did you mean `learning_rate`"),
        ("training: {steps: many}", "`training.steps` is of type int"),
        ("training: {learning_rate: fast}", "is a number"),
        ("training: 3", "a section with keys"),
        ("data: {source: mnits}", "Did you mean `mnist`"),
        ("drift: {bandwidths: 0.2}", "list of float"),
        ("encoder: {}", "either a `preset`"),
        ("encoder: {preset: a, train: {}}", "either a `preset`"),
        ("training: {guidance: {}, unconditional: 0}", "needs"),
        ("training: {steps: 7}", "is a multiple of"),
        ("training: {warmup_steps: 10}", "is less than"),
        ("a: [", "not valid YAML"),
    ],
)
def test_an_error_says_what_to_write(tmp_path, text, message):
    section = text.partition(":")[0]
    lines = [line for line in SMALL.splitlines() if line]
    if section == "training" and "{" in text:
        inner = text.partition("{")[2].rpartition("}")[0]
        rest = "steps: 10, steps_per_epoch: 5, warmup_steps: 2"
        names = {part.partition(":")[0].strip() for part in inner.split(",")}
        kept = [p for p in rest.split(", ") if p.split(":")[0] not in names]
        text = f"training: {{{', '.join([*kept, inner])}}}"
    lines = [line for line in lines if not line.startswith(section + ":")]
    with pytest.raises(ValueError, match=message):
        load(tmp_path, "\n".join([*lines, text]))


def test_nothing_to_train_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="nothing to train"):
        load(tmp_path, "data: {source: drawn}")


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ValueError, match="Did you mean `imagenet_smoke`"):
        configs.find("imagnet_smoke")


def test_a_missing_file_is_named():
    with pytest.raises(ValueError, match=r"nowhere\.yaml"):
        configs.find("nowhere.yaml")


def test_an_override_without_a_value_is_an_error(tmp_path):
    with pytest.raises(ValueError, match=r"section\.key=value"):
        load(tmp_path, SMALL, "training.steps")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("data.source.x=1", "`data.source` is a value and has no keys"),
        ("data.path=[1", "takes a value in YAML"),
        ("data=folder", "`data` is a section"),
    ],
)
def test_wrong_overrides_are_errors_in_words(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        load(tmp_path, SMALL, text)


FOLDER = SMALL.replace("{source: drawn}", "{path: images}")


def test_images_in_files_are_kept_or_streamed(tmp_path):
    assert not load(tmp_path, SMALL).streams_images
    assert not load(tmp_path, FOLDER, "data.in_memory=true").streams_images
    assert not load(tmp_path, FOLDER, "latents={}").streams_images
    assert load(tmp_path, FOLDER, "training.banks={}").streams_images
    with pytest.raises(ValueError, match=r"in_memory.*banks.*neither"):
        load(tmp_path, FOLDER)


@pytest.mark.parametrize(
    "change",
    ["data.in_memory=true", "data.source=drawn", "latents={}"],
)
def test_banks_that_would_do_nothing_are_refused(tmp_path, change):
    with pytest.raises(ValueError, match="banks` is for images that are str"):
        load(tmp_path, FOLDER, "training.banks={}", change)


@pytest.mark.parametrize(
    ("kept", "drawn"), [("per_class", "positives"), ("overall", "uncondit")]
)
def test_banks_hold_as_many_samples_as_are_drawn(tmp_path, kept, drawn):
    with pytest.raises(ValueError, match=f"{kept}` is at least.*{drawn}"):
        load(tmp_path, FOLDER, f"training.banks.{kept}=3")


@pytest.mark.parametrize("section", ["training", "encoder.train"])
def test_random_crops_are_for_images_that_are_decoded_as_they_come(
    tmp_path, section
):
    def load_with(scale, *changes, text=FOLDER):
        banks = ["training.banks={}"] if text == FOLDER and not changes else []
        crops = f"{section}.crop_scale={scale}"
        return load(tmp_path, text, *banks, crops, *changes)

    config = load_with([0.2, 1.0])
    found = {
        "training": config.training.crop_scale,
        "encoder.train": config.encoder and config.encoder.train.crop_scale,
    }
    assert found[section] == [0.2, 1.0]
    for scale in ([0.2], [0.0, 1.0], [0.5, 0.2], [0.5, 1.5]):
        with pytest.raises(ValueError, match=f"{section}.crop_scale` is a ran"):
            load_with(scale)
    for change in ("data.in_memory=true", "latents={}"):
        with pytest.raises(ValueError, match="crop_scale` is for images that"):
            load_with([0.2, 1.0], change)
    with pytest.raises(ValueError, match="crop_scale` is for images that"):
        load_with([0.2, 1.0], text=SMALL)


TRAIN = "encoder.train={}"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("training.steps_per_epoch=0", "steps_per_epoch` is at least 1"),
        ("training.groups=-1", "groups` is at least 1"),
        ("data.held_out=1.0", "held_out` is at least 0 and less than 1"),
        ("training.ema=1.0", "ema` is at least 0 and less than 1"),
        ("training.beta_2=1.0", "beta_2` is at least 0 and less than 1"),
        ("encoder.train.ema=1.0", "train.ema` is at least 0 and less than"),
        ("training.learning_rate=.nan", "learning_rate` is finite"),
        ("drift.bandwidths=[0.1, -0.2]", "bandwidths` is finite and not neg"),
        ("training.report_samples=3", "at least 4"),
        ("evaluation.guidance=[]", "at least one scale"),
        ("evaluation.guidance=[1.0, 2.0, 1.0]", "each of them once"),
        ("data.validation_path=images", "for images in files"),
        ("encoder.train.classifier_weight=0.1", "both.*or neither"),
        ("encoder.train.classifier_steps=3000", "last ones"),
    ],
)
def test_numbers_that_make_no_sense_are_refused(tmp_path, change, message):
    with pytest.raises(ValueError, match=message):
        load(tmp_path, SMALL, TRAIN, change)

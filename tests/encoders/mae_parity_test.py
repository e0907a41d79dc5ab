"""The released encoders, with their weights, compute what they computed."""

import json

import keras
import numpy as np
import pytest
from keras import ops

import golden as golden_data
from contracts import numpy
from keras_drift import backend
from keras_drift import encoders
from keras_drift.converters import official_mae
from keras_drift.converters.artifact import Artifact

pytest.importorskip("msgpack")

LAMBDAS = (0.0, 0.3, 0.1)  # of the runs `train0`, `train1`, `train2`


def released(case, folder):
    """The metadata, the arrays and what to expect of them."""
    artifact = Artifact(golden_data.artifact(f"mae/{case}", folder))
    golden = np.load(golden_data.find(f"mae/{case}/io.npz"))
    return artifact.metadata, artifact.read_arrays(), golden


def options_of(golden):
    """The options of the second set of activations, under our names."""
    theirs = json.loads(str(golden["act_alt_kwargs"]))
    every = theirs["every_k_block"]
    return {
        "means": theirs["patch_mean_size"],
        "stds": theirs["patch_std_size"],
        "global_mean": theirs["use_mean"],
        "global_std": theirs["use_std"],
        "every_k_blocks": None if every == "inf" else every,
    }


@pytest.mark.parametrize("case", ["encoder_only_b16", "latent", "pixel"])
def test_features_are_the_released_activations(case, tmp_path):
    metadata, params, golden = released(case, tmp_path)
    config = official_mae.config_of(metadata)
    # Names follow from the options; symbolic calls compute nothing.
    samples = keras.KerasTensor(golden["x"].shape)
    for prefix, options in (("act", {}), ("act_alt", options_of(golden))):
        names = encoders.MAEResNet(**config, **options)(samples)
        assert sorted(names) == sorted(golden[f"{prefix}_keys"].tolist())
    # Values do not; so all of them come from one program.
    every = encoders.MAEResNet(
        **config, means=(2, 4, 8), stds=(2, 4), every_k_blocks=1
    )
    official_mae.assign(every, params)
    features = backend.jit(lambda x: every(x), every.variables)(golden["x"])
    for name, expected in golden.items():
        kind, _, key = name.partition("/")
        if kind in ("act", "act_alt"):
            np.testing.assert_allclose(
                numpy(features[key]),
                expected,
                atol=1e-4,
                rtol=1e-4,
                err_msg=key,
            )


class Training:
    """The released autoencoder, with one compiled step for all runs."""

    def __init__(self, case, folder):
        metadata, params, self.golden = released(case, folder)
        config = official_mae.config_of(metadata)
        heads = official_mae.autoencoder_config_of(metadata)
        self.model = encoders.MaskedAutoencoder(
            encoders.MAEResNet(**config),
            classifier_weight=lambda step: ops.take(
                ops.convert_to_tensor(LAMBDAS, "float32"), step
            ),
            **heads,
        )
        official_mae.assign(self.model, params)
        self.weights = official_mae.variables_of(self.model)
        self.before = {k: numpy(v) for k, v in self.weights.items()}
        self.model.compile(keras.optimizers.SGD(1.0))

    @property
    def runs(self):
        """The number of the runs that the golden file holds."""
        return sum(f"train{i}/loss" in self.golden for i in range(3))

    def batch(self, run):
        hidden = self.golden[f"train{run}/mask"][..., 0].astype("float32")
        side = self.model.encoder.patch_size
        hidden = np.kron(hidden, np.ones((1, side, side), "float32"))
        return {"images": self.golden["x"], "hidden": hidden[..., None]}

    def step(self, run):
        """The logs of one step, and the gradient of every weight."""
        for name, variable in self.weights.items():
            variable.assign(self.before[name])
        self.model.optimizer.iterations.assign(run)
        self.model.reset_metrics()
        logs = self.model.train_on_batch(
            self.batch(run), self.golden["labels"], return_dict=True
        )
        gradients = {
            name: self.before[name].astype("float64") - numpy(variable)
            for name, variable in self.weights.items()
        }
        return logs, gradients


@pytest.fixture(scope="module", params=["latent", "pixel"])
def training(request, tmp_path_factory):
    return Training(request.param, tmp_path_factory.mktemp("artifact"))


def test_outputs_are_the_released_ones(training):
    golden = training.golden
    assert training.runs == (3 if golden["train0/logits"].shape[1] > 11 else 2)
    side = training.model.encoder.patch_size
    for run in range(training.runs):
        outputs = training.model.predict_on_batch(training.batch(run))
        images = outputs["reconstruction"]
        assert images.shape == golden["x"].shape
        expected = unfolded(golden[f"train{run}/recon"], side)
        np.testing.assert_allclose(images, expected, atol=1e-4, rtol=1e-4)
        np.testing.assert_allclose(
            outputs["logits"],
            golden[f"train{run}/logits"],
            atol=1e-4,
            rtol=1e-4,
        )


def unfolded(patches, side):
    """Channels back to pixels: row, column, channel of a patch."""
    batch, rows, columns, dim = patches.shape
    sizes = (batch, rows, columns, side, side, dim // side**2)
    patches = patches.reshape(sizes).transpose(0, 1, 3, 2, 4, 5)
    return patches.reshape(batch, rows * side, columns * side, -1)


def test_losses_and_gradients_are_the_released_ones(training):
    golden = training.golden
    compared = 0
    for run in range(training.runs):
        logs, gradients = training.step(run)
        assert golden[f"train{run}/lambda_cls"] == np.float32(LAMBDAS[run])
        for ours, theirs in LOGS.items():
            expected = golden[f"train{run}/{theirs}"].mean()
            np.testing.assert_allclose(
                logs[ours], expected, rtol=1e-4, err_msg=theirs
            )
        norm = np.sqrt(sum(np.sum(g**2) for g in gradients.values()))
        expected = golden[f"train{run}/grad_global_norm"]
        np.testing.assert_allclose(norm, expected, rtol=5e-4)
        for name, expected in golden.items():
            prefix, _, path = name.partition("/grad/")
            if prefix == f"train{run}" and path:
                np.testing.assert_allclose(
                    gradients[path],
                    expected,
                    rtol=0,
                    atol=5e-4 * np.abs(expected).max(),
                    err_msg=path,
                )
                compared += 1
    assert compared == 6


LOGS = {
    "loss": "loss",
    "classification_loss": "cls_loss",
    "reconstruction_loss": "recon_loss",
    "accuracy": "accuracy",
    "mask_ratio": "mask_ratio",
}

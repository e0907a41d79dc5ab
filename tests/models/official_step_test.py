"""One training step of the official release, through `train_step` itself."""

import json

import keras
import numpy as np
import pytest
from keras import ops

import golden as golden_data
from contracts import numpy
from keras_drift import DriftModel
from keras_drift import PowerLawGuidance
from keras_drift import drifts
from keras_drift import encoders
from keras_drift import kernels
from keras_drift.converters import official

pytest.importorskip("msgpack")

# The variables of the generator whose arrays the release gives.
VARIABLES = {
    "condition/classes/embeddings": "Embed_0/embedding",
    "condition/guidance_norm/scale": "RMSNorm_0/weight",
    "context/embedding": "LightningDiT_0/cls_embed",
    "block_0/attention/q_norm/scale": (
        "LightningDiT_0/blocks_0/Attention_0/q_norm/weight"
    ),
    "block_0/modulation/dense/bias": (
        "LightningDiT_0/blocks_0/TorchLinear_0/Dense_0/bias"
    ),
    "block_1/feed_forward_norm/scale": (
        "LightningDiT_0/blocks_1/RMSNorm_1/weight"
    ),
    "patches/kernel": "LightningDiT_0/TorchLinear_0/Dense_0/kernel",
    "to_pixels/bias": "LightningDiT_0/FinalLayer_0/TorchLinear_1/Dense_0/bias",
    "to_pixels/kernel": (
        "LightningDiT_0/FinalLayer_0/TorchLinear_1/Dense_0/kernel"
    ),
}


class FixedGuidance(PowerLawGuidance):
    """The scales that the release drew."""

    def __init__(self, scales):
        super().__init__()
        self.scales = scales

    def sample(self, shape, seed):
        return ops.convert_to_tensor(self.scales)


class FixedNoise(DriftModel):
    """The noise that the release drew."""

    def draw_inputs(self, data, groups, count, scales):
        inputs = {
            "noise": self.golden["noise_x"],
            "styles": self.golden["noise_labels"],
            "labels": ops.repeat(data.labels, count),
            "guidance": ops.repeat(scales, count),
        }
        return {k: ops.convert_to_tensor(v) for k, v in inputs.items()}


class Recording(keras.optimizers.AdamW):
    """Keras' own optimizer; records gradients ahead of and after clipping."""

    def build(self, variables):
        super().build(variables)
        self.clipped = self.add_optimizer_variables(variables, "clipped")
        self.norm = self.add_variable((), name="norm")

    def _clip_gradients(self, grads):
        squares = [ops.sum(ops.square(grad)) for grad in grads]
        self.norm.assign(ops.sqrt(sum(squares)))
        return super()._clip_gradients(grads)

    def update_step(self, gradient, variable, learning_rate):
        self.clipped[self._get_variable_index(variable)].assign(gradient)
        super().update_step(gradient, variable, learning_rate)


class FirstZero(keras.optimizers.schedules.LearningRateSchedule):
    """A first step of size zero, then the learning rate."""

    def __init__(self, learning_rate):
        self.learning_rate = learning_rate

    def __call__(self, step):
        return ops.where(step > 0, self.learning_rate, 0.0)


def encoder_of(golden, folder):
    """The encoder with the features of the release."""
    kwargs = json.loads(str(golden["activation_kwargs"]))
    loaded = official.load(golden_data.artifact("mae/latent", folder))
    chosen = encoders.MAEResNet.from_config(
        {
            **loaded.get_config(),
            "means": kwargs["patch_mean_size"],
            "stds": kwargs["patch_std_size"],
            "global_mean": kwargs["use_mean"],
            "global_std": kwargs["use_std"],
            "every_k_blocks": kwargs["every_k_block"],
        }
    )
    chosen.set_weights(loaded.get_weights())
    return encoders.Union([chosen])


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The model after the step, its logs, and what to expect.

    The release starts the averages at the initial weights, Keras at those after
    the first step: a first step of size zero makes the two the same. The
    moments of AdamW are of two equal gradients then, and by their bias
    correction the second step is that of the release, the first from zero
    moments.
    """
    golden = np.load(golden_data.find("train_step.npz"))
    source = golden_data.find("generator/latent")
    generator = official.load(source).generator
    model = FixedNoise(
        generator,
        drifts.KernelDrift(
            kernels.Laplacian(golden["R_list"].tolist()),
            normalization="official_dual",
        ),
        encoder=encoder_of(golden, tmp_path_factory.mktemp("mae")),
        num_generated=4,
        guidance_sampler=FixedGuidance(golden["cfg"]),
    )
    model.golden = golden
    beta_1, beta_2 = golden["betas"].tolist()
    model.compile(
        Recording(
            FirstZero(float(golden["lr"])),
            weight_decay=float(golden["weight_decay"]),
            beta_1=beta_1,
            beta_2=beta_2,
            # Keras adds it ahead of the bias correction, the release after.
            epsilon=1e-8 * np.sqrt(1 - beta_2**2),
            global_clipnorm=float(golden["max_grad_norm"]),
            use_ema=True,
            ema_momentum=float(golden["ema_decay"]),
        )
    )
    data = {"positives": golden["pos"], "unconditional": golden["neg"]}
    for _ in range(2):
        logs = model.train_on_batch(data, golden["labels"], return_dict=True)
    return model, logs, golden


def test_features_are_those_of_the_release(trained):
    model, _, golden = trained
    samples = keras.KerasTensor((None, *model.generator.sample_shape))
    assert sorted(model.encoder(samples)) == golden["feature_keys"].tolist()


def test_loss_and_norms(trained):
    model, logs, golden = trained
    assert float(logs["loss"]) == pytest.approx(golden["loss"], rel=1e-4)
    norm = float(numpy(model.optimizer.norm))
    assert norm == pytest.approx(golden["g_norm"], rel=1e-3)
    # Of fields over the mean distance, for each feature and bandwidth.
    norms = np.sqrt(golden["info_loss_R"]) * golden["info_scale"][:, None]
    assert float(logs["drift_norm"]) == pytest.approx(norms.mean(), rel=1e-3)


def test_clipped_gradients(trained):
    model, _, golden = trained
    found = by_path(model, model.optimizer.clipped)
    for ours, theirs in VARIABLES.items():
        expected = golden[f"clipped_grad/{theirs}"]
        np.testing.assert_allclose(
            found[ours],
            expected,
            rtol=0,
            atol=1e-3 * np.abs(expected).max(),
            err_msg=theirs,
        )
    # The tables of all style codes are one.
    expected = golden["clipped_grad/noise_embeds_0/embedding"]
    np.testing.assert_allclose(
        found["condition/styles/embeddings"][: len(expected)],
        expected,
        rtol=0,
        atol=1e-3 * np.abs(expected).max(),
    )


@pytest.mark.parametrize("kind", ["param", "ema"])
def test_weights_and_averages_after_the_step(trained, kind):
    model, _, golden = trained
    averages = model.optimizer._model_variables_moving_average
    weights = model.trainable_variables if kind == "param" else averages
    found = by_path(model, weights)
    checked = 0
    for ours, theirs in VARIABLES.items():
        if f"new_{kind}/{theirs}" not in golden:
            continue
        checked += 1
        error = np.abs(found[ours] - golden[f"new_{kind}/{theirs}"])
        # An element of gradient 0 moves by the learning rate either way.
        assert np.mean(error <= 2e-5) >= 0.99, theirs
    assert checked == 2


def by_path(model, values):
    """Arrays by the paths of the variables of the generator."""
    return {
        variable.path: numpy(value)
        for variable, value in zip(
            model.trainable_variables, values, strict=True
        )
    }

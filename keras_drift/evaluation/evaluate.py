"""Published metrics of a model."""

from keras_drift.evaluation.evaluator import Evaluator


def evaluate(
    model,
    reference,
    num_samples=50_000,
    guidance=1.0,
    labels=None,
    seed=0,
    batch_size=64,
    features="inception",
    feature_name=None,
    inception_weights=None,
    metrics=None,
    directory=None,
    rounding="nearest",
    cache_dir=None,
    verbose=1,
):
    """FID, Inception score, KID, precision and recall of generated images.

    The metrics are those of torch-fidelity, so that they can be compared with
    published numbers, on any backend of Keras. Images are generated and mapped
    to features in batches; features are kept, images are not. With a
    `directory` an evaluation that was interrupted continues where it was.

    For a number during training, `metrics.FrechetDistance` is faster and needs
    no reference data but that of `fit`.

    Needs torch-fidelity and PyTorch: `pip install "keras-drift[eval]"`. That
    may replace the PyTorch that is installed; to keep it, install
    torch-fidelity alone: `pip install --no-deps torch-fidelity`.

    Args:
        model: `DriftModel` that generates images, of one or three channels.
            With `use_ema=True` its averaged weights are evaluated.
        reference: the data to compare with, of the size of the generated
            images: a folder of images, including its subfolders; an array
            `(n, height, width, channels)`, uint8, or float in `[-1, 1]`; or the
            path of an `.npz` file. Such a file holds `mu` and `sigma`, for the
            FID only, or images as `arr_0`, or all of them as the reference
            batches of ADM do: then the FID is that of `mu` and `sigma`.
        num_samples: int >= 1, number of samples. Published numbers are those
            of 50,000; with fewer samples the FID is higher. Defaults to
            `50_000`.
        guidance: float >= 1, the guidance scale, among those that the model was
            trained for. Defaults to `1.0`.
        labels: ints `(num_samples,)`, the class of each sample. Defaults to
            `None`: the classes in order, cyclically, as many of each.
        seed: int >= 0. The samples are the same whatever the `batch_size`, and
            the first ones do not depend on `num_samples`. Defaults to `0`.
        batch_size: int >= 1, images in one forward pass; of the generator, no
            more than 256. Defaults to `64`.
        features: what maps images to features. `"inception"` is the network of
            published numbers. The path of a `.keras` file, an encoder or its
            preset, or a Keras model takes images in `[-1, 1]` and returns
            features; a pair of features and logits; or a dict. A function takes
            uint8 images `(n, height, width, channels)` and returns features
            `(n, dim)`, or a pair of features and logits. Positions of a map are
            averaged. Defaults to `"inception"`.
        feature_name: str, the feature of an encoder, or the output of a Keras
            model, where it returns a dict. Defaults to `None`: `"features"`, or
            else the last one.
        inception_weights: path of the weights of the Inception network.
            Defaults to `None`: from the cache; if they are missing, the error
            message says how to get them.
        metrics: sequence of `"fid"`, `"inception_score"`, `"kid"` and
            `"precision_recall"`. The Inception score needs logits; KID,
            precision and recall need reference images; the last two compare all
            pairs of images. Defaults to `None`: all that can be computed.
        directory: path of an empty folder, or of the run to continue, for
            features and `metrics.json`. Another model, seed, scale or network
            is refused; more samples continue the run. Defaults to `None`:
            nothing is written.
        rounding: str, how samples become bytes. `"nearest"` is
            `clip(round(127.5 * x + 127.5), 0, 255)`. The official release of
            drifting models, like ADM, truncates instead, `"floor"`, which makes
            images half a gray level darker and changes the FID. Defaults to
            `"nearest"`.
        cache_dir: path of a folder for the statistics of reference images,
            which are found there by the content of the images and the network.
            Defaults to `None`: in the cache of this library, see
            `KERAS_DRIFT_CACHE`.
        verbose: int, `0` without progress bars. Defaults to `1`.

    Returns:
        A dict: `"fid"`, `"inception_score"`, `"inception_score_std"`, `"kid"`,
        `"kid_std"`, `"precision"` and `"recall"`, floats; `"guidance"`,
        `"num_samples"` and `"num_reference"`, `None` where a file does not say
        how many images its statistics are of. Precision and recall are those of
        the 3 nearest neighbors; the Inception score is the mean over 10 splits,
        KID over 100 subsets of 1,000 images or all there are.

    Example:

    ```python
    model = kd.DriftModel.from_preset("my_model")
    kd.evaluation.evaluate(model, "imagenet/val_256", directory="evaluation")
    ```

    Reference:

    - [Heusel et al., 2017](https://arxiv.org/abs/1706.08500), FID
    - [Salimans et al., 2016](https://arxiv.org/abs/1606.03498), Inception score
    - [Bińkowski et al., 2018](https://arxiv.org/abs/1801.01401), KID
    - [Kynkäänniemi et al., 2019](https://arxiv.org/abs/1904.06991), precision
      and recall
    """
    evaluator = Evaluator(
        model,
        reference,
        num_samples,
        labels,
        seed,
        batch_size,
        features,
        feature_name,
        inception_weights,
        metrics,
        rounding,
        cache_dir,
        verbose,
    )
    return evaluator.evaluate(guidance, directory)

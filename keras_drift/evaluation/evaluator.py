"""A reference and a network of features, prepared to evaluate models."""

import datetime

import keras

from keras_drift import checks
from keras_drift.evaluation import feature_extractor
from keras_drift.evaluation import published_metrics
from keras_drift.evaluation import reference as references
from keras_drift.evaluation.feature_shards import FeatureShards
from keras_drift.evaluation.run_directory import RunDirectory
from keras_drift.evaluation.sample_blocks import SampleBlocks
from keras_drift.version import __version__

_ARGUMENTS = "arguments.json"
_METRICS = "metrics.json"


class Evaluator:
    """Evaluates one model against one reference, at any guidance scale.

    Args:
        model: see `evaluate`, as all arguments here.
        reference: see there.
        num_samples: see there.
        labels: see there.
        seed: see there.
        batch_size: see there.
        features: see there.
        feature_name: see there.
        inception_weights: see there.
        metrics: see there.
        rounding: see there.
        cache_dir: see there.
        verbose: see there.
    """

    def __init__(
        self,
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
    ):
        checks.non_negative_integer("verbose", verbose)
        self._model = model
        self._settings = {
            "num_samples": num_samples,
            "labels": labels,
            "seed": seed,
            "batch_size": batch_size,
            "rounding": rounding,
        }
        self._verbose = verbose
        self.samples_at(1.0)  # checks the arguments
        references.require(reference)
        self._extractor = feature_extractor.resolve(
            features, feature_name, inception_weights, model.image_shape
        )
        self._reference = references.load(
            reference,
            self._extractor,
            model.image_shape,
            {
                "batch_size": batch_size,
                "cache_dir": cache_dir,
                "verbose": verbose,
            },
        )
        self.metrics = published_metrics.chosen(
            metrics,
            num_samples,
            self._extractor.num_classes is not None,
            self._reference,
        )

    def samples_at(self, guidance):
        """The `SampleBlocks` of a guidance scale, with checked arguments."""
        return SampleBlocks(self._model, guidance=guidance, **self._settings)

    def evaluate(self, guidance, directory):
        """Generates, extracts features and computes the metrics.

        Args:
            guidance: see `evaluate`.
            directory: see there.

        Returns:
            A dict, see there.
        """
        samples = self.samples_at(guidance)
        with self._model.averaged_weights():
            run = None
            if directory is not None:
                arguments = samples.arguments()
                arguments["features"] = self._extractor.fingerprint
                run = RunDirectory(directory, _ARGUMENTS, arguments)
            shards = FeatureShards(samples, self._extractor, run, self._verbose)
            features, logits = shards.extract()
        found = published_metrics.compute(
            self.metrics, features, logits, self._reference
        )
        result = {
            **found,
            "guidance": samples.guidance,
            "num_samples": samples.num_samples,
            "num_reference": self._reference.num_images,
        }
        if run is not None:
            run.write_json(_METRICS, self._report(result, arguments))
        return result

    def _report(self, result, arguments):
        """What is needed to tell one published number from another."""
        return {
            **result,
            "arguments": arguments,
            "reference": self._reference.digest,
            "backend": keras.backend.backend(),
            "keras_drift_version": __version__,
            "date": datetime.date.today().isoformat(),
        }

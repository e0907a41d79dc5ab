import pytest

from keras_drift.evaluation import evaluate
from keras_drift.evaluation import sweep_guidance
from keras_drift.evaluation.sample_blocks import SampleBlocks

OPTIONS = {"num_samples": 60, "verbose": 0}


@pytest.mark.parametrize(
    ("criterion", "choose"),
    [("fid", min), ("kid", min), ("inception_score", max), ("recall", max)],
)
def test_reports_the_best(model, network_file, data, criterion, choose):
    scales = (1.0, 3.0, 2.0)
    found = sweep_guidance(
        model, data, scales, criterion, features=network_file, **OPTIONS
    )
    assert [each["guidance"] for each in found["results"]] == list(scales)
    values = [each[criterion] for each in found["results"]]
    assert len(set(values)) > 1
    assert found["best"] == found["results"][values.index(choose(values))]


def test_every_result_is_that_of_evaluate(model, network_file, data):
    options = {**OPTIONS, "features": network_file, "seed": 2}
    found = sweep_guidance(model, data, [1.0, 1.5], **options)["results"]
    for result in found:
        expected = evaluate(model, data, guidance=result["guidance"], **options)
        assert result == expected


def test_a_sweep_continues(model, network_file, data, tmp_path, monkeypatch):
    options = {**OPTIONS, "features": network_file, "directory": tmp_path / "s"}
    first = sweep_guidance(model, data, [1.0, 1.0001], **options)
    drawn = []
    block = SampleBlocks.block

    def recorded(self, number):
        drawn.append(self.guidance)
        return block(self, number)

    monkeypatch.setattr(SampleBlocks, "block", recorded)
    second = sweep_guidance(model, data, [1.0, 1.0001, 2.0], **options)
    assert drawn == [2.0]
    assert second["results"][:2] == first["results"]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"criterion": "fld"}, ValueError, "Did you mean 'fid'"),
        ({"criterion": "recall", "metrics": ["fid"]}, ValueError, "'recall'"),
        ({"scales": []}, TypeError, r"scales=\[\]"),
        ({"scales": 2.0}, TypeError, "scales=2.0"),
        ({"scales": [1.0, 1.0]}, ValueError, "every scale once"),
        ({"scales": [1.0, 8.0]}, ValueError, "guidance=8.0"),
    ],
)
def test_bad_arguments_are_named_before_anything_is_generated(
    model, network_file, data, monkeypatch, options, error, message
):
    monkeypatch.delattr(SampleBlocks, "block")
    arguments = {"scales": [1.0, 2.0], "features": network_file, **OPTIONS}
    with pytest.raises(error, match=message):
        sweep_guidance(model, data, **{**arguments, **options})

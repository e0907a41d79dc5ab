"""What the comparison of methods counts and concludes."""

import pathlib
import runpy

import pytest

FOLDER = pathlib.Path(__file__).parents[2] / "examples" / "reproduce"


@pytest.fixture(scope="module")
def comparison():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(FOLDER)  # the scripts share modules
        patch.setenv("MPLBACKEND", "Agg")
        return runpy.run_path(str(FOLDER / "compare_methods.py"))


def test_clock_counts_steps_without_compilation_and_monitoring(comparison):
    times = iter([10.0, 12.0, 20.0, 23.0])
    clock = comparison["Clock"](lambda: next(times))
    for epoch in range(2):
        clock.on_epoch_begin(epoch)  # at 20 in the second epoch
        for batch in range(3):
            clock.on_train_batch_end(batch)  # at 10 after the first step
        clock.on_epoch_end(epoch)  # at 12 and at 23
    assert clock.seconds == 2.0 + 3.0
    assert clock.num_steps == 2 + 3
    assert clock.seconds_per_step() == 1.0


def measured(product):
    return {"precision_over_floor": product / 2, "recall_over_floor": 2.0}


def test_verdict_is_against_the_best_method_of_one_step(comparison, capsys):
    numbers = {
        "spirals": {
            "drifting": measured(1.2),
            "gan": measured(5.0),
            "flow_matching_1": measured(3.0),
            "flow_matching_10": measured(1.1),  # takes ten steps
        },
        "two_moons": {
            "drifting": measured(1.3),
            "gan": measured(5.0),
            "mmd": measured(1.2),
        },
    }
    comparison["print_verdict"](numbers)
    printed = capsys.readouterr().out
    assert "better than every one-step peer on 1 of 2 toys" in printed
    assert "Not on two_moons, where the best is mmd." in printed
    assert "spirals" not in printed

import json
import math
from dataclasses import replace

import pytest

from medgraft.evaluation.planning import Outlook, Plan
from medgraft.reporting.canvas import house_style
from medgraft.reporting.planning import planning_figure, title
from medgraft.reporting.readings import Asked, read_off

from .simulated import METRICS

OUTLOOK = Outlook([36, 72, 340, 7200], [0.1, 0.07, 0.03, 0.01], [0.1, 0.2, 0.8, 1.0])
PLAN = Plan(
    "tuned", -0.05, False, 0.2, 340.0, 120.0, math.inf, math.inf, 72, 10, outlook=OUTLOOK
)  # fmt: skip


def lines(axes) -> dict[str, tuple[list[float], list[float]]]:
    return {
        line.get_label(): (list(line.get_xdata()), list(line.get_ydata()))
        for line in axes.get_lines()
        if not line.get_label().startswith("_")
    }


def test_figure_draws_what_readings_hold(binary, sheets, tmp_path):
    """Only strategies whose verdict cannot tell; half-width above, power below."""
    drawn = sheets("planning")
    compared = dict(binary.evaluation.verdict["strategies"])
    for name, verdict in (("fine_tune", "cannot tell"), ("source_only", "helps")):
        compared[name] = compared[name] | {"verdict": verdict}
    verdict = binary.evaluation.verdict | {"strategies": compared}
    told = replace(binary.evaluation, verdict=verdict)
    read_off(
        binary.study, told, METRICS, prepared=binary.prepared,
        finetuned=binary.folder / "finetuned", asked=Asked(0.8, 0.9), seed=0, folder=tmp_path,
    )  # fmt: skip
    plans = json.loads((tmp_path / "readings.json").read_text())["sample_size"]["plans"]
    unsettled = {
        name
        for name, one in compared.items()
        if one["uses_source"] and one["verdict"] == "cannot tell"
    }
    assert "fine_tune" in unsettled
    assert "source_only" not in unsettled
    above, below = drawn["sample_size"].axes
    assert set(lines(above)) == set(lines(below)) == unsettled
    for name in unsettled:
        told = plans[name]["outlook"]
        for axes, key in ((above, "half_width"), (below, "power")):
            assert lines(axes)[name][0] == told["patients"]
            assert lines(axes)[name][1] == pytest.approx(told[key], rel=1e-5)
    assert "this study: 48" in above.texts[0].get_text()


def test_number_needed_lies_on_the_line(binary, sheets):
    drawn = sheets("planning")
    with house_style():
        figure = planning_figure(binary.study, [PLAN], metric="AUROC", comparisons=3)
    dots = [line for line in drawn["sample_size"].axes[1].get_lines() if line.get_marker() == "o"]
    assert [(dot.get_xdata()[0], dot.get_ydata()[0]) for dot in dots] == [(340, 0.8)]
    assert "48 patients, " in figure.caption


def test_nothing_unsettled_is_not_drawn(binary):
    assert planning_figure(binary.study, [], metric="AUROC", comparisons=3) is None


@pytest.mark.parametrize(
    ("patients", "told"),
    [
        (340.0, "would be told four times out of five with 340 patients, 268 more than now"),
        (60.0, "would be told four times out of five by as many patients as there are"),
        (math.inf, "would not be told even by 100 times as many patients, with as many runs"),
    ],
)
def test_title_says_how_many_further(patients, told):
    said = title(replace(PLAN, patients=patients), metric="AUROC")
    assert said == f"tuned’s difference of 0.050 in AUROC {told}"

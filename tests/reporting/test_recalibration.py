import math

import pytest

from medgraft.evaluation.metrics.proper import Brier
from medgraft.evaluation.recalibration import Corrected
from medgraft.reporting.recalibration import title

from .drawn import labels, points, readings, spans

SHOWN = ("brier", "calibration_slope", "calibration_intercept")


def test_figure_draws_what_readings_hold(binary, sheets, tmp_path):
    drawn = sheets("recalibration")
    scores = readings(binary, tmp_path)["recalibration"]["scores"]
    panels = drawn["recalibration"].axes
    champion = binary.evaluation.champion.strategy
    assert labels(panels[0])[:3] == [f"{champion}\nas it is", "temperature", "Platt"]
    for panel, name in zip(panels, SHOWN, strict=True):
        mine = [score for score in scores if score["metric"] == name]
        values = {i: one["value"] for i, one in enumerate(mine) if one["value"] is not None}
        ends = {
            i: (one["low"], one["high"]) for i, one in enumerate(mine) if one["low"] is not None
        }
        assert points(panel) == pytest.approx(values, rel=1e-5)
        assert spans(panel).keys() == ends.keys()
        for place, interval in ends.items():
            assert spans(panel)[place] == pytest.approx(interval, rel=1e-5)


def test_ideal_is_marked(binary, sheets, tmp_path):
    drawn = sheets("recalibration")
    readings(binary, tmp_path)
    marks = [
        [line.get_xdata()[0] for line in panel.get_lines() if line.get_linestyle() == ":"]
        for panel in drawn["recalibration"].axes
    ]
    assert marks == [[], [1.0], [0.0]]


def corrected(method: str, *change: float) -> Corrected:
    return Corrected("tuned", method, "brier", 0.2, 0.1, 0.3, *change, undefined=0)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ((-0.03, -0.05, -0.01), "Brier score of tuned, less is better: Platt lowers it "
         "(-0.030, 95 % CI -0.050 to -0.010)"),
        ((0.03, -0.01, 0.07), "No correction is shown to change the Brier score of tuned"),
        ((math.nan,) * 3, "No correction is shown to change the Brier score of tuned"),
    ],
)  # fmt: skip
def test_title_says_what_is_shown(change, said):
    assert (
        title([corrected("as it is", *[math.nan] * 3), corrected("Platt", *change)], Brier())
        == said
    )

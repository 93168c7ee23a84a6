"""Numbers read back from a figure are those it was drawn from."""

import numpy as np

from medgraft.reporting.canvas import finish, sheet
from medgraft.reporting.diagnostics import GRID, mean_roc, smooth_curves
from medgraft.reporting.survival import GROUPS, kaplan_meier_interval, risk_groups

from .drawn import readings
from .simulated import simulate


def close(found, expected):
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-9)


def test_every_kind_of_mark_is_read_back():
    figure, axes = sheet(2.0)
    axes.plot([0, 1, 2], [5.0, np.nan, 7.0], label="risk")
    axes.vlines([1, 2], [0, 1], [3, 4])
    axes.barh([0, 1], [2, 6], height=0.5)
    axes.fill_between([1, 2, 4], [0, 1, 2], [8, 7, 6])
    axes.text(1, 2, "n = 3")
    axes.set_yticks([0, 1], ["ill", "well"])
    axes.set_title("ward", loc="left")
    axes.set_xlabel("years")
    (panel,) = finish(figure, "any", title="a title", caption="a caption").panels
    assert panel == {
        "title": "ward",
        "x": {"label": "years"},
        "y": {"ticks": [[0.0, "ill"], [1.0, "well"]]},
        "lines": [{"label": "risk", "x": [0.0, 1.0, 2.0], "y": [5.0, None, 7.0]}],
        "bars": [[0.0, -0.25, 2.0, 0.5], [0.0, 0.75, 6.0, 0.5]],
        "spans": [[[1.0, 0.0], [1.0, 3.0]], [[2.0, 1.0], [2.0, 4.0]]],
        "bands": [{"x": [1.0, 2.0, 4.0], "low": [0.0, 1.0, 2.0], "high": [8.0, 7.0, 6.0]}],
        "texts": [[1.0, 2.0, "n = 3"]],
    }


def test_no_figure_lacks_its_numbers(any_task, tmp_path):
    """Neither those of the study nor those of what is read off it."""
    told = readings(any_task, tmp_path)["figures"]
    drawn = {path.stem for path in (tmp_path / "figures").glob("*.svg")}
    assert set(told) == drawn >= set(any_task.figures)
    for name, figure in told.items():
        assert figure["title"], name
        kinds = ("texts",) if name == "flow" else ("lines", "bars")
        assert any(panel.get(kind) for panel in figure["panels"] for kind in kinds), name


def test_curves_are_those_computed(any_task):
    """ROC and Kaplan-Meier curves, and the smooth calibration curve with its band."""
    study, champion = any_task.study, any_task.evaluation.champion.strategy
    if study.task == "binary":
        (panel,) = any_task.figures["roc"].panels
        (line,) = [one for one in panel["lines"] if one.get("label", "").startswith(champion)]
        close(line["x"], np.append(0, GRID))
        close(line["y"][1:], mean_roc(study, study.strategies[champion]))
        curve = smooth_curves(study, any_task.evaluation)[champion]
        (band,) = any_task.figures["calibration"].panels[0]["bands"]
        close(band["x"], curve.predicted)
        close(band["low"], curve.low)
        close(band["high"], curve.high)
    if study.task == "survival":
        group = risk_groups(study, study.strategies[champion])
        panel = any_task.figures["kaplan_meier"].panels[0]
        curves = [line for line in panel["lines"] if "label" in line]
        assert len(curves) == len(GROUPS)
        for g, line in enumerate(curves):
            time, event = study.outcome[group == g].T
            at = np.append(0, np.unique(time))
            close(line["x"], at)
            close(line["y"], kaplan_meier_interval(time, event == 1, at)[0])


def test_numbers_at_risk_are_kept(tmp_path):
    drawn = simulate(tmp_path, task="survival", patients=60).figures["kaplan_meier"]
    below = drawn.panels[1]
    assert [word for _, word in below["y"]["ticks"]] == [f"{name} third" for name in GROUPS]
    assert below["texts"][0] == [0, 0, "20"]

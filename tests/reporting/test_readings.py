import json
from dataclasses import replace

import pytest

from medgraft.evaluation.champion import overrule
from medgraft.evaluation.metrics.ranking import Auroc
from medgraft.evaluation.predictions import load_sizes
from medgraft.evaluation.savings import Curve, Saving, Savings
from medgraft.evaluation.subgroups import GroupScore
from medgraft.evaluation.utility import ALL, NONE, THRESHOLDS, DecisionCurve, Line
from medgraft.reporting.canvas import house_style
from medgraft.reporting.readings import Asked, acted_on, read_off, transfers
from medgraft.reporting.savings import savings_figure
from medgraft.reporting.subgroups import subgroups_figure
from medgraft.reporting.utility import utility_figure

from .drawn import readings
from .simulated import METRICS


def curve(name: str, *values: float) -> Curve:
    low, high = ([value + step for value in values] for step in (-0.1, 0.1))
    return Curve(name, [20, 40, 80], list(values), low, high, list(values))


def test_savings_figure_says_what_is_saved(binary):
    curves = {"scratch": curve("scratch", 0.6, 0.7, 0.8), "tuned": curve("tuned", 0.7, 0.7, 0.8)}
    savings = Savings("scratch", "AUROC", 80, 20, curves, [Saving("tuned", 20, 40.0, 30.0, 60.0)])
    with house_style():
        figure = savings_figure(binary.study, savings, ["tuned"])
    assert figure.title == "20 patients with tuned do what 40 do with scratch (95 % CI 30 to 60)"
    assert "48 patients, " in figure.caption


def test_helpful_strategies_come_first(binary):
    found = transfers(binary.evaluation)
    assert found[0] == "fine_tune"
    assert not {"scratch"} & set(found)


def test_champion_reference_and_baseline_are_acted_on(binary):
    champion = overrule(
        binary.evaluation.champion, binary.study, strategy="fine_tune", why="It is cheap."
    )
    names = acted_on(binary.study, replace(binary.evaluation, champion=champion))
    assert names[:2] == ["fine_tune", "scratch"]
    assert len(names) == len(set(names)) <= 4


@pytest.mark.parametrize(
    ("better", "title"),
    [
        ([], "At no threshold is tuned shown to be worth more than treating all or none"),
        ([0.2], "At a threshold of 20% acting on tuned is worth more than treating all or none"),
        (
            [0.2, 0.25, 0.3, 0.8],
            "At thresholds 20% to 30%, 80% acting on tuned is worth more than treating all or none",
        ),
    ],
)
def test_utility_title_names_thresholds(binary, better, title):
    line = Line(*[[0.1] * len(THRESHOLDS)] * 3)
    low = [0.1 if threshold in better else -0.1 for threshold in THRESHOLDS]
    than_all = Line(line.value, low, line.high)
    curves = {"tuned": DecisionCurve("tuned", line, {ALL: than_all, NONE: line})}
    with house_style():
        assert utility_figure(binary.study, curves).title == title


def test_four_strategies_are_drawn_beside_treating_all(binary):
    line = Line(*[[0.1] * len(THRESHOLDS)] * 3)
    names = ["tuned", "scratch", "probe", "boosting", ALL]
    curves = {name: DecisionCurve(name, line, {ALL: line, NONE: line}) for name in names}
    with house_style():
        assert utility_figure(binary.study, curves).name == "utility"


@pytest.mark.parametrize(
    ("p", "title"),
    [
        (0.2, "tuned: no difference in AUROC found between groups (1 of 2 groups could be tested)"),
        (
            float("nan"),
            "tuned: too few patients in any group to test AUROC for differences",
        ),
        (0.01, "tuned: AUROC 0.600 where sex is female, 0.200 less than elsewhere (p = 0.010)"),
    ],
)
def test_subgroup_title_says_what_was_found(binary, p, title):
    nan = float("nan")
    known = GroupScore(
        "sex", "female", "tuned", "auroc", 20, 20, 0.6, 0.5, 0.7, 0, 1, -0.2, -0.3, -0.1, p, p
    )
    unknown = GroupScore(
        "sex", "other", "tuned", "auroc", 2, 2, nan, nan, nan, 400, 25, nan, nan, nan, nan, nan
    )
    with house_style():
        assert subgroups_figure(binary.study, [known, unknown], Auroc()).title == title


def test_absent_curve_says_how_to_get_one(binary, tmp_path, monkeypatch):
    monkeypatch.setattr("medgraft.reporting.readings.load_sizes", lambda *_: {})
    drawn = read_off(
        binary.study,
        binary.evaluation,
        METRICS,
        prepared=binary.prepared,
        finetuned=binary.folder / "finetuned",
        asked=Asked(0.8, 0.9),
        seed=0,
        folder=tmp_path,
    )
    assert set(drawn) - set(binary.figures) == {"utility", "sets", "drift", "flow", "recalibration"}
    assert "subgroups" not in drawn
    readings = json.loads((tmp_path / "readings.json").read_text())
    assert readings["patients_saved"] == {
        "why": "no learning curve was drawn: set design.sizes, e.g. [20,40]"
    }


def test_design_without_sizes_has_no_curve(binary):
    assert load_sizes(binary.prepared, binary.folder / "finetuned") == {}


READ_OFF = {
    "binary": {"utility", "sets", "drift", "flow", "recalibration"},
    "multiclass": {"sets", "drift", "flow", "recalibration"},
    "regression": {"sets", "drift", "flow"},
    "multilabel": {"drift", "flow"},
    "survival": {"drift", "flow"},
}


def test_every_kind_of_outcome_is_read_off(any_task, tmp_path):
    """What a kind of outcome has no figure for says why; plans are drawn where nothing is told."""
    told = readings(any_task, tmp_path)
    every = {path.stem for path in (tmp_path / "figures").glob("*.svg")}
    drawn = every - set(any_task.figures)
    task, compared = any_task.study.task, any_task.evaluation.verdict["strategies"].values()
    unsettled = any(one["uses_source"] and one["verdict"] == "cannot tell" for one in compared)
    assert drawn - {"sample_size"} == READ_OFF[task]
    assert ("sample_size" in drawn) == unsettled
    for name in ("threshold", "recalibration", "net_benefit"):
        figure = {"threshold": "thresholds", "net_benefit": "utility"}.get(name, name)
        assert ("why" in told[name]) == (figure not in drawn)

import json

import pytest

from medgraft.evaluation.metrics.ranking import Auroc
from medgraft.evaluation.predictions import load_sizes
from medgraft.evaluation.savings import Curve, Saving, Savings
from medgraft.evaluation.subgroups import GroupScore
from medgraft.evaluation.utility import ALL, NONE, THRESHOLDS, DecisionCurve
from medgraft.reporting.canvas import house_style
from medgraft.reporting.readings import Asked, acted_on, read_off, transfers
from medgraft.reporting.savings import savings_figure
from medgraft.reporting.subgroups import subgroups_figure
from medgraft.reporting.utility import utility_figure

from .simulated import METRICS


def curve(name: str, *values: float) -> Curve:
    low, high = ([value + step for value in values] for step in (-0.1, 0.1))
    return Curve(name, [20, 40, 80], list(values), low, high, list(values))


def test_savings_figure_says_what_is_saved(binary):
    curves = {"scratch": curve("scratch", 0.6, 0.7, 0.8), "tuned": curve("tuned", 0.7, 0.7, 0.8)}
    savings = Savings(
        "scratch", "AUROC", 80, 20, curves, [Saving("tuned", 20, 40.0, 30.0, 60.0, 0)]
    )
    with house_style():
        figure = savings_figure(binary.study, savings, ["tuned"])
    assert figure.title == "20 patients with tuned do what 40 do with scratch (95 % CI 30 to 60)"
    assert "48 patients, " in figure.caption


def test_helpful_strategies_come_first(binary):
    found = transfers(binary.evaluation)
    assert found[0] == "fine_tune"
    assert not {"scratch"} & set(found)


def test_champion_reference_and_baseline_are_acted_on(binary):
    names = acted_on(binary.study, binary.evaluation)
    assert names[:2] == [binary.evaluation.champion.strategy, "scratch"]
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
    line = [0.1] * len(THRESHOLDS)
    beats = {ALL: [t in better for t in THRESHOLDS], NONE: [True] * len(THRESHOLDS)}
    curves = {"tuned": DecisionCurve("tuned", line, line, line, beats)}
    with house_style():
        assert utility_figure(binary.study, curves).title == title


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
        "sex", "female", "tuned", "auroc", 20, 20, 0.6, 0.5, 0.7, 0, -0.2, -0.3, -0.1, p, p
    )
    unknown = GroupScore(
        "sex", "other", "tuned", "auroc", 2, 2, nan, nan, nan, 400, nan, nan, nan, nan, nan
    )
    with house_style():
        assert subgroups_figure(binary.study, [known, unknown], Auroc()).title == title


def test_absent_curve_says_how_to_get_one(binary, tmp_path, monkeypatch):
    monkeypatch.setattr("medgraft.reporting.readings.load_sizes", lambda *_: {})
    (tmp_path / "figures").mkdir()
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
    assert set(drawn) == {"utility", "sets", "drift"}
    assert "subgroups" not in drawn
    readings = json.loads((tmp_path / "readings.json").read_text())
    assert readings["patients_saved"] == {
        "why": "no learning curve was drawn: set design.sizes, e.g. [20,40]"
    }


def test_design_without_sizes_has_no_curve(binary):
    assert load_sizes(binary.prepared, binary.folder / "finetuned") == {}

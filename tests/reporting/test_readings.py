import json

from medgraft.evaluation.metrics.ranking import Auroc
from medgraft.evaluation.predictions import load_sizes
from medgraft.evaluation.savings import Curve, Saving, Savings
from medgraft.reporting.canvas import house_style
from medgraft.reporting.readings import read_off, transfers
from medgraft.reporting.savings import savings_figure


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


def test_absent_curve_says_how_to_get_one(binary, tmp_path, monkeypatch):
    monkeypatch.setattr("medgraft.reporting.readings.load_sizes", lambda *_: {})
    (tmp_path / "figures").mkdir()
    drawn = read_off(
        binary.study,
        binary.evaluation,
        Auroc(),
        prepared=binary.prepared,
        finetuned=binary.folder / "finetuned",
        seed=0,
        folder=tmp_path,
    )
    assert "savings" not in drawn
    readings = json.loads((tmp_path / "readings.json").read_text())
    assert readings["patients_saved"] == {
        "why": "no learning curve was drawn: set design.sizes, e.g. [20,40]"
    }


def test_design_without_sizes_has_no_curve(binary):
    assert load_sizes(binary.prepared, binary.folder / "finetuned") == {}

import pytest

from medgraft.reporting.canvas import house_style
from medgraft.reporting.ladder import constant, ladder_figure
from medgraft.reporting.pairs import pairs_table

STEPS = {"source_only": 0.3, "recalibrate_intercept": 0.2, "recalibrate": 0.15, "scratch": 0.18}


def pair(source: str, target: str, *, shift: float = 0.0) -> dict:
    scores = {
        step: {"brier": {"value": at + shift, "low": at + shift - 0.05, "high": at + shift + 0.04}}
        for step, at in STEPS.items()
    }
    best = {
        "strategy": "recalibrate", "difference": 0.03, "low": -0.01, "high": 0.07,
        "joint_low": -0.03, "joint_high": 0.09,
    }  # fmt: skip
    cases = {"target": {"label": "ill", "cases": 30, "rows": 120}}
    people = {"source": 100, "target": 120}
    return {"source": source, "target": target, "patients": people, "cases": cases,
            "scores": scores, "best": best, "p_all_pairs": 1.0, "ships": "scratch"}  # fmt: skip


def told(*pairs: dict) -> dict:
    return {"metrics": ["brier"], "pairs": list(pairs)}


THREE = told(
    pair("a", "b"), pair("a", "c", shift=0.01), pair("b", "a", shift=-0.02),
    pair("b", "c", shift=0.02), {"source": "c", "target": "a", "refused": "too few"},
)  # fmt: skip


def test_figure_draws_what_pairs_json_holds(sheets):
    """A panel for each target in the order of the sites; each mark at its step's Brier score."""
    drawn = sheets("ladder")
    with house_style():
        ladder_figure(THREE)
    panels = [axes for axes in drawn["ladder"].axes if axes.get_visible()]
    assert [axes.get_title(loc="left").split(":")[0] for axes in panels] == ["a", "b", "c"]
    steps = [label.get_text().replace("\n", " ") for label in panels[0].get_xticklabels()]
    assert steps == ["source's as it is", "level corrected", "level and spread", "target alone"]
    for axes, target in zip(panels, "abc", strict=True):
        mine = [p for p in THREE["pairs"] if p["target"] == target and "refused" not in p]
        marks = [line for line in axes.get_lines() if line.get_linestyle() == "None"]
        bars = [path for lot in axes.collections for path in lot.get_paths()]
        assert [line.get_label() for line in marks] == [p["source"] for p in mine]
        for line, one in zip(marks, mine, strict=True):
            assert list(line.get_ydata()) == [
                one["scores"][step]["brier"]["value"] for step in STEPS
            ]
        ends = [tuple(path.vertices[:, 1]) for path in bars]
        assert ends == [
            (one["scores"][step]["brier"]["low"], one["scores"][step]["brier"]["high"])
            for one in mine
            for step in STEPS
        ]


def test_constant_is_drawn_and_written(sheets):
    """30 of 120 ill: everyone told 25 % scores .25 x .75."""
    drawn = sheets("ladder")
    with house_style():
        ladder_figure(told(pair("a", "b")))
    (axes,) = drawn["ladder"].axes
    (line,) = [line for line in axes.get_lines() if line.get_linestyle() == ":"]
    assert line.get_ydata()[0] == constant(pair("a", "b")) == 0.1875
    assert axes.get_title(loc="left") == "b: 30 of 120 ill\ndotted, everyone told 25%: 0.188"


def test_title_counts_pairs():
    """Of four pairs, two have the last step's whole interval under .1875: at most .15 and .04."""
    with house_style():
        figure = ladder_figure(told(*(pair("a", t, shift=s) for t, s in zip(
            "bcde", (-0.02, -0.01, 0.0, 0.02), strict=True))))  # fmt: skip
    assert figure.title == (
        "With level and spread corrected, the Brier score is lower than as it is in 4 of 4 pairs; "
        "shown to be lower than one risk told to everyone in 2"
    )


@pytest.mark.parametrize("lost", [{"scores": {}}, {"cases": {"target": None}}])
def test_without_ladder_or_cases_no_figure(lost):
    assert ladder_figure(told(pair("a", "b") | lost)) is None


def test_table_has_prevalence_and_the_widened_interval():
    table = pairs_table(told(pair("a", "b")))
    assert "100 / 120  30 of 120 (25%)" in table
    assert "+0.030 [-0.030, +0.090]" in table

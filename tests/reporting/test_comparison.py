import json
from dataclasses import replace

import pytest

from medgraft.evaluation.summary import plain
from medgraft.reporting import comparison
from medgraft.reporting.comparison import FinishedRun, side_by_side

from .simulated import Simulated
from .test_report import HOSTILE, Page

HASHES = {"source": "aa11", "target": "bb22", "raw data": "cc33", "design": "dd44"}
SIZES = {
    "source": {"name": "cleveland", "patients": 303},
    "target": {"name": "va", "patients": 48},
}


def finished(simulated: Simulated, name: str = "first") -> FinishedRun:
    """The simulated study as a run that lies in a folder."""
    verdict, metrics = (
        json.loads((simulated.folder / f"{one}.json").read_text()) for one in ("verdict", "metrics")
    )
    return FinishedRun(name, verdict, metrics, {"seed": "1"}, HASHES, SIZES)


@pytest.fixture(scope="module")
def first(binary) -> FinishedRun:
    return finished(binary)


def shown_page(*runs: FinishedRun) -> str:
    return comparison.page(side_by_side(runs))


def test_numbers_are_those_of_each_run(first):
    other = replace(first, metrics=json.loads(json.dumps(first.metrics)))
    other.metrics["fine_tune"]["auroc"] |= {"value": 0.123, "low": 0.111, "high": 0.222}
    html = shown_page(first, other)
    row = next(one for one in html.split("<tr>") if '<th scope="row">fine_tune' in one)
    own = side_by_side([first])["runs"][0]["strategies"]["fine_tune"]
    assert comparison.score(own) in row
    assert "0.123 [0.111, 0.222]" in row
    assert row.index(comparison.score(own)) < row.index("0.123")
    assert comparison.away(own) in row


def test_verdicts_and_champions_are_told(first):
    html = shown_page(first, replace(first, name="second"))
    answer = first.verdict["sentence"].partition(": ")[0]
    assert html.count(answer) == 2
    assert f"<strong>{first.verdict['champion']['strategy']}</strong>" in html
    assert "cleveland (303 patients) → va (48 patients)" in html
    assert "first" in html
    assert "second" in html
    assert '<th scope="col"></th>' not in html


def test_only_what_differs_is_listed(first):
    other = replace(first, params={"seed": "2", "new": "x"})
    assert side_by_side([first, other])["parameters"] == {"new": [None, "x"], "seed": ["1", "2"]}
    assert side_by_side([first, first])["parameters"] == {}


def test_run_without_parameters_differs_in_nothing(first):
    """Its parameters are not known, which is not the same as having none."""
    bare = replace(first, name="mailed", params={})
    told = side_by_side([first, bare])
    assert told["parameters"] == {}
    assert "Not known of mailed" in shown_page(first, bare)
    assert "parameters are the same" not in shown_page(first, bare)
    assert "parameters are the same" in shown_page(first, first)


@pytest.mark.parametrize(
    ("changes", "caution"),
    [
        ({}, "the same patients, divided in the same way. They were not tested against each"),
        ({"hashes": HASHES | {"design": "e"}}, "were not divided in the same way"),
        ({"hashes": HASHES | {"design": ""}}, "were not divided in the same way into training"),
        ({"hashes": HASHES | {"target": "e"}}, "tested on different patients: a number that is"),
        ({"hashes": {}}, "not known of every run on which patients"),
    ],
)
def test_what_may_be_compared_is_said(changes, caution, first):
    other = replace(first, **changes)
    assert caution in comparison.caution(side_by_side([first, other]))
    assert caution in shown_page(first, other)


@pytest.mark.parametrize("what", ["primary", "reference"])
def test_other_yardsticks_are_said(what, first):
    other = replace(first, verdict=first.verdict | {what: "recalibrate"})
    assert "compare what they found, not their numbers" in comparison.caution(
        side_by_side([first, other])
    )


def test_strategy_of_one_run_is_no_gap(first):
    fewer = {name: scores for name, scores in first.metrics.items() if name != "linear_probe"}
    html = shown_page(first, replace(first, metrics=fewer))
    row = next(one for one in html.split("<tr>") if '<th scope="row">linear_probe' in one)
    assert row.count("not in this run") == 1


def test_undefined_numbers_are_said(first):
    lost = json.loads(json.dumps(first.metrics))
    lost["scratch"]["auroc"] |= {"value": None, "low": None, "high": None}
    html = shown_page(first, replace(first, metrics=lost))
    row = next(one for one in html.split("<tr>") if '<th scope="row">scratch' in one)
    assert "undefined" in row
    assert "None" not in html


def test_page_loads_nothing_and_escapes(first):
    nasty = replace(
        first, name=HOSTILE, params={HOSTILE: HOSTILE}, hashes={"source": HOSTILE},
        metrics=first.metrics | {HOSTILE: first.metrics["scratch"]},
        sizes={"source": {"name": HOSTILE, "patients": 3}},
    )  # fmt: skip
    html = shown_page(first, nasty)
    page = Page(html)
    assert not [tag for tag, _ in page.tags if tag in ("script", "link", "iframe", "img", "b")]
    assert "<script" not in html
    assert html.count("&lt;script&gt;") > 5
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_terminal_has_every_number(first):
    told = side_by_side([first, replace(first, name="second", params={"seed": "2"})])
    text = comparison.table(told, page="work/comparison.html")
    assert "A: first" in text
    assert "B: second" in text
    for name, row in told["runs"][0]["strategies"].items():
        assert text.count(f"{name} ") >= 2
        assert comparison.score(row) in text
    assert "seed       1  2" in text
    assert max(map(len, text.splitlines())) <= 110


def test_told_is_json(first):
    told = side_by_side([first, first])
    assert json.loads(json.dumps(told, allow_nan=False)) == told
    assert plain(told) == told


def test_letters_never_end():
    assert comparison.letters(28)[25:] == ["Z", "A2", "B2"]

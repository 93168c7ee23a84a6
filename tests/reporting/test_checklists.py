import re

import pytest

from medgraft.reporting import checklists
from medgraft.reporting.facts import UNKNOWN

from .papers import tables

LETTERS = {3: 3, 5: 2, 6: 3, 8: 3, 9: 3, 12: 7, 18: 6, 20: 3, 23: 2, 27: 3}
# Collins and others 2024: items 1 to 27, these of them in so many parts.
TRIPOD = [
    f"{item}{letter}"
    for item in range(1, 28)
    for letter in ("abcdefg"[: LETTERS[item]] if item in LETTERS else [""])
]
# Moons and others 2025: questions in the four domains of development, and of evaluation.
PROBAST = {"Development": (3, 4, 4, 5), "Evaluation": (3, 4, 4, 7)}


def items(name: str) -> list[dict]:
    return [item for part in checklists.checklist(name)["parts"] for item in part["items"]]


def test_tripod_has_every_item_once():
    assert len(TRIPOD) == 52
    assert [item["number"] for item in items("tripod_ai")] == TRIPOD


def test_probast_has_every_question_once():
    wanted = [
        (f"{part}, domain {domain}", [f"{domain}.{n}" for n in range(1, many + 1)])
        for part, counts in PROBAST.items()
        for domain, many in enumerate(counts, start=1)
    ]
    found = [
        (part["name"].split(":")[0], [item["number"] for item in part["items"]])
        for part in checklists.checklist("probast_ai")["parts"]
    ]
    assert found == wanted
    assert [sum(counts) for counts in PROBAST.values()] == [16, 18]


@pytest.mark.parametrize("name", checklists.NAMES)
def test_every_item_is_answered_or_left_to_the_author(name):
    for item in items(name):
        assert "answer" in item or "lacks" in item, item["number"]
        assert ("answer" in item) == ("found" in item), item["number"]


@pytest.fixture
def pages(papers):
    """The facts of a study, and both checklists."""
    told, folder = papers
    return told, {name: (folder / f"{name}.md").read_text() for name in checklists.NAMES}


@pytest.mark.parametrize("name", checklists.NAMES)
def test_page_has_a_line_for_every_item(name, pages):
    rows = [row for table in tables(pages[1][name]) for row in table[1:]]
    asked = items(name)
    assert [row[0] for row in rows] == [f"{item['number']} {item['topic']}" for item in asked]
    for row, item in zip(rows, asked, strict=True):
        answer, found = row[-2:]
        assert answer
        assert (f"**{UNKNOWN}**: " in answer) == ("lacks" in item), item["number"]
        assert answer.startswith(f"**{UNKNOWN}**") == ("answer" not in item), item["number"]
        assert (found == "–") == ("found" not in item)
    assert not re.search(r"\b(None|nan|True|False|Undefined)\b|\{\{|\{%", pages[1][name])


def test_performance_is_that_of_metrics_json(pages):
    told, page = pages[0], pages[1]["tripod_ai"].replace("\\", "")
    line = next(line for line in page.splitlines() if line.startswith("| 23a "))
    assert all(f"{score['label']} {score['champion']}" in line for score in told["scores"])


def test_no_judgement_is_made(pages):
    """Quality, risk of bias and applicability are the assessor's, of every domain that has them."""
    page = pages[1]["probast_ai"]
    judged = re.findall(r"^Judgement, ([\w ]+): (.*)$", page, re.MULTILINE)
    assert {answer for _, answer in judged} == {f"**{UNKNOWN}**"}
    assert sorted(what for what, _ in judged) == sorted(
        ["quality"] * 4 + ["risk of bias"] * 4 + ["applicability"] * 6
    )
    assert not re.search(r"\b(low|high|unclear) (risk|concern)", page, re.IGNORECASE)


@pytest.mark.parametrize("name", checklists.NAMES)
def test_doubt_about_the_list_is_told(name, pages):
    assert "not against the journal's" in pages[1][name]

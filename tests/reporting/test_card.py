import json
import re

import numpy as np
import pytest
import yaml

from medgraft.errors import StageError
from medgraft.preparation.arrays import read, write
from medgraft.reporting import card, checklists
from medgraft.reporting.facts import UNKNOWN, escaped, gather

from .papers import facts, tables
from .simulated import METRICS, STRATEGIES, simulate
from .test_report import HOSTILE

NASTY = f"{HOSTILE} | *b* _c_ `d` [e](http://f) ![g](h) \n# i"
PAPERS = ("model_card.md", "tripod_ai.md", "probast_ai.md")


def page_of(folder) -> str:
    return (folder / "model_card.md").read_text()


def front(page: str) -> dict:
    return yaml.safe_load(page.split("---\n")[1])


def test_front_matter_has_the_numbers_of_metrics_json(papers):
    told, folder = papers
    saved = json.loads((folder / "metrics.json").read_text())[told["champion"]["strategy"]]
    given = front(page_of(folder))["model-index"][0]["results"][0]["metrics"]
    assert {
        one["type"]: (one["value"], *one["args"]["interval_95"]) for one in given
    } == {
        name: (score["value"], score["low"], score["high"])
        for name, score in saved.items()
        if score["value"] is not None
    }  # fmt: skip
    assert len(given) >= 2


def test_hub_reads_the_card(papers):
    """Hugging Face's own reader finds every metric and names what is to be supplied."""
    hub = pytest.importorskip("huggingface_hub")
    told, folder = papers
    data = hub.ModelCard.load(folder / "model_card.md").data
    values = [score["value"] for score in told["scores"] if score["value"] is not None]
    assert [result.metric_value for result in data.eval_results] == values
    assert (data.license, data.library_name) == (UNKNOWN, "medgraft")


def test_table_has_the_numbers_of_metrics_json(papers):
    told, folder = papers
    table = next(t for t in tables(page_of(folder)) if t[0][0] == "Metric")
    assert [row[1].replace("\\", "") for row in table[1:]] == [
        score["champion"] for score in told["scores"]
    ]
    assert "(primary)" in table[1][0]


def test_sections_are_those_of_a_model_card(papers):
    titles = re.findall(r"^## (.*)", page_of(papers[1]), re.MULTILINE)
    assert titles == [
        "Model details", "Intended use", "Out-of-scope use", "How to use", "Training data",
        "Evaluation", "Calibration", "Subgroups", "Limitations and biases", "Provenance",
    ]  # fmt: skip


def test_unknown_is_said_so(papers):
    """No licence, date, person or purpose is made up, and no gap shows as a word of Python."""
    page = page_of(papers[1])
    body = page.split("---\n", 2)[2]
    for asked in ("Licence", "Developed by", "Contact", "How to cite"):
        assert f"| {asked} | **{UNKNOWN}** |" in body
    for asked in ("Purpose", "Users", "Ethics approval", "Tested on patients of another place"):
        line = next(line for line in body.splitlines() if asked in line)
        assert line.endswith(f"**{UNKNOWN}**")
    assert not re.search(r"\b(None|nan|null|True|False|Undefined)\b|\{\{|\{%", body)


def test_subgroups_are_told(papers):
    """This study declares none, so none may seem examined."""
    page = page_of(papers[1])
    assert "Not examined: cohort.yaml declares no subgroups" in page


def test_declared_subgroups_have_their_intervals(papers, tmp_path):
    told = dict(papers[0])
    champion, primary = told["champion"]["strategy"], told["verdict"]["primary"]
    score = {"subgroup": "sex", "group": "female", "strategy": champion, "metric": primary,
             "patients": 21, "value": 0.8, "low": 0.7, "high": 0.9, "difference": None,
             "low_difference": None, "high_difference": None, "p_holm": None}  # fmt: skip
    told["readings"] = told["readings"] | {"subgroups": {"scores": [score]}}
    card.write(tmp_path, told)
    table = next(t for t in tables(page_of(tmp_path)) if t[0][0] == "Subgroup")
    assert table[1] == ["sex: female", "21", r"0.800 [0.700, 0.900]", "– [–, –]", "–"]


def test_correction_of_the_model_is_told(papers, tmp_path):
    """In the card and in items 12f and 24, with what it gained; and nothing where there is none."""
    told = dict(papers[0])
    correction = {"method": "temperature", "temperature": 2.0}
    told["answers"] = told["answers"] | {
        "correction": correction,
        "losses": {"as it is": 0.6, "temperature": 0.5},
        "reach": None,
        "why": "sets at 95% need 19 patients, there are 12",
    }
    card.write(tmp_path, told)
    checklists.write(tmp_path, told)
    page, tripod = ((tmp_path / name).read_text() for name in PAPERS[:2])
    assert "corrected (temperature)" in page
    assert "log loss 0.600 before, 0.500 after" in page
    assert "is not said: sets at 95% need 19 patients, there are 12." in page
    assert tripod.count("are corrected: temperature") == 2
    as_it_is = told["answers"] | {"correction": {"method": "as it is"}, "reach": 0.5}
    card.write(tmp_path, told | {"answers": as_it_is})
    assert "answers are handed over as they are" in page_of(tmp_path)
    assert "hold the truth in 90 % of patients" in page_of(tmp_path)


def test_equal_facts_give_equal_bytes(papers, tmp_path):
    told, folder = papers
    card.write(tmp_path, told)
    assert page_of(tmp_path) == page_of(folder)


def test_missing_file_is_named(binary, tmp_path):
    binary.evaluation.write(tmp_path)
    with pytest.raises(StageError, match=r"summary\.json"):
        gather(
            tmp_path, prepared=binary.prepared, finetuned=tmp_path / "finetuned", metrics=METRICS,
            configured=binary.configured(""), provenance={},
        )  # fmt: skip


@pytest.fixture(scope="module")
def nasty(tmp_path_factory):
    """Papers of a study whose names, classes and measurements are written to break a page."""
    folder = tmp_path_factory.mktemp("nasty")
    strategies = {**STRATEGIES, HOSTILE: (2.5, True, 5, NASTY)}
    made = simulate(folder, strategies=strategies, site=NASTY)
    for role in ("source", "target"):
        cohort = read(made.prepared / role)
        schema = json.loads(json.dumps(cohort.schema))
        schema["outcome"] |= {"name": NASTY, "classes": [f"no {NASTY}", NASTY]}
        for feature in schema["features"][:2]:
            feature |= {"name": NASTY, "unit": NASTY}
        x = np.array(cohort.x)
        x[3, 0] = 90817.263  # of one patient
        write(made.prepared / role, type(cohort)(x, cohort.y, cohort.patients, schema))
    told = facts(made, folder / "papers", notice=NASTY)
    card.write(folder / "papers", told)
    checklists.write(folder / "papers", told)
    return {name: (folder / "papers" / name).read_text() for name in PAPERS}


@pytest.mark.parametrize("name", PAPERS)
def test_hostile_names_stay_text(name, nasty):
    """As a page of HTML: no script, link, picture or heading that a name brought along."""
    markdown = pytest.importorskip("markdown_it").MarkdownIt("commonmark", {"html": True})
    body = nasty[name].split("---\n", 2)[2] if name == "model_card.md" else nasty[name]
    html = markdown.enable("table").render(body)
    assert "<script" not in html.lower()
    assert not re.search(r"<(b|a|img|em)\b", html)
    assert len(re.findall("<h1", html)) == 1
    assert html.count("alert(") > 3


@pytest.mark.parametrize("name", PAPERS)
def test_hostile_names_break_no_table(name, nasty):
    found = tables(nasty[name])
    assert len(found) > 4
    for table in found:
        assert {len(row) for row in table} == {len(table[0])}


def test_hostile_names_break_no_front_matter(nasty):
    told = front(nasty["model_card.md"])
    assert told["model-index"][0]["results"][0]["dataset"]["name"] == NASTY


@pytest.mark.parametrize("name", PAPERS)
def test_no_value_of_a_patient_is_told(name, nasty):
    assert "90817" not in nasty[name].replace(",", "")


def test_escaping_keeps_the_text():
    assert escaped("a | <b> & c\nd") == r"a \| &lt;b&gt; &amp; c d"
    assert escaped(3) == 3

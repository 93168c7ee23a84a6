import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from medgraft.errors import StageError
from medgraft.evaluation.sentence import number
from medgraft.preparation.arrays import write_json
from medgraft.reporting.text import shown

from .drawn import readings
from .simulated import METRICS, STRATEGIES, Simulated, simulate

HOSTILE = "<script>alert('--><b>\"&')</script>"
VOID = {"meta", "br"}


class Page(HTMLParser):
    """Every tag with its attributes, and the text of the table cells; fails on a tag left open."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.cells: list[str] = []
        self.open: list[str] = []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag in ("td", "th"):
            self.cells.append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and "table" in self.open and self.open[-1] in ("td", "th"):
            self.cells[-1] += data

    def of(self, *names: str) -> Iterator[dict[str, str | None]]:
        return (attributes for tag, attributes in self.tags if tag in names)


@pytest.fixture(scope="module")
def page(binary: Simulated) -> Page:
    return Page(binary.html)


def test_report_has_equal_bytes(binary):
    assert binary.report("first.html") == binary.report("second.html")


def test_report_loads_nothing(any_task):
    page = Page(any_task.html)
    links = [
        value
        for _, attributes in page.tags
        for name, value in attributes.items()
        if name in ("src", "href", "xlink:href", "srcset", "action", "data", "poster")
    ]
    assert links
    assert all(link.startswith("#") for link in links)
    assert not [tag for tag, _ in page.tags if tag in ("script", "link", "iframe", "img", "object")]
    assert "@import" not in any_task.html


def test_every_figure_has_alt_text(any_task):
    page = Page(any_task.html)
    ids = {attributes.get("id") for _, attributes in page.tags}
    images = list(page.of("svg"))
    assert len(images) == len(any_task.figures) == len(list(page.of("figcaption")))
    for image in images:
        assert image["role"] == "img"
        assert image["aria-label"]
        assert image["aria-describedby"] in ids


def test_ids_are_unique(page):
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_inner_links_lead_somewhere(page):
    ids = {attributes.get("id") for _, attributes in page.tags}
    assert {attributes["href"].removeprefix("#") for attributes in page.of("a")} <= ids


def test_tables_name_rows_and_columns(page):
    assert len(list(page.of("caption"))) == len(list(page.of("table")))
    assert {attributes["scope"] for attributes in page.of("th")} == {"row", "col"}


def test_every_header_says_something(any_task):
    assert not re.findall(r"<th[^>]*>\s*</th>", any_task.html)


def test_numbers_are_those_of_metrics_json(any_task):
    cells = Page(any_task.html).cells
    saved = json.loads((any_task.folder / "metrics.json").read_text())
    for name, scores in saved.items():
        at = [i for i, cell in enumerate(cells) if cell == name]
        shown = [[_numbers(cell) for cell in cells[i + 1 : i + 1 + len(scores)]] for i in at]
        assert [_rounded(score) for score in scores.values()] in shown


def _numbers(cell: str) -> list[str]:
    return re.findall(r"-?\d[\d.]*(?:e[+-]\d+)?", cell.split("(", maxsplit=1)[0])


def _rounded(score: dict) -> list[str]:
    ends = (score["value"], score["low"], score["high"])
    return [number(value) for value in ends if value is not None]


def test_verdict_stands_on_top(binary):
    html = binary.html
    sentence = binary.evaluation.verdict["sentence"].replace("<", "&lt;").replace(">", "&gt;")
    told = re.sub(r"</?strong>", "", html)
    assert told.index(sentence) < told.index("<nav")
    assert html.index("Simulated patients.") < html.index("<nav")


def test_no_notice_leaves_no_box(binary):
    assert 'aria-label="Notice"' not in binary.report(notice="")


def test_hostile_names_are_escaped(tmp_path):
    strategies = {**STRATEGIES, HOSTILE: (0.9, True, 5, HOSTILE)}
    html = simulate(tmp_path, strategies=strategies, site=HOSTILE).report(notice=HOSTILE)
    assert not list(Page(html).of("script", "b"))
    assert "<script" not in html.lower()
    assert html.count("&lt;script&gt;") > 10


def test_one_strategy_says_what_lacks(tmp_path):
    html = simulate(tmp_path, strategies={"scratch": STRATEGIES["scratch"]}).html
    assert "No strategy in this study uses the source cohort" in html
    assert "cohorts-table" in html


def test_undefined_metric_says_so(tmp_path):
    cells = Page(simulate(tmp_path, outcome=np.zeros(48)).html).cells
    assert "undefined (60 of 60 draws)" in cells
    assert not [cell for cell in cells if re.search(r"\bnan\b", cell)]


def test_rare_outcome_counts_lost_draws(tmp_path):
    outcome = np.zeros(48)
    outcome[0] = 1
    study = simulate(tmp_path, outcome=outcome)
    lost = study.evaluation.metrics.filter(metric="auroc", strategy="scratch")["undefined"].item()
    # A draw of 47 of 48 patients misses the only case with probability 0.37.
    assert 5 < lost < 45
    assert any(f"[undefined ({lost} of 60 draws)]" in c for c in Page(study.html).cells)


def test_every_patient_is_accounted(page):
    at = page.cells.index("va.data")
    assert page.cells[at + 1 : at + 5] == ["55", "7no outcome: 7", "48", "48"]


def test_missing_audit_names_file(binary, tmp_path):
    from medgraft.reporting.report import write

    with pytest.raises(StageError, match=r"audit\.json not found"):
        write(
            tmp_path / "report.html",
            study=binary.study,
            evaluation=binary.evaluation,
            metrics=METRICS,
            prepared=tmp_path,
            figures={},
            configured=binary.configured(""),
            provenance={},
        )


def test_thresholds_and_open_plans_are_told(tmp_path):
    """A row for each strategy, with its shares; a plan without an upper limit says "or more"."""
    some = {name: STRATEGIES[name] for name in ("scratch", "fine_tune")}
    weak = {"weak": (0.62, True, 33, "Sees hardly more.")}
    many = simulate(tmp_path / "many", patients=160, strategies=some | weak)
    told = readings(many, tmp_path)
    plan = told["sample_size"]["plans"]["weak"]
    plan |= {"patients": 340.0, "low": 120.0, "high": None}
    write_json(told, many.folder / "readings.json")
    html = many.report()
    champion = many.evaluation.champion.strategy
    for name, one in told["threshold"]["strategies"].items():
        row = html.split(f'<th scope="row">{name}{" (champion)" if name == champion else ""}</th>')
        cells = next(piece for piece in row[1:] if f"{shown(one['least'])} to" in piece)
        for rate in one["rates"]:
            cell = f"{shown(rate['value'])} [{shown(rate['low'])}, {shown(rate['high'])}]"
            assert cell in cells.split("</tr>")[0]
    assert "340 [120 or more]" in html
    # More patients are needed for what is open alone; of the others it says that they are not.
    settle = html.split('id="sample-size"')[1].split("</table>")[0]
    assert re.findall(r'<th scope="row">(.*?)</th>', settle) == ["weak"]
    assert "Settled by this study: fine_tune (helps). What is still open:" in settle


def test_nothing_open_needs_no_plan(binary, tmp_path):
    compared = {
        name: row | {"verdict": "harms"}
        for name, row in binary.evaluation.verdict["strategies"].items()
    }
    verdict = binary.evaluation.verdict | {"strategies": compared}
    settled = replace(binary.evaluation, verdict=verdict)
    told = replace(binary, evaluation=settled, folder=tmp_path)
    shutil.copytree(binary.folder / "prepared", tmp_path / "prepared")
    shutil.copytree(binary.folder / "finetuned", tmp_path / "finetuned")
    readings(told, tmp_path)
    html = told.report()
    assert "linear_probe (harms), source_only (harms). Nothing is open.</p>" in html
    assert "plans-table" not in html

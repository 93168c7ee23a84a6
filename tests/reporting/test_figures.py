import re
import xml.etree.ElementTree as ET

import matplotlib
import pytest

from .simulated import STRATEGIES, simulate

FIGURES = {
    "binary": {"comparison", "performance", "calibration", "roc", "precision_recall", "learning"},
    "multiclass": {"comparison", "performance", "calibration", "learning"},
    "regression": {"comparison", "performance", "predicted", "learning"},
    "multilabel": {"comparison", "performance", "labels", "calibration", "learning"},
    "survival": {
        "comparison",
        "performance",
        "kaplan_meier",
        "calibration",
        "over_time",
        "learning",
    },
}


def test_figures_have_equal_bytes(any_task):
    first = any_task.draw("first")
    with matplotlib.rc_context({"font.size": 30, "svg.hashsalt": "mine", "axes.grid": True}):
        second = any_task.draw("second")
    assert first == second
    for name, figure in first.items():
        assert (any_task.folder / "second" / f"{name}.svg").read_text() == figure.svg


def test_every_task_has_its_figures(any_task):
    assert set(any_task.figures) == FIGURES[any_task.study.task]


def test_figures_are_titled_svg(any_task):
    for figure in any_task.figures.values():
        root = ET.fromstring(figure.svg)
        assert root.findtext("{http://www.w3.org/2000/svg}title") == figure.title


def test_captions_count_patients_and_runs(any_task):
    for figure in any_task.figures.values():
        assert "48 patients, 3 runs" in figure.caption


def test_one_strategy_has_no_comparison(tmp_path):
    alone = simulate(tmp_path, strategies={"scratch": STRATEGIES["scratch"]})
    assert set(alone.figures) == FIGURES["binary"] - {"comparison"}


def test_names_are_not_formulas(tmp_path):
    odd = {**STRATEGIES, r"$\frac{": STRATEGIES["fine_tune"]}
    assert r"$\frac{" in simulate(tmp_path, strategies=odd).figures["comparison"].svg


def test_comparison_title_counts_verdicts(binary):
    compared = binary.evaluation.verdict["strategies"].values()
    told = sum(row["uses_source"] and row["verdict"] == "cannot tell" for row in compared)
    title = binary.figures["comparison"].title
    assert title.startswith("Of 3 ways to use the source cohort, ")
    assert (f"{told} cannot be told from scratch" in title) == (told > 0)


def test_inline_ids_are_apart(binary):
    figures = [ET.fromstring(figure.inline()) for figure in binary.figures.values()]
    ids = [element.get("id") for root in figures for element in root.iter() if element.get("id")]
    assert len(ids) == len(set(ids))


def test_every_colour_has_a_name(any_task):
    """The page's own colours, so that no figure stays white in the dark."""
    for figure in any_task.figures.values():
        assert "var(--paper, #ffffff)" in figure.inline()
        assert not re.findall(r"(?<!, )#[0-9a-fA-F]{6}\b", figure.inline())


def test_inline_references_lead_somewhere(binary):
    for figure in binary.figures.values():
        root = ET.fromstring(figure.inline())
        ids = {element.get("id") for element in root.iter()}
        links = [element.get("{http://www.w3.org/1999/xlink}href") for element in root.iter()]
        assert {link.removeprefix("#") for link in links if link} <= ids


def test_figure_without_schema_tells_file(binary, tmp_path):
    from medgraft.errors import StageError
    from medgraft.reporting.figures import draw

    with pytest.raises(StageError, match=r"schema\.json not found"):
        draw(
            binary.study,
            binary.evaluation,
            metrics={},
            prepared=tmp_path,
            finetuned=tmp_path,
            folder=tmp_path,
        )


def test_every_kind_of_outcome_names_figures_there_are():
    from medgraft.config import task_kinds
    from medgraft.reporting.figures import DRAWINGS
    from medgraft.tasks import task as tasks

    named = {name for kind in task_kinds() for name in tasks.of(kind).figures}
    assert named == set(DRAWINGS)

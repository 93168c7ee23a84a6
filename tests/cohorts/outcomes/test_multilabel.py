"""Several labels: a column each, or names in one cell."""

from pathlib import Path

import numpy as np
import pytest

from medgraft.cohorts.load import load
from medgraft.errors import CohortError

COLUMNS = """\
name: films
outcomes:
  findings:
    task: multilabel
    labels: {effusion: eff, oedema: oed}
    negative: [0]
    positive: [1]
columns:
  age: {kind: number, unit: years}
sites:
  here: {file: here.csv}
"""
LIST = """\
name: films
outcomes:
  findings: {task: multilabel_list, column: found, labels: [effusion, oedema], none: [No Finding]}
columns:
  age: {kind: number, unit: years}
sites:
  here: {file: here.csv}
"""


def written(folder: Path, description: str, *lines: str) -> Path:
    (folder / "cohort.yaml").write_text(description)
    (folder / "here.csv").write_text("\n".join([*lines, ""]))
    return folder


def test_label_written_twice_is_refused(tmp_path: Path) -> None:
    """The number 1 and the text "1" are one label, of which the second took the place."""
    text = COLUMNS.replace("{effusion: eff, oedema: oed}", "{1: eff, '1': oed, x: third}")
    with pytest.raises(CohortError, match=r"outcomes.findings.labels: label '1' is written twice"):
        load(written(tmp_path, text), "here", "findings")


def refusal(folder: Path) -> str:
    with pytest.raises(CohortError) as error:
        load(folder, "here", "findings")
    return str(error.value).replace(f"{folder}/", "")


def test_both_ways_say_the_same(tmp_path: Path) -> None:
    """What was not recorded is NaN; a row without any label recorded is left out and counted."""
    rows = ["age,eff,oed", "61,1,0", "40,0,0", "52,1,1", "70,,"]
    columns = load(written(tmp_path, COLUMNS, *rows), "here", "findings")
    rows = ["age,found", "61,effusion", "40,No Finding", "52,oedema|effusion", "70,"]
    listed = load(written(tmp_path, LIST, *rows), "here", "findings")
    assert columns.y.tolist() == listed.y.tolist() == [[1, 0], [0, 0], [1, 1]]
    assert columns.outcome == listed.outcome
    assert columns.accounting.excluded == listed.accounting.excluded
    assert listed.accounting.excluded == {"findings not recorded": 1}


def test_single_labels_may_be_missing(tmp_path: Path) -> None:
    cohort = load(written(tmp_path, COLUMNS, "age,eff,oed", "61,1,", "40,0,1"), "here", "findings")
    np.testing.assert_array_equal(cohort.y, [[1, np.nan], [0, 1]])


def test_wrong_label_cell_is_named(tmp_path: Path) -> None:
    assert refusal(written(tmp_path, COLUMNS, "age,eff,oed", "61,1,0", "40,0,yes")) == (
        'here.csv, line 3, column oed: got "yes", expected one of 0, 1'
    )


def test_unknown_name_is_named(tmp_path: Path) -> None:
    assert refusal(written(tmp_path, LIST, "age,found", "61,effusion|edema", "40,oedema")) == (
        'here.csv, line 2, column found: got "effusion|edema", in which "edema" is none of '
        "effusion, oedema"
    )

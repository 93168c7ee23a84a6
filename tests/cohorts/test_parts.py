"""A file read in parts is the file read whole, and never in memory as a whole."""

import tracemalloc
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from medgraft.cohorts import cells
from medgraft.cohorts.load import load
from medgraft.cohorts.parts import Parts
from medgraft.cohorts.readers import csv, parquet
from medgraft.errors import CohortError
from medgraft.preparation.prepare import prepare
from medgraft.preparation.splits import Plan
from medgraft.preparation.table import Tables

DESCRIPTION = """\
name: clinic
patient: id
subgroups: [sex]
missing: ["", "?"]
outcomes:
  ill: {{column: ill, task: binary, negative: [0], positive: [1]}}
columns:
  sex: {{kind: category, categories: {{0: female, 1: male}}}}
  chol: {{kind: number, unit: mg/dl, range: [50, 700], disguised_missing: [0]}}
  age: {{kind: number, unit: years}}
  note: {{kind: number}}
format: {{reader: medgraft.cohorts.readers.{form}.read}}
sites:
  large: {{file: large.{form}}}
  small: {{file: small.{form}}}
"""


def patients(rows: int, seed: int) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    chol = rng.normal(200, 20, rows).round(2)
    chol[rng.random(rows) < 0.1] = 0
    age = rng.normal(60, 9, rows)
    age[rng.random(rows) < 0.1] = np.nan
    ill = pl.Series(rng.integers(0, 2, rows)).to_list()
    ill[3] = ill[-1] = None
    return pl.DataFrame(
        {
            "id": [f"{seed}-{row // 2}" for row in range(rows)],
            "sex": rng.integers(0, 2, rows),
            "chol": chol,
            "age": pl.Series(age).fill_nan(None),
            "note": rng.integers(0, 50, rows),
            "ill": ill,
        }
    )


@pytest.fixture(params=["csv", "parquet"])
def folder(request, tmp_path: Path) -> Path:
    (tmp_path / "cohort.yaml").write_text(DESCRIPTION.format(form=request.param))
    for name, rows, seed in (("large", 400, 1), ("small", 90, 2)):
        write(patients(rows, seed), tmp_path / f"{name}.{request.param}")
    return tmp_path


def write(table: pl.DataFrame, path: Path) -> None:
    table.write_csv(path) if path.suffix == ".csv" else table.write_parquet(path)


def in_parts(monkeypatch, rows: int) -> None:
    monkeypatch.setattr(csv, "BLOCK", rows)
    monkeypatch.setattr(csv, "PIECE", 20 * rows)
    monkeypatch.setattr(parquet, "TYPED", rows)
    monkeypatch.setattr(parquet, "AHEAD", 1)


def prepared(folder: Path, name: str) -> str:
    """Sums of all files that preparation writes, in which every statistic is."""
    sources, targets = ([load(folder, site, "ill")] for site in ("large", "small"))
    plan = Plan(runs=1, folds=3, validation_fraction=0.2)
    prepare(sources, targets, modality=Tables(), plan=plan, out=folder / name)
    files = sorted((folder / name).rglob("SHA256SUMS"))
    return "\n".join(file.read_text() for file in files)


@pytest.mark.parametrize("rows", [7, 100, 400])
def test_parts_make_the_same_bytes(folder, monkeypatch, rows):
    whole = prepared(folder, "whole")
    in_parts(monkeypatch, rows)
    assert prepared(folder, "parts") == whole


def test_parts_account_for_every_row(folder, monkeypatch):
    in_parts(monkeypatch, 7)
    entry = load(folder, "large", "ill").accounting
    assert (entry.rows_read, entry.rows_used) == (400, 398)
    assert entry.excluded == {"ill not recorded": 2}
    zeros = int((patients(400, 1)["chol"] == 0).sum())
    assert [note.split(" counted")[1] for note in entry.notes] == [
        f" as missing in {zeros} of 400 rows"
    ]


def test_wrong_cells_of_all_parts_are_told(folder, monkeypatch):
    """The first 20 by line, whichever part they are in, and how many more there are."""
    file = next(folder.glob("large.*"))
    table = patients(400, 1).with_row_index("row")
    spoilt = pl.when(pl.col("row") % 10 == 5).then(1250.0).otherwise(pl.col("chol"))
    write(table.with_columns(chol=spoilt).drop("row"), file)
    in_parts(monkeypatch, 7)
    with pytest.raises(CohortError) as error:
        load(folder, "large", "ill")
    told = str(error.value).splitlines()
    first = 6 + (file.suffix == ".csv")
    assert told[0].startswith(f'{file}, line {first}, column chol: got "1250')
    assert told[0].endswith("expected a number in mg/dl between 50 and 700")
    assert len(told) == 21
    assert told[-1] == "… and 20 more"


PLAIN = st.sampled_from(["1", "1.50", "12.50", "", " 2", "1e0", "nan", '"3"', "3 "])
CODED = st.sampled_from(["1", "7.25", "", "-9", "-9.0", "1e3", "inf"])
TEXT = st.sampled_from(["low", "high", "low", "high", " low", '"low"', "Low"])
CODE = st.sampled_from(["1", "low", "", "-9", "?", "1.0", "01", "-9.0"])
ILL = st.sampled_from(["0", "1", "low", "0", "", "0.0", '"0"'])
TRAPS = """\
name: traps
missing: [""]
outcomes:
  ill: {{column: ill, task: binary, negative: [0, low], positive: [1]}}
columns:
  plain: {{kind: number, range: [0, 10]}}
  coded: {{kind: number, missing_codes: [-9]}}
  text: {{kind: category, categories: {{low: low, " low": blank, high: high}}, missing: never}}
  code: {{kind: category, categories: {{1: one, low: other}}, disguised_missing: [-9, "?"]}}
format: {{reader: medgraft.cohorts.readers.{form}.read}}
sites:
  one: {{file: one.{form}}}
"""


@given(
    rows=st.lists(st.tuples(PLAIN, CODED, TEXT, CODE, ILL), min_size=1, max_size=4),
    form=st.sampled_from(["csv", "parquet"]),
    piece=st.sampled_from([1, 10**6]),
)
@settings(max_examples=200, deadline=None)
def test_typed_cells_are_read_as_their_text_is(tmp_path_factory, rows, form, piece):
    """Polars' numbers and Enums make the same cohort, or the same complaint, as text alone."""
    folder = tmp_path_factory.mktemp("typed")
    (folder / "cohort.yaml").write_text(TRAPS.format(form=form))
    names = ["plain", "coded", "text", "code", "ill"]
    if form == "csv":
        (folder / "one.csv").write_text("\n".join(map(",".join, [tuple(names), *rows])) + "\n")
    else:
        pl.DataFrame(rows, schema=names, orient="row").write_parquet(folder / "one.parquet")
    found = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv, "PIECE", piece)
        for types in (cells.type_of, lambda _: None):
            patch.setattr(cells, "type_of", types)
            found.append(told(folder))
    event("read" if found[0].startswith("{") else "refused")
    assert found[0] == found[1]


def told(folder: Path) -> str:
    """All of the cohort, or the complaint."""
    try:
        cohort = load(folder, "one", "ill")
    except CohortError as error:
        return str(error)
    return repr({field.name: repr(getattr(cohort, field.name)) for field in fields(cohort)})


@pytest.mark.parametrize("about", [0, 1000, 20 * 398, 10**5])
def test_values_of_earlier_parts_are_not_in_memory(folder, about):
    """However many rows were expected."""
    part = load(folder, "large", "ill")
    tracemalloc.start()
    with Parts(about) as parts:
        for _ in range(20):
            wide = np.repeat(part.values, 100, axis=1)
            parts.add(replace(part, values=wide), {})
        held = tracemalloc.get_traced_memory()[0]
        whole = parts.whole()
    tracemalloc.stop()
    assert held < 2 * wide.nbytes
    np.testing.assert_array_equal(whole.values, np.tile(wide, (20, 1)))

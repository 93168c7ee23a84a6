from contextlib import suppress
from datetime import date

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medgraft.cohorts.readers import csv, parquet
from medgraft.errors import CohortError

TYPED = pl.DataFrame(
    {
        "number": [1.0, 2.5, None, float("nan")],
        "code": [1, 2, None, 4],
        "word": [" a ", "", None, "d"],
        "day": [date(2026, 11, 26), None, None, None],
    }
)


def test_cells_are_as_delimited_text_holds_them(tmp_path):
    """A number without a fraction has no point; what is missing is empty."""
    TYPED.write_parquet(tmp_path / "a.parquet")
    found = parquet.read(tmp_path / "a.parquet", expected=TYPED.columns)
    assert found.cells.rows() == [
        ("1", "1", "a", "2026-11-26"),
        ("2.5", "2", "", ""),
        ("", "", "", ""),
        ("", "4", "d", ""),
    ]
    assert found.lines.tolist() == [1, 2, 3, 4]


@settings(max_examples=30, deadline=None)
@given(
    values=st.lists(st.integers(-9, 9), max_size=40),
    rows=st.integers(1, 7),
    group=st.integers(1, 50),
)
def test_blocks_join_in_order(tmp_path_factory, values, rows, group):
    path = tmp_path_factory.mktemp("parquet") / "a.parquet"
    pl.DataFrame({"a": values}, schema={"a": pl.Int64}).write_parquet(path, row_group_size=group)
    blocks = list(parquet.blocks(path, expected=["a"], rows=rows))
    assert [cell for block in blocks for cell in block.cells["a"]] == [str(v) for v in values]
    assert [line for block in blocks for line in block.lines] == [*range(1, len(values) + 1)]
    assert all(len(block.lines) <= rows for block in blocks)


def test_columns_are_checked_as_in_text(tmp_path):
    TYPED.write_parquet(tmp_path / "a.parquet")
    TYPED.write_csv(tmp_path / "a.csv")
    said = []
    for reader, name in ((parquet, "a.parquet"), (csv, "a.csv")):
        with pytest.raises(CohortError) as error:
            reader.read(tmp_path / name, expected=["number", "codes"], optional=["word", "day"])
        said.append(str(error.value).replace(str(tmp_path / name), ""))
    assert said[0] == said[1]
    assert 'column "code" is not declared, did you mean "codes"?' in said[0]


@settings(max_examples=150, deadline=None)
@given(at=st.integers(0, 10**6), byte=st.integers(0, 255), cut=st.integers(0, 10**6))
def test_damaged_file_is_read_or_refused(tmp_path_factory, at, byte, cut):
    path = tmp_path_factory.mktemp("parquet") / "a.parquet"
    TYPED.write_parquet(path)
    data = bytearray(path.read_bytes())
    data[at % len(data)] = byte
    path.write_bytes(data[: cut % (4 * len(data))])
    with suppress(CohortError):  # whatever else is raised fails the test
        parquet.read(path, expected=TYPED.columns)


def test_name_is_no_pattern(tmp_path):
    """Neither the file's, nor that of a folder it lies in."""
    folder = tmp_path / "trial [1] *"
    folder.mkdir()
    for name in ("new*.parquet", "new2.parquet", "s[1].parquet"):
        pl.DataFrame({"a": [name]}).write_parquet(folder / name)
    for name in ("new*.parquet", "s[1].parquet"):
        assert parquet.read(folder / name, expected=["a"]).cells["a"].to_list() == [name]
        assert parquet.height(folder / name) == 1

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medgraft.cohorts.readers import csv
from medgraft.errors import CohortError

NAMES = ("a", "b", "c")
CELL = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=8)


@given(rows=st.lists(st.tuples(CELL, CELL, CELL), max_size=20))
@settings(max_examples=50, deadline=None)
def test_reads_what_polars_writes(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str, str]]
) -> None:
    """Any text survives: delimiters, quotes and newlines inside cells."""
    path = tmp_path_factory.mktemp("csv") / "table.csv"
    table = pl.DataFrame(rows, schema=dict.fromkeys(NAMES, pl.String), orient="row")
    table.write_csv(path, quote_style="always")
    found = csv.read(path, expected=NAMES).cells
    assert found.equals(table.select(pl.all().str.strip_chars()))


def test_blocks_join_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv, "BLOCK", 3)
    path = tmp_path / "table.csv"
    path.write_text("a,b,c\n" + "".join(f"{i},{i},{i}\n" for i in range(8)))
    table = csv.read(path, expected=NAMES)
    assert table.cells["a"].to_list() == [str(i) for i in range(8)]
    np.testing.assert_array_equal(table.lines, np.arange(2, 10))


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_any_line_ending_reads(tmp_path: Path, newline: str) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(b"\xef\xbb\xbf" + newline.join(["a;b;c", " 1 ;2;3", "", "4;5;6"]).encode())
    table = csv.read(path, expected=NAMES, delimiter=";")
    assert table.cells.rows() == [("1", "2", "3"), ("4", "5", "6")]
    assert table.lines.tolist() == [2, 4]


@pytest.mark.parametrize("delimiter", ["", ",,", '"', "\n", 5])
def test_bad_delimiter_is_named(tmp_path: Path, delimiter: str) -> None:
    with pytest.raises(CohortError, match=r"got delimiter .*, expected one character"):
        csv.read(tmp_path / "table.csv", expected=NAMES, delimiter=delimiter)

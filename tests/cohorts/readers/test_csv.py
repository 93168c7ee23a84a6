import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medgraft.cohorts.readers import csv
from medgraft.cohorts.table import RawTable, joined
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


ANY = st.text(st.sampled_from('x1 \u2003\u00e9,"\r\x1f#'), max_size=5)
LINE = st.lists(ANY | ANY.map('"{}"'.format), max_size=4)


@given(lines=st.lists(LINE, max_size=12), newline=st.sampled_from(["\n", "\r\n"]))
@settings(max_examples=300, deadline=None)
def test_whoever_splits_the_lines_finds_the_same(
    tmp_path_factory: pytest.TempPathFactory, lines: list[list[str]], newline: str
) -> None:
    """Rows, lines and problems are those of Python's csv alone, be pieces large or small."""
    path = tmp_path_factory.mktemp("csv") / "table.csv"
    text = newline.join(["a,b,c", *map(",".join, lines)])
    path.write_bytes(text.encode())
    found = {}
    with pytest.MonkeyPatch.context() as patch:
        for piece in (1, 30, 10**6):
            patch.setattr(csv, "PIECE", piece)
            found[piece] = outcome(lambda: csv.read(path, expected=NAMES))
    found[0] = outcome(lambda: joined(csv.blocks(path, expected=NAMES, rows=2)))
    alone = io.StringIO(text, newline="")
    expected = outcome(lambda: csv.parse(alone, expected=NAMES))
    for one in found.values():
        assert one == expected.replace(str(csv.REQUEST), str(path))


def outcome(read: Callable[[], RawTable]) -> str:
    """What was read, or the complaint."""
    try:
        table = read()
    except CohortError as error:
        return str(error)
    return repr((table.cells.rows(), table.lines.tolist(), table.problems))


def test_sound_lines_are_not_read_one_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Large tables would take three times as long."""
    path = tmp_path / "table.csv"
    path.write_text('"a",b,c\n' + '1,,"é"\n' * 100)
    monkeypatch.setattr(csv, "_tables", lambda *_: pytest.fail("read by Python"))
    assert csv.read(path, expected=NAMES).cells.rows() == [("1", "", "é")] * 100


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


@pytest.mark.parametrize("blank", [0, 5000], ids=["plain", "blank lines first"])
def test_room_is_made_for_every_row_and_no_blank_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, blank: int
) -> None:
    monkeypatch.setattr(csv, "COUNTED", 9000)
    path = tmp_path / "a.csv"
    path.write_text("id,age\n" + "\n" * blank + "".join(f"{row % 10},1\n" for row in range(5000)))
    rows = len(csv.read(path, expected=["id", "age"]).lines)
    assert rows == 5000
    assert 0.5 * rows < csv.about(path) < 1.2 * rows
    assert csv.about(path) >= rows or blank

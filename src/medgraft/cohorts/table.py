"""What every reader returns, whatever the format: cells as text, where they stood, what failed."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import islice
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from medgraft.construct import printable
from medgraft.errors import CohortError

SHOWN = 20
GUESSED = 1000  # names that a misspelt one is compared with
LONGEST = 80  # characters of a name worth showing

Types = Mapping[str, pl.DataType]
"""By column, what its cells may come as instead of text; see `cells.type_of`."""
NONE: Types = {}


@dataclass(frozen=True)
class Problem:
    """Something wrong on one line of a file."""

    line: int
    text: str


@dataclass(frozen=True)
class RawTable:
    """A file as text. `cells` has one string column per name, without surrounding blanks; a reader
    may leave numbers and the texts of an Enum as they are.

    `lines` is int64 [rows], the line (or record number) where each row begins. A row that does not
    fit the header is left out of `cells` and stands in `problems`. `names` [rows] are those of the
    records, where the format has any; a name may be a patient's, and no message shows one.
    """

    cells: pl.DataFrame
    lines: NDArray[np.int64]
    problems: tuple[Problem, ...] = ()
    names: pl.Series | None = None

    def problem(self, row: int, text: str) -> Problem:
        """Something wrong with one row."""
        return Problem(int(self.lines[row]), text)


def joined(tables: Iterable[RawTable]) -> RawTable:
    """Tables of one file, at least one, as one."""
    parts = list(tables)
    named = [part.names for part in parts if part.names is not None]
    return RawTable(
        pl.concat([part.cells for part in parts]),
        np.concatenate([part.lines for part in parts]),
        tuple(problem for part in parts for problem in part.problems),
        pl.concat(named) if named else None,
    )


def refuse(path: Path, problems: Iterable[Problem], count: int) -> None:
    """Raise one CohortError for all problems, first lines first; do nothing if there are none.

    `count` is how many there are; `problems` holds at least the first `SHOWN` of them.
    """
    if count == 0:
        return
    first = sorted(problems, key=lambda problem: problem.line)[:SHOWN]
    lines = [f"{path}, line {problem.line}, {problem.text}" for problem in first]
    if count > len(first):
        lines.append(f"… and {count - len(first)} more")
    raise CohortError("\n".join(lines))


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`, did you mean "age"?` for the closest known name, or nothing."""
    close = get_close_matches(name, list(known), n=1)
    return f", did you mean {quoted(close[0])}?" if close else ""


def header_problems(header: Iterable[str], expected: Iterable[str]) -> Iterator[str]:
    """What is wrong with the names of a file's columns, given the names described."""
    problems = list(islice(_header_problems(list(header), list(expected)), SHOWN + 1))
    yield from problems[:SHOWN]
    if len(problems) > SHOWN:
        yield "… and more columns like these"


def _header_problems(names: list[str], known: list[str]) -> Iterator[str]:
    present, described = set(names), set(known)
    absent = [name for name in known if name not in present]
    for name, count in Counter(names).items():
        if count > 1:
            yield f"column {quoted(name)} appears {count} times"
    for name in dict.fromkeys(names):
        if name not in described:
            yield f"column {quoted(name)} is not declared{did_you_mean(name, absent[:GUESSED])}"
    for name in absent:
        yield f"column {quoted(name)} is declared and absent"


def quoted(text: str, longest: int = LONGEST) -> str:
    """A name or a value from a file, in quotation marks, as one line of a message can show it."""
    shown = text if len(text) <= longest else f"{text[:longest]}…"
    return '"' + printable(shown).replace("\n", "\\n") + '"'

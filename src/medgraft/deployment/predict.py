"""A file of raw records -> a file of answers."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import polars as pl

from medgraft.cohorts.table import RawTable
from medgraft.deployment import writing
from medgraft.deployment.model import Model, load
from medgraft.deployment.names import NAME, Names, name_of, warned
from medgraft.deployment.reading import Incoming, incoming
from medgraft.errors import MedgraftError


@dataclass(frozen=True)
class Counts:
    """How many records were answered and refused; together all that the input holds.

    `problems` names the file that lists the refused ones, where there is one. `formulas` is how
    many records have a name that a spreadsheet would carry out; it is written as it came, since
    with another name an answer could not be joined to its record. `nameless` is how many have none;
    `repeated` the lines of every name that comes more than once.
    """

    answered: int
    refused: int
    done: str = "answered"
    problems: str = ""
    formulas: int = 0
    nameless: int = 0
    repeated: list[list[int]] = field(default_factory=list)

    def text(self) -> str:
        """For the terminal: a line, and one more where a spreadsheet would carry out a name."""
        records = self.answered + self.refused
        told = f"{records:,} record{'' if records == 1 else 's'}: {self.answered:,} {self.done}"
        where = f" (see {self.problems or 'column problem'})" if self.refused else ""
        return f"{told}, {self.refused:,} refused{where}{self._warning()}"

    def warnings(self) -> str:
        """For whoever joins the answers to the records; empty where every record has its own id."""
        return warned(self.nameless, self.repeated)

    def _warning(self) -> str:
        if not self.formulas:
            return ""
        names = "1 name begins" if self.formulas == 1 else f"{self.formulas:,} names begin"
        return (
            f"\nwarning: {names} like a formula (=, +, -, @); names are written as they came: "
            "import that column into a spreadsheet as text"
        )


def predict(champion: Path, source: Path, target: Path) -> Counts:
    """Answer every record of `source` in `target`, one line each, in order.

    However many there are, some thousand are in memory at a time. Refused records are listed once
    more in `problems_beside(target)`; where none is, that file is removed.

    Args:
        champion: folder written by `export`.
        source: see `reading.incoming`.
        target: file to write, whole or not at all; see `writing.table`.

    Raises:
        MedgraftError: the champion or the file cannot be read, the file's columns are not those
            described, or `target` cannot be written.
    """
    beside = problems_beside(target)
    refuse_overwriting(source, target, beside)
    model = load(champion)
    new = incoming(model.records, source)
    asked, answered, refused, names = replace(model, records=new.records), 0, 0, Names()
    with ExitStack() as stack:
        answers = stack.enter_context(writing.table(target))
        problems: writing.Writer | None = None
        for table in shown(new):
            rows, wrong = answer(asked, table)
            answers.add(rows)
            if len(wrong):
                problems = problems or stack.enter_context(writing.table(beside))
                problems.add(wrong)
            answered, refused = answered + len(rows) - len(wrong), refused + len(wrong)
            names.add(model.records, table)
    if not refused:
        beside.unlink(missing_ok=True)
    named = beside.name if refused else ""
    return Counts(answered, refused, problems=named, **names.told())


def problems_beside(target: Path) -> Path:
    """Where refused records are listed: `answers.problems.csv` beside `answers.parquet`."""
    ending = "".join(target.suffixes[-2:]) if target.suffix == ".gz" else target.suffix
    return target.parent / f"{target.name.removesuffix(ending)}.problems.csv"


def refuse_overwriting(source: Path, *targets: Path) -> None:
    """Raise MedgraftError where an output is the input, would be part of it, or is a folder."""
    asked = Path(os.path.realpath(source))  # which bears links in a circle, as `resolve` does not
    for target in targets:
        written = Path(os.path.realpath(target))
        if asked == written:
            raise MedgraftError(f"{target}: is the input; write the answers to another file")
        if target.is_dir():
            raise MedgraftError(f"{target}: is a folder, expected the name of a file")
        if asked in written.parents:
            raise MedgraftError(f"{target}: lies in the input; write the answers elsewhere")


def answer(model: Model, table: RawTable) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Rows in file order: each record's name where there is one, its answer or problem.

    Returns:
        Every record, and once more those refused: `line` (the place in the file, from 1), `record`
        (its name) and `problem`.
    """
    named = name_of(model.records, table)
    answered = pl.DataFrame([*named, *model.predict(table.cells)])
    broken = pl.DataFrame({"problem": [one.text for one in table.problems]}, {"problem": pl.String})
    rows = pl.concat([answered, broken], how="diagonal")
    lines = np.append(table.lines, [one.line for one in table.problems]).astype(np.int64)
    order = np.argsort(lines, kind="stable")
    rows, lines = rows[order], lines[order]
    names = rows[named[0].name] if named else pl.repeat(None, len(rows), eager=True)
    wrong = pl.DataFrame(
        [pl.Series("line", lines), names.cast(pl.String).alias(NAME), rows["problem"]]
    )
    return rows, wrong.filter(pl.col("problem") != "")


def shown(new: Incoming) -> Iterator[RawTable]:
    """Its blocks, with a bar of progress where somebody looks on."""
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress, TimeElapsedColumn

    told = (*Progress.get_default_columns()[:2], MofNCompleteColumn(), TimeElapsedColumn())
    seen = sys.stdout.isatty() and sys.stderr.isatty()
    terminal = Console(stderr=True, no_color=True)
    with Progress(*told, console=terminal, transient=True, disable=not seen) as bar:
        task = bar.add_task("records", total=new.total)
        for table in new.blocks:
            yield table
            bar.advance(task, len(table.lines) + len(table.problems))

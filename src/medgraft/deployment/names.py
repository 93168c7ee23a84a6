"""Whom or what records say they are about: names, which no message shows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from medgraft.cohorts import cells
from medgraft.cohorts.table import RawTable
from medgraft.deployment.records import Records
from medgraft.preparation.findings import listed

NAME = "record"  # the column that says which file or sequence an answer is about
FORMULA = r"^[=+\-@\t\r]"  # https://owasp.org/www-community/attacks/CSV_Injection


def name_of(records: Records, table: RawTable) -> list[pl.Series]:
    """The column that says whom or what a record is about, where there is one."""
    patient = [column for column in table.cells if column.name == records.patient]
    return patient or ([] if table.names is None else [table.names.alias(NAME)])


@dataclass
class Names:
    """What is odd about the names of all records, told a block at a time.

    Of each record a hash of 8 bytes and its line are kept. `formulas`: how many a spreadsheet
    would carry out. `nameless`: how many records should have one and have none.
    """

    formulas: int = 0
    nameless: int = 0
    hashes: list[NDArray[np.uint64]] = field(default_factory=list)
    lines: list[NDArray[np.int64]] = field(default_factory=list)

    def add(self, records: Records, table: RawTable) -> None:
        """Look at the names of further records."""
        named = name_of(records, table)
        if not named:
            self.nameless += len(table.lines) if records.patient else 0
            return
        names = named[0].cast(pl.String).fill_null("")
        absent = cells.absent(names, ("", *records.description.missing))
        self.nameless += int(absent.sum())
        self.formulas += formulas(names)
        self.hashes.append(names.filter(~absent).hash().to_numpy())
        self.lines.append(table.lines[~absent.to_numpy()])

    def told(self) -> dict[str, Any]:
        """What `predict.Counts` has of it."""
        odd = {"formulas": self.formulas, "nameless": self.nameless}
        return odd | {"repeated": self.repeated()}

    def repeated(self) -> list[list[int]]:
        """The lines of every name that comes more than once, first lines first."""
        if not self.hashes:
            return []
        told = pl.DataFrame({"of": np.concatenate(self.hashes), "line": np.concatenate(self.lines)})
        groups = told.group_by("of", maintain_order=True).agg("line")
        return groups.filter(pl.col("line").list.len() > 1)["line"].to_list()


def formulas(names: pl.Series) -> int:
    """How many names a spreadsheet would take for a formula; numbers, such as -1, are none."""
    begins = names.str.contains(FORMULA) & names.cast(pl.Float64, strict=False).is_null()
    return int(begins.sum())


def warned(nameless: int, repeated: list[list[int]]) -> str:
    """A line for records without an id, and one for those that share one; empty where none do."""
    said = []
    if nameless:
        has = "1 record has" if nameless == 1 else f"{nameless:,} records have"
        said.append(f"warning: {has} no id; the answers are in the order of the input")
    if repeated:
        comes = "1 id comes" if len(repeated) == 1 else f"{len(repeated):,} ids come"
        where = listed([f"({listed(lines)})" for lines in repeated])
        said.append(
            f"warning: {comes} more than once, in lines {where}; every record has its own answer"
        )
    return "\n".join(said)

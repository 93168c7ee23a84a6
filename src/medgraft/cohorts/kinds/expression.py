"""Expression of many genes: cells name samples, a matrix beside the table holds their values."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field

from medgraft.cohorts import files, genes, matrices
from medgraft.cohorts.cells import Reading, absent
from medgraft.cohorts.codes import Code, Strict
from medgraft.cohorts.genes import Genes
from medgraft.cohorts.kinds.kind import Measured
from medgraft.cohorts.kinds.table import Number
from medgraft.cohorts.matrices import Matrix
from medgraft.cohorts.schema import Column
from medgraft.cohorts.table import quoted

Integers = NDArray[np.int64]
Numbers = NDArray[np.float64]
Rows = Mapping[str, int]


class Annotation(Strict):
    """The table that says which gene a probe measures, and the names of its two columns."""

    file: str
    probe: str
    gene: str


@dataclass(frozen=True, eq=False)
class Part:
    """What one matrix says: `rows` of the table it holds, their `values` [rows, genes].

    `why` says per row of the table what is wrong with it.
    """

    rows: Integers
    ids: tuple[str, ...]
    values: Numbers
    why: dict[int, str]
    told: dict[str, int]


class MatrixFile(Strict):
    """One matrix: what its `values` are, and whose genes its probes are (None: probes are genes).

    `log`: logarithms already; `intensities`: become log2, at least 0; `counts`: become log(1 + per
    million of the sample's library). `collapse` puts a gene's probes together, before that: their
    `mean`, their `max` in each sample, their `sum`; if unsaid, counts are summed, others averaged.
    """

    file: str
    values: Literal["log", "intensities", "counts"]
    annotation: Annotation | None = None
    collapse: Literal["mean", "max", "sum"] | None = None

    def part(self, rows: Rows, *, missing: tuple[Code, ...], folder: Path) -> Part:
        """What it holds of the samples in `rows` (sample -> row of the table)."""
        matrix = matrices.read(files.inside(folder, self.file), wanted=rows.keys(), missing=missing)
        known = genes.of_probes(matrix.probes.tolist(), self._annotated(folder))
        chosen = np.array([i for i, s in enumerate(matrix.samples) if s in rows], dtype=np.int64)
        own = np.array([rows[sample] for sample in matrix.samples[chosen]], dtype=np.int64)
        scale = genes.SCALES[self.values]
        values = scale.genes(
            matrix.values[chosen], known.place, len(known.ids), collapse=self.collapse
        )
        bad = self._bad(matrix, chosen, known)
        why = {int(row): bad[i] for row, i in zip(own, chosen.tolist(), strict=True) if i in bad}
        told = {"samples without a row": len(matrix.samples) - len(own)} | known.told
        return Part(own, known.ids, values, why, told)

    def _annotated(self, folder: Path) -> dict[str, str] | None:
        named = self.annotation
        if named is None:
            return None
        return genes.annotation(
            files.inside(folder, named.file), probe=named.probe, gene=named.gene
        )

    def _bad(self, matrix: Matrix, chosen: Integers, known: Genes) -> dict[int, str]:
        """Sample, as a position -> the first of its cells that is no number or cannot be."""
        scale = genes.SCALES[self.values]
        row, probe = np.nonzero(~scale.fits(matrix.values[chosen]))
        cells = {
            (int(chosen[r]), int(p)): f"{matrix.values[chosen[r], p]:g}"
            for r, p in zip(row, probe, strict=True)
        }
        cells |= {
            cell: text for cell, text in matrix.foreign.items() if cell[0] in set(chosen.tolist())
        }
        count = Counter(sample for sample, _ in cells)
        told: dict[int, str] = {}
        for (sample, position), text in sorted(cells.items()):
            more = f" and {count[sample] - 1} more" if count[sample] > 1 else ""
            gene = _gene(matrix, position, known)
            told.setdefault(
                sample, f"{self.file}: {gene}: got {quoted(text)}, expected {scale.expected}{more}"
            )
        return told


def _gene(matrix: Matrix, probe: int, known: Genes) -> str:
    """`gene 2099 (probe NM_000125)`."""
    name, place = matrix.probes[probe], known.place[probe]
    gene = known.ids[place] if place >= 0 else "unknown"
    return f"gene {gene}" if gene == name else f"gene {gene} (probe {name})"


class Expression(Measured):
    """A column of sample identifiers; `matrices` are searched for them.

    Samples of one site may lie in several matrices: the genes that all of these measure are kept.
    With `unmatched: left out` a sample that is in none of them is missing, not wrong.
    """

    kind: Literal["expression"]
    matrices: tuple[MatrixFile, ...] = Field(min_length=1)
    unmatched: Literal["refused", "left out"] = "refused"

    def read(self, cells: pl.Series, *, missing: tuple[Code, ...], folder: Path) -> Reading:
        """Values float64 [n, genes]; `details` name the genes and count samples and probes.

        Raises:
            CohortError: a matrix or an annotation cannot be read.
        """
        codes = missing + self.missing_codes
        empty = absent(cells, (*codes, "")).to_numpy()
        rows, why = _by_sample(cells, empty)
        parts = [entry.part(rows, missing=codes, folder=folder) for entry in self.matrices]
        parts = [part for part in parts if len(part.rows)]
        times = Counter(row for part in parts for row in part.rows.tolist())
        unknown = [row for row in rows.values() if not times[row]]
        why |= {row: text for part in parts for row, text in part.why.items()}
        why |= {row: "stands in more than one matrix" for row, n in times.items() if n > 1}
        if self.unmatched == "refused":
            why |= dict.fromkeys(unknown, f"no such sample in {self._files()}")
        ids, values = _joined(parts, len(cells))
        told = {"samples without a column": len(unknown)} | _sums(part.told for part in parts)
        return Reading(
            values,
            empty | _marked(unknown, len(cells)),
            _marked(why, len(cells)) | (empty & (self.missing == "never")),
            why=why,
            details={"genes": list(ids), "told": told},
        )

    def breach(self, name: str, cells: pl.Series, reading: Reading, row: int) -> str:
        """What is wrong with a sample or its values; its name may tell who the patient is."""
        del cells
        if row not in reading.why:
            return f"column {name}: missing, expected a sample of {self._files()}"
        return f"column {name}: {reading.why[row]}"

    def column(self, name: str, reading: Reading) -> Column:
        """The column as the validated cohort states it."""
        return Column(name, "expression", details=reading.details)

    def example(self) -> str:
        """A sample's name; what new records hold is in `served`."""
        return "sample"

    def served(self, name: str, features: Sequence[Mapping[str, Any]]) -> Mapping[str, Measured]:
        """A new record holds a number per gene, on the scale the matrices end up on."""
        del name
        return {feature["name"]: Number(kind="number") for feature in features}

    def _files(self) -> str:
        return " or ".join(entry.file for entry in self.matrices)


def _by_sample(cells: pl.Series, empty: NDArray[np.bool_]) -> tuple[dict[str, int], dict[int, str]]:
    """Sample -> the first row that names it, and what is wrong with the other rows that do."""
    rows: dict[str, int] = {}
    why: dict[int, str] = {}
    for row in np.flatnonzero(~empty).tolist():
        if rows.setdefault(cells[row], row) != row:
            why[row] = "an earlier row has the same sample"
    return rows, why


def _joined(parts: Sequence[Part], count: int) -> tuple[tuple[str, ...], Numbers]:
    """The genes all parts measure, in the first's order, and their values [count, genes]."""
    if not parts:
        return (), np.empty((count, 0))
    others = [set(part.ids) for part in parts[1:]]
    ids = tuple(gene for gene in parts[0].ids if all(gene in other for other in others))
    values = np.full((count, len(ids)), np.nan)
    for part in parts:
        place = {gene: column for column, gene in enumerate(part.ids)}
        values[part.rows] = part.values[:, [place[gene] for gene in ids]]
    return ids, values


def _sums(told: Iterable[dict[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for counts in told:
        total.update(counts)
    return dict(total)


def _marked(rows: Iterable[int], count: int) -> NDArray[np.bool_]:
    marked = np.zeros(count, dtype=bool)
    marked[list(rows)] = True
    return marked

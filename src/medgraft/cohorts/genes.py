"""Probes -> genes, and raw values -> a scale on which patients can be compared.

Every step here looks at one sample at a time, so nothing about one patient reaches another: no gene
is picked by its spread, no probe by its mean over patients who may turn out to be tested.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from medgraft.cohorts import matrices
from medgraft.cohorts.table import did_you_mean, quoted
from medgraft.errors import CohortError

Numbers = NDArray[np.float64]
Objects = NDArray[np.object_]

SEVERAL = "///"  # between the genes of a probe that binds more than one (Affymetrix)


@dataclass(frozen=True)
class Scale:
    """What the cells of a matrix are: what fits, how they are to be compared.

    `transform` takes [samples, genes] and the library size [samples], that of all probes;
    `collapse` names how probes of a gene are put together where the user does not say.
    """

    expected: str
    low: float
    high: float
    collapse: str
    transform: Callable[[Numbers, Numbers], Numbers]

    def fits(self, values: Numbers) -> NDArray[np.bool_]:
        """Which cells are possible; a missing one always is."""
        return np.isnan(values) | ((values >= self.low) & (values <= self.high))

    def genes(
        self, values: Numbers, place: NDArray[np.int64], genes: int, *, collapse: str | None = None
    ) -> Numbers:
        """Comparable values float64 [samples, genes] of raw ones [samples, probes].

        `place` is the gene's position for each probe (-1: none), `collapse` a name in `COLLAPSES`.
        """
        together = COLLAPSES[collapse or self.collapse]
        with np.errstate(
            all="ignore"
        ):  # what does not fit, negative counts, is refused by its cell
            return self.transform(together(values, place, genes), np.nansum(values, axis=1))


def mean(values: Numbers, place: NDArray[np.int64], genes: int) -> Numbers:
    """The mean of a gene's measured probes; NaN where none was measured."""
    seen = total(np.where(np.isnan(values), np.nan, 1.0), place, genes)
    return total(values, place, genes) / seen


def brightest(values: Numbers, place: NDArray[np.int64], genes: int) -> Numbers:
    """The largest of a gene's measured probes, sample by sample; NaN where none was measured.

    On one-colour arrays the brighter probes of a gene are the better ones (Miller et al.,
    "Strategies for aggregating gene expression data", BMC Bioinformatics 12 (2011) 322). There the
    probe is chosen by its mean over all patients, those to be tested among them; here it is not.
    """
    probes = np.flatnonzero(place >= 0)
    order = probes[np.argsort(place[probes], kind="stable")]
    found, starts = np.unique(place[order], return_index=True)
    result = np.full((len(values), genes), np.nan)
    if len(found):
        result[:, found] = np.fmax.reduceat(values[:, order], starts, axis=1)
    return result


def total(values: Numbers, place: NDArray[np.int64], genes: int) -> Numbers:
    """The sum of a gene's measured probes; NaN where none was measured."""
    from scipy.sparse import csr_array

    probes = np.flatnonzero(place >= 0)
    shape = (values.shape[1], genes)
    members = csr_array((np.ones(len(probes)), (probes, place[probes])), shape=shape)
    known = ~np.isnan(values)
    measured = known.astype(np.float64) @ members > 0
    return np.where(measured, np.where(known, values, 0) @ members, np.nan)


def _as_it_is(values: Numbers, library: Numbers) -> Numbers:
    del library
    return values


def _log2(values: Numbers, library: Numbers) -> Numbers:
    del library
    return np.log2(np.maximum(values, 1))


def _log_cpm(values: Numbers, library: Numbers) -> Numbers:
    """log(1 + counts per million of the sample's library)."""
    size = np.where(library > 0, library, np.nan)
    return np.log1p(values / size[:, None] * 1e6)


COLLAPSES: Mapping[str, Callable[[Numbers, NDArray[np.int64], int], Numbers]] = {
    "mean": mean,
    "max": brightest,
    "sum": total,
}
SCALES: Mapping[str, Scale] = {
    "log": Scale("a logarithm (of intensities, ratios)", -50, 50, "mean", _as_it_is),
    "intensities": Scale("an intensity", -1e9, 1e9, "mean", _log2),
    "counts": Scale("a count of at least 0", 0, 1e12, "sum", _log_cpm),
}


@dataclass(frozen=True, eq=False)
class Genes:
    """`ids` of the genes, sorted; `place` int64 [probes]: the gene's position, -1 for none.

    `told` counts what became of the probes.
    """

    ids: tuple[str, ...]
    place: NDArray[np.int64]
    told: dict[str, int]


def of_probes(probes: Sequence[str], annotation: Mapping[str, str] | None) -> Genes:
    """Which gene each probe measures; without an annotation every probe is its own gene.

    A probe that binds several genes, or none known, is left out and counted.
    """
    names = [probe if annotation is None else annotation.get(probe, "") for probe in probes]
    single = ["" if SEVERAL in name else name for name in names]
    ids = sorted(set(single) - {""}, key=_natural)
    position = {gene: index for index, gene in enumerate(ids)}
    place = np.array([position.get(gene, -1) for gene in single], dtype=np.int64)
    several = sum(SEVERAL in name for name in names)
    told = {
        "probes": len(names),
        "probes without a gene": names.count(""),
        "probes of several genes": several,
        "genes": len(ids),
        "genes with several probes": int((np.bincount(place[place >= 0]) > 1).sum()),
    }
    return Genes(tuple(ids), place, told)


def _natural(gene: str) -> tuple[int, int, str]:
    """Entrez numbers by size, then names."""
    return (0, int(gene), gene) if gene.isdecimal() else (1, 0, gene)


def annotation(path: Path, *, probe: str, gene: str) -> dict[str, str]:
    """Probe -> gene from a table with a header; the names are those of its two columns.

    Raises:
        CohortError: the file cannot be read, lacks a column, or gives a probe two genes.
    """
    ending = Path(path.name.removesuffix(".gz")).suffix
    try:
        frame = pl.read_csv(
            matrices.content(path), separator="," if ending == ".csv" else "\t", infer_schema=False
        )
    except pl.exceptions.PolarsError as error:
        raise CohortError(f"{path}: not a table ({str(error).splitlines()[0]})") from None
    for name in (probe, gene):
        if name not in frame.columns:
            hint = did_you_mean(name, frame.columns)
            raise CohortError(f'{path}: has no column "{name}"{hint}')
    pairs = frame.select(probe=_id(probe), gene=_id(gene)).unique(maintain_order=True)
    twice = pairs.filter(pl.col("probe").is_duplicated())["probe"].unique(maintain_order=True)
    if len(twice):
        more = f" and {len(twice) - 1} more" if len(twice) > 1 else ""
        raise CohortError(f"{path}: gives more than one gene for probe {quoted(twice[0])}{more}")
    return dict(zip(pairs["probe"], pairs["gene"], strict=True))


def _id(column: str) -> Any:
    """An identifier as text; a number that a spreadsheet wrote as 2099.0 is 2099."""
    cell = pl.col(column).str.strip_chars().fill_null("")
    cell = pl.when(cell.is_in(list(matrices.ABSENT))).then(pl.lit("")).otherwise(cell)
    return cell.str.replace(r"^(\d+)\.0$", "$1")

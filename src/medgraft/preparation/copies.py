"""Who is the same person: repeated identifiers, and rows too alike to be two patients.

Two rows are identical when every feature both sites measured has the same value, missing cells
included. Whether that can be a coincidence is judged from the numbers alone. Feature f ties by
chance between two patients of one site with probability c_f, counted within each site (the larger
counts, never less than one tied pair, and never across sites, so copies do not excuse themselves).
Over P pairs of rows, independent features would give P * prod(c_f) coincidences; measurements of
one patient are correlated, so only half of them are taken to be independent:

    expected = P * prod(c_f) ** (1/2)    over the numeric features measured in the row

By the union bound `expected` also bounds the probability of even one coincidence. Below
`IMPLAUSIBLE` a row shared by source and target is a leak. Categories never count as evidence:
patients with the same answers to ten yes/no questions are ordinary.
"""

from collections.abc import Iterator
from itertools import compress

import numpy as np
import polars as pl
from numpy.typing import NDArray

from medgraft.cohorts.identifiers import alike, among, repeated
from medgraft.cohorts.schema import Column
from medgraft.preparation.alignment import Aligned, Table
from medgraft.preparation.arrays import SOME
from medgraft.preparation.findings import Finding, Severity, count, listed

IMPLAUSIBLE = 1e-3
# Identical rows this rare are kept together in every split even where they may be coincidence:
# joining a few strangers costs nothing, separating a patient from a copy leaks.
RARE = 0.05
# Columns by which rows are told apart before they are compared whole.
FEW = 8

Numbers = NDArray[np.float64]
Integers = NDArray[np.int64]


def patient_codes(table: Table, columns: tuple[Column, ...]) -> tuple[Integers, list[Finding]]:
    """Give every row of `table` its patient's code, int64 [n], numbered by first appearance.

    Rows with one identifier are one patient, and so are identical rows (see the module) unless they
    are frequent and coincidence explains them. Findings say what was joined.
    """
    person = table.person
    row = _sparse_row_codes(table.x)
    twins = _several_patients(row, person)
    if not twins.any():
        return _by_appearance(person), []
    joined = _expected(table.x, table.x, table.x[twins], columns) < 1
    rare = twins.mean() <= RARE
    join = np.zeros(len(table), dtype=bool)
    join[twins] = joined | rare
    findings = list(_twin_findings(table, joined=join, ordinary=twins & ~join))
    return _by_appearance(_merge(person, row, join)), findings


def repeated_patients(aligned: Aligned) -> Iterator[Finding]:
    """Report identifiers in both roles or alike (leaks), in two sites, or with two outcomes."""
    fewer, more = sorted(aligned.tables, key=len)
    known = set(fewer.patient)
    crossing = sorted(set(more.patient[among(more.patient, known)]))
    if crossing:
        places = "; ".join(
            lines(table, np.isin(table.patient, crossing))
            for table in (aligned.source, aligned.target)
        )
        message = (
            f"{count(len(crossing), 'patient identifier')} of the target also in the source "
            f"({places}); where each site numbers its own patients, make the identifiers distinct"
        )
        yield Finding("same patient", "leak", "source and target", len(crossing), message)
    yield from _alike(aligned)
    for table in (aligned.source, aligned.target):
        yield from _across_sites(table)
        yield from _two_outcomes(table)


def _alike(aligned: Aligned) -> Iterator[Finding]:
    # Refused, whoever they are: joined, two patients might be one; apart, one might train and test.
    both = np.concatenate([table.patient for table in aligned.tables])
    found = dict(zip(aligned.tables, np.split(alike(both), [len(aligned.tables[0])]), strict=True))
    rows = sum(int(some.sum()) for some in found.values())
    if rows:
        places = "; ".join(lines(table, some) for table, some in found.items() if some.any())
        message = (
            f"{count(rows, 'row')} with patient identifiers that look like another's and are not "
            f"the same text ({places}): they differ in blanks, in what cannot be seen or in how "
            "an accent is written; write a patient's alike in all rows, or two patients' apart"
        )
        yield Finding("identifiers that look alike", "leak", "source and target", rows, message)


def identical_rows(aligned: Aligned) -> Iterator[Finding]:
    """Report target rows identical to a source row, site by site, over what both measured."""
    for source in aligned.source.sites:
        for target in aligned.target.sites:
            yield from _crossing_rows(aligned, source, target)


def _crossing_rows(aligned: Aligned, source: str, target: str) -> Iterator[Finding]:
    ours = aligned.source.take(aligned.source.site == source)
    theirs = aligned.target.take(aligned.target.site == target)
    both = _measured(ours.x) & _measured(theirs.x)
    if not both.any():
        return
    some = _candidates(ours.x, theirs.x, np.flatnonzero(both))
    z = theirs.x[:, both]
    codes, wanted = np.split(_row_codes(np.concatenate([ours.x[some][:, both], z])), [len(some)])
    copied = np.isin(wanted, codes)
    if not copied.any():
        return
    expected = np.full(len(z), np.nan)
    columns = tuple(compress(aligned.columns, both))
    expected[copied] = _expected(ours.x[:, both], z, z[copied], columns)
    for severity, rows in _graded(expected):
        places = (
            f"{_numbered(target, theirs.line[rows])}; "
            f"{_numbered(source, ours.line[some[np.isin(codes, wanted[rows])]])}"
        )
        number = int(rows.sum())
        message = _describe_crossing(severity, number, int(both.sum()), places)
        yield Finding("identical rows", severity, f"{source} and {target}", number, message)


def _graded(expected: Numbers) -> Iterator[tuple[Severity, NDArray[np.bool_]]]:
    grades: tuple[tuple[Severity, NDArray[np.bool_]], ...] = (
        ("leak", expected < IMPLAUSIBLE),
        ("warning", (expected >= IMPLAUSIBLE) & (expected < 1)),
        ("note", expected >= 1),
    )
    yield from ((severity, rows) for severity, rows in grades if rows.any())


def _describe_crossing(severity: Severity, rows: int, features: int, places: str) -> str:
    verdict = {
        "leak": f"chance would give less than one such pair in {1 / IMPLAUSIBLE:.0f} studies",
        "warning": "coincidence is unlikely but possible",
        "note": "coincidence is to be expected with features this coarse",
    }[severity]
    return (
        f"{count(rows, 'target row')} with every value equal to a source row in "
        f"{count(features, 'feature')} measured by both ({places}); {verdict}"
    )


def _across_sites(table: Table) -> Iterator[Finding]:
    if len(table.sites) == 1:
        return
    code = table.person * len(table.sites)
    for place, site in enumerate(table.sites):
        code += place * (table.site == site)
    number = len(np.unique(code)) - len(np.unique(table.person))
    if number:
        message = (
            f"{count(number, 'patient identifier')} of the {table.role} in more than one of "
            f"{', '.join(table.sites)}: taken to be the same patient, kept together"
        )
        yield Finding("patient in two sites", "warning", table.role, number, message)


def _two_outcomes(table: Table) -> Iterator[Finding]:
    if table.outcome.task not in ("binary", "multiclass"):
        return
    person = table.person
    least, most = table.y.copy(), table.y.copy()
    np.minimum.at(least, person, table.y)
    np.maximum.at(most, person, table.y)
    torn = np.flatnonzero(least < most)
    if len(torn):
        message = (
            f"{count(len(torn), 'patient')} of the {table.role} with rows that differ in "
            f"{table.outcome.name} ({lines(table, np.isin(person, torn))})"
        )
        yield Finding("patient with two outcomes", "warning", table.role, len(torn), message)


def _twin_findings(
    table: Table, *, joined: NDArray[np.bool_], ordinary: NDArray[np.bool_]
) -> Iterator[Finding]:
    alike = f"of the {table.role} identical to the row of another patient"
    if joined.any():
        rows = int(joined.sum())
        message = (
            f"{count(rows, 'row')} {alike} ({lines(table, joined)}): "
            "treated as one patient, so copies never part"
        )
        yield Finding("copied rows", "warning", table.role, rows, message)
    if ordinary.any():
        rows = int(ordinary.sum())
        message = f"{count(rows, 'row')} {alike}: expected with features this coarse, left apart"
        yield Finding("alike rows", "note", table.role, rows, message)


def lines(table: Table, rows: NDArray[np.bool_]) -> str:
    """Where these rows [n] stand in their files: `clinic lines 2, 5 and 4 more`."""
    return "; ".join(
        _numbered(site, table.line[rows & (table.site == site)])
        for site in table.sites
        if (rows & (table.site == site)).any()
    )


def _numbered(site: str, lines: Integers) -> str:
    return f"{site} line{'' if len(lines) == 1 else 's'} {listed(lines.tolist())}"


def _row_codes(x: Numbers) -> Integers:
    # Infinity stands for missing and + 0.0 turns -0.0 into 0.0, so equal rows have equal bytes.
    filled = np.ascontiguousarray(np.where(np.isnan(x), np.inf, x) + 0.0)
    whole_rows = filled.view(f"V{filled.itemsize * x.shape[1]}").ravel()
    return np.unique(whole_rows, return_inverse=True)[1]


def _sparse_row_codes(x: Numbers) -> Integers:
    """As `_row_codes`; only rows that agree in a few columns are compared whole.

    The others have their own number for a code, those compared have n and more.
    """
    hashes = np.empty(len(x), dtype=np.uint64)
    for start in range(0, len(x), SOME):
        few = x[start : start + SOME, :FEW]
        filled = pl.DataFrame(np.where(np.isnan(few), np.inf, few) + 0.0)
        hashes[start : start + SOME] = filled.hash_rows(seed=0).to_numpy()
    alike = np.flatnonzero(repeated(hashes))
    codes = np.arange(len(x))
    if len(alike):
        codes[alike] = len(x) + _row_codes(x[alike])
    return codes


def _candidates(x: Numbers, z: Numbers, columns: Integers) -> Integers:
    """Rows of `x` that may be in `z`: column by column they hold what some row of it holds."""
    rows = np.arange(len(x))
    for column in columns:
        if len(rows) <= len(z):
            break
        rows = np.concatenate(
            [
                some[_among(x[some, column], z[:, column])]
                for some in np.array_split(rows, -(-len(rows) // SOME))
            ]
        )
    return rows


def _among(values: Numbers, theirs: Numbers) -> NDArray[np.bool_]:
    return np.isin(values, theirs) | (np.isnan(values) & np.isnan(theirs).any())


def _measured(x: Numbers) -> NDArray[np.bool_]:
    """Columns [d] with a value in some row."""
    found = np.zeros(x.shape[1], bool)
    for start in range(0, len(x), SOME):
        if found.all():
            break
        found |= ~np.isnan(x[start : start + SOME]).all(axis=0)
    return found


def _several_patients(row: Integers, person: Integers) -> NDArray[np.bool_]:
    """Rows [n] that are equal to one of another patient; `row`: see `_sparse_row_codes`."""
    alike, found = np.flatnonzero(row >= len(row)), np.zeros(len(row), dtype=bool)
    several = pl.col("person").min() != pl.col("person").max()
    frame = pl.DataFrame({"row": row[alike], "person": person[alike]})
    found[alike] = frame.select(several.over("row")).to_series().to_numpy()
    return found


def _merge(person: Integers, row: Integers, join: NDArray[np.bool_]) -> Integers:
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    people = person.max() + 1
    size = people + row.max() + 1
    edges = (np.ones(join.sum(), dtype=bool), (person[join], people + row[join]))
    _, component = connected_components(coo_array(edges, shape=(size, size)), directed=False)
    return component[person].astype(np.int64)


def _by_appearance(codes: Integers) -> Integers:
    if np.array_equal(codes, np.arange(len(codes))):  # the usual table: a row a patient
        return codes
    _, first, inverse = np.unique(codes, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse]


def _expected(x: Numbers, z: Numbers, rows: Numbers, columns: tuple[Column, ...]) -> Numbers:
    number = np.array([column.kind == "number" for column in columns])
    tie = np.log([max(_tie(a), _tie(b)) for a, b in zip(x.T, z.T, strict=True)])
    return len(x) * len(z) * np.exp(0.5 * (~np.isnan(rows) & number) @ tie)


def _tie(values: Numbers) -> float:
    known = values[~np.isnan(values)]
    pairs = len(known) * (len(known) - 1) // 2
    if pairs == 0:
        return 1.0
    times = np.unique(known, return_counts=True)[1]
    return max(int((times * (times - 1) // 2).sum()), 1) / pairs

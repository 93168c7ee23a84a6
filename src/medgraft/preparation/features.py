"""What single features of a table give away, lack, or say differently in source and target."""

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from medgraft.cohorts.schema import Outcome
from medgraft.preparation.alignment import Aligned, Table
from medgraft.preparation.findings import Finding, listed
from medgraft.tasks import task as tasks

# A feature that tells the outcome of every patient is called a leak when shuffled outcomes would do
# so in less than one study in a thousand (all features together).
IMPLAUSIBLE = 1e-3
MISSING_APART = 0.25
# Rows looked at first: a value that these rows give two classes has two classes in all rows too.
FIRST = 10_000
# Features looked at together; each takes a tenth of a gigabyte where there are 10 million rows.
THREADS = 2

Numbers = NDArray[np.float64]


def findings(aligned: Aligned) -> Iterator[Finding]:
    """Every finding about a single feature of the aligned tables."""
    for table in aligned.tables:
        for part in _single(table):
            yield from _telling(aligned, part)
    for table in aligned.tables:
        yield from _dull(aligned, table)
    yield from _missing_apart(aligned)
    yield from _partly_measured(aligned)


def _single(table: Table) -> Iterator[Table]:
    """The table with one number per row as its outcome: time and event apart, each label alone."""
    outcome = table.outcome
    for part in tasks.of(outcome.task).parts(outcome.name, table.y, outcome.classes):
        kind = "multiclass" if part.classes else "regression"
        alone = Outcome(part.name, kind, part.classes)
        yield replace(table.take(part.rows), y=part.y, outcome=alone)


def _measured(aligned: Aligned, table: Table) -> Iterator[tuple[str, Numbers]]:
    absent = {"source": "target_only", "target": "source_only"}[table.role]
    for position, feature in enumerate(aligned.features):
        if feature.origin != absent:
            yield feature.column.name, table.x[:, position]


def _dull(aligned: Aligned, table: Table) -> Iterator[Finding]:
    alike = [name for name, values in _measured(aligned, table) if _constant(values)]
    empty = [n for n, values in _measured(aligned, table) if n in alike and np.isnan(values[0])]
    constant = [name for name in alike if name not in empty]
    for check, names, told in (
        ("empty feature", empty, "missing"),
        ("constant feature", constant, "the same value"),
    ):
        if names:
            message = f"{told} for every patient of the {table.role}: {listed(names)}"
            yield Finding(check, "warning", table.role, len(names), message)


def _constant(values: Numbers) -> bool:
    """Whether all rows [n] hold one value, or none does."""
    return all(
        len(np.unique(values[:rows])) == 1 for rows in (min(FIRST, len(values)), len(values))
    )


def _telling(aligned: Aligned, table: Table) -> Iterator[Finding]:
    """Some features at a time: numpy lets other threads run."""
    with ThreadPoolExecutor(THREADS) as threads:
        measured = _measured(aligned, table)
        for found in threads.map(lambda one: list(_told_by(table, *one)), measured):
            yield from found


def _told_by(table: Table, name: str, values: Numbers) -> Iterator[Finding]:
    outcome, role, y, width = table.outcome, table.role, table.y, table.x.shape[1]
    known = ~np.isnan(values)
    rows = int(known.sum())
    if _tells_outcome(outcome, values, y, width):
        message = f"{name} alone tells {outcome.name} in every {role} row that has it"
        yield Finding("outcome in a feature", "leak", role, rows, message)
    elif _separates(outcome, values, y, width):
        message = (
            f"{name} alone ranks {outcome.name} without an error in the {role}: "
            "is it known before the outcome is?"
        )
        yield Finding("perfect predictor", "warning", role, rows, message)
    if 0 < rows < len(y) and _tells_outcome(outcome, known.view(np.uint8), y, width):
        message = f"whether {name} was measured tells {outcome.name} in the {role}"
        yield Finding("outcome in missingness", "leak", role, len(table), message)


def _tells_outcome(outcome: Outcome, values: NDArray[Any], y: Numbers, features: int) -> bool:
    """Whether `values` [n], where not NaN, are the outcome under another name, beyond chance.

    Classes: every distinct value belongs to one class. k distinct values can be labelled in at most
    C^k ways, out of n! / prod(n_c!) equally likely shuffles of the outcome, which bounds the
    probability of it happening by chance. Regression: the outcome is a straight line of the values.
    """
    if outcome.classes and _contradicted(values, y):
        return False
    known, kinds = ~np.isnan(values), _kinds(values)
    if not outcome.classes:
        told = y[known]
        varied = kinds > 1 and len(_sizes(told)) > 1 and len(told) > 2
        return varied and abs(np.corrcoef(values[known], told)[0, 1]) > 1 - 1e-12
    sizes = [int((known & (y == label)).sum()) for label in range(len(outcome.classes))]
    present = [size for size in sizes if size]
    if len(present) < 2 or kinds < 2:
        return False
    chance = kinds * math.log(len(present)) - _log_shuffles(present)
    if chance + math.log(features) >= math.log(IMPLAUSIBLE):
        return False
    return not _two_classes(values, y)


def _contradicted(values: NDArray[Any], y: Numbers) -> bool:
    """Whether some of the rows [n] already give one value to two classes.

    The first rows, then those whose value lies in a narrow window: of many different values, only
    neighbours are equal. No answer but "not yet" says anything of all rows.
    """
    if len(y) <= FIRST:
        return False
    if _two_classes(values[:FIRST], y[:FIRST]):
        return True
    some = values[:FIRST][~np.isnan(values[:FIRST])]
    if not len(some):
        return False
    low, high = np.quantile(some, [0.5, 0.52])
    window = (values >= low) & (values <= high)
    return _two_classes(values[window], y[window])


def _two_classes(values: NDArray[Any], y: Numbers) -> bool:
    """Whether one value is of two classes; NaN equals nothing."""
    order = np.lexsort((y, values))
    values, y = values[order], y[order]
    return bool(((values[1:] == values[:-1]) & (y[1:] != y[:-1])).any())


def _separates(outcome: Outcome, values: Numbers, y: Numbers, features: int) -> bool:
    """Whether ranking by `values` [n], where not NaN, makes no error, AUROC 0 or 1, beyond chance.

    Of classes, for one of them against the others.

    Under shuffled outcomes one order in n! / prod(n_c!) separates, in either direction.
    """
    if outcome.classes:
        return any(_apart(values, y, label, features) for label in range(len(outcome.classes)))
    known = ~np.isnan(values)
    values, y = values[known], y[known]
    sizes = _sizes(y)
    if len(sizes) < 2:
        return False
    from scipy.stats import rankdata

    perfect = any(np.array_equal(rankdata(v), rankdata(y)) for v in (values, -values))
    return perfect and math.log(2 * features) - _log_shuffles(sizes) < math.log(IMPLAUSIBLE)


def _apart(values: Numbers, y: Numbers, label: int, features: int) -> bool:
    # What is mixed among the first rows is mixed among all.
    if _mixed(values[:FIRST], y[:FIRST] == label):
        return False
    member = y == label  # of nobody or of all, no shuffle is another, and chance explains all
    if _mixed(values, member):
        return False
    sizes = _sizes(member[~np.isnan(values)])
    return math.log(2 * features) - _log_shuffles(sizes) < math.log(IMPLAUSIBLE)


def _mixed(values: Numbers, member: NDArray[np.bool_]) -> bool:
    known = ~np.isnan(values)
    inside, outside = values[known & member], values[known & ~member]
    if not len(inside) or not len(outside):
        return False
    return bool(inside.max() >= outside.min() and outside.max() >= inside.min())


def _kinds(values: NDArray[Any]) -> int:
    """How many different values there are but NaN; hashing takes four times as long."""
    ordered = np.sort(values)
    ordered = ordered[: len(ordered) - int(np.isnan(values).sum())]
    return int((ordered[1:] != ordered[:-1]).sum()) + min(len(ordered), 1)


def _sizes(y: NDArray) -> list[int]:
    """How often each outcome occurs."""
    return pl.Series(y).unique_counts().to_list()


def _log_shuffles(sizes: list[int]) -> float:
    return math.lgamma(sum(sizes) + 1) - sum(math.lgamma(size + 1) for size in sizes)


def _missing_apart(aligned: Aligned) -> Iterator[Finding]:
    """Report features missing much more often in one role than in the other.

    A difference of shares above 0.25 with a p (Fisher) below 0.001 / features is reported.
    """
    from scipy.stats import fisher_exact

    place = {feature.column.name: i for i, feature in enumerate(aligned.features)}
    shared = [feature.column.name for feature in aligned.features if feature.origin == "shared"]
    apart = []
    for name in shared:
        here, there = (np.isnan(table.x[:, place[name]]) for table in aligned.tables)
        if abs(here.mean() - there.mean()) <= MISSING_APART:
            continue
        p = fisher_exact([[gone.sum(), (~gone).sum()] for gone in (here, there)]).pvalue
        if p < IMPLAUSIBLE / len(shared):
            apart.append(f"{name} ({here.mean():.0%} and {there.mean():.0%})")
    if apart:
        message = f"missing unequally often in source and target: {listed(apart)}"
        yield Finding("missing apart", "warning", "source and target", len(apart), message)


def _partly_measured(aligned: Aligned) -> Iterator[Finding]:
    names = aligned.told["partly_measured"]
    if names:
        message = f"{listed(names)} left out: not every site measured it (mode masked keeps it)"
        yield Finding("partly measured", "note", "source and target", len(names), message)

"""Sequences: relatives never part, and no copy of a test sequence is learned from."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from medgraft.cohorts.alphabets import PADDING
from medgraft.cohorts.schema import Cohort, Column
from medgraft.construct import Share
from medgraft.errors import ConfigError
from medgraft.preparation import homology
from medgraft.preparation.alignment import (
    Aligned,
    Drift,
    Emptiness,
    Feature,
    Summary,
    Table,
    check_agreement,
    numbers_only,
    pool,
)
from medgraft.preparation.copies import lines
from medgraft.preparation.drift import drift
from medgraft.preparation.findings import Finding, count

Overlap = Literal["refuse", "leave_out"]
Bools = NDArray[np.bool_]
Integers = NDArray[np.int64]
# Beyond this share of a role's rows, one family decides how folds come out.
CROWD = 0.1
MOST_WORDS = 256


class Sequences:
    """One column of sequences, the same letters and length at every site.

    Args:
        identity: rows at least this alike (see `homology`) are kept together; None: copies only.
            Where the files say who tests, nothing of the target can be kept together, and among its
            own rows copies alone count.
        strands: whether the other strand of a DNA or RNA is the same sequence.
        overlap: what becomes of a source sequence with a copy or relative in the target, and of one
            that a given split would learn from and test at once: the run is refused, or the
            sequence learned from is left out and accounted for.
    """

    name: ClassVar[str] = "sequence"

    def __init__(
        self, identity: Share | None = 0.8, *, strands: bool = True, overlap: Overlap = "refuse"
    ) -> None:
        if identity is not None and not 0.5 <= identity <= 1:
            raise ConfigError(f"identity {identity}: expected 0.5 to 1, or null")
        if overlap not in get_args(Overlap):
            expected = " or ".join(get_args(Overlap))
            raise ConfigError(f"overlap {overlap!r}: expected {expected}")
        self.identity, self.strands, self.overlap = identity, strands, overlap

    def align(self, sources: Sequence[Cohort], targets: Sequence[Cohort]) -> Aligned:
        """Source and target as they are, without the rows `overlap` leaves out."""
        check_agreement(sources, targets, _column_conflicts([*sources, *targets]))
        source, target = pool("source", sources), pool("target", targets)
        column = targets[0].columns[0]
        excluded: dict[str, dict[str, int]] = {}
        if self.overlap == "leave_out":
            crossing, repeated = self._crossing(column, source, target)
            why = f"{self._what()} of a target sequence"
            excluded = _reasons(source, crossing, why)
            excluded |= _reasons(target, repeated, "copy of a sequence tested or stopped on")
            source, target = source.take(~crossing), target.take(~repeated)
        told = {"mode": "shared", "shared": [column.name], "source_only": [], "target_only": []}
        line = f"sequences: {column.details['alphabet']}, {column.details['length']} letters"
        return Aligned((Feature(column, "shared"),), source, target, told, line, excluded)

    def group(self, aligned: Aligned) -> tuple[Integers, Integers, list[Finding]]:
        """Families of each role, and what was joined."""
        codes, findings = [], list[Finding]()
        for table in aligned.tables:
            one, two = self._related(aligned.columns[0], table)
            last = _previous(table.person)
            code = homology.families(
                np.concatenate([one, last[0]]), np.concatenate([two, last[1]]), len(table)
            )
            findings += _joined(table, code, one, two)
            codes.append(code)
        return codes[0], codes[1], findings

    def findings(self, aligned: Aligned) -> Iterator[Finding]:
        """Relatives across roles, copies across a given split: leaks."""
        yield from self._left_out(aligned)
        if self.overlap == "leave_out":
            return
        crossing, repeated = self._crossing(aligned.columns[0], aligned.source, aligned.target)
        way_out = "preparation.align.overlap=leave_out removes what would be learned from"
        if number := int(crossing.sum()):
            message = (
                f"{count(number, 'source sequence')} with a {self._what()} in the "
                f"target ({lines(aligned.source, crossing)}); {way_out}"
            )
            yield Finding("overlap", "leak", "source and target", number, message)
        if number := int(repeated.sum()):
            message = (
                f"{count(number, 'target sequence')} to learn from with a copy to test or stop on "
                f"({lines(aligned.target, repeated)}); {way_out}"
            )
            yield Finding("copy in the test", "leak", "target", number, message)

    @staticmethod
    def _left_out(aligned: Aligned) -> Iterator[Finding]:
        for site, reasons in aligned.excluded.items():
            for reason, number in reasons.items():
                message = f"{count(number, 'sequence')} of {site} left out: {reason}"
                yield Finding("left out", "note", site, number, message)

    def drift(self, aligned: Aligned) -> list[Drift]:
        """Shares of the letters, and of positions without one."""
        letters = aligned.columns[0].details["letters"]
        names = [*(f"share of {letter}" for letter in letters), "share of unknown letters"]
        source, target = (
            replace(table, x=_shares(table.x, len(letters))) for table in aligned.tables
        )
        features = tuple(Feature(Column(name, "number"), "shared") for name in names)
        return drift(replace(aligned, features=features, source=source, target=target))

    def measurements(self, aligned: Aligned) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Give the shares of all words of up to 256 kinds: four letters of DNA in a row."""
        letters = len(aligned.columns[0].details["letters"])
        source, target = (_words(table.x, letters) for table in aligned.tables)
        return source, target

    def _what(self) -> str:
        if self.identity is None:
            return "copy"
        return f"copy or relative (identity {self.identity:g} or more)"

    def _strands(self, column: Column) -> bool:
        return self.strands and column.details["alphabet"] in ("dna", "rna")

    def _related(self, column: Column, table: Table) -> tuple[Integers, Integers]:
        """Pairs of rows that are related."""
        strands = self._strands(column)
        if self.identity is None or (table.role == "target" and table.split is not None):
            return _previous(homology.copies(table.x, strands=strands))
        letters = column.details["letters"]
        return homology.related(table.x, letters, identity=self.identity, strands=strands)

    def _crossing(self, column: Column, source: Table, target: Table) -> tuple[Bools, Bools]:
        """Which source rows are related to a target row, which target rows repeat a later part's.

        A row to train on may repeat none to stop or test on, a row to stop on none to test on.
        """
        strands = self._strands(column)
        repeated = _repeated(homology.copies(target.x, strands=strands), target)
        if self.identity is None:
            code = homology.copies(np.concatenate([source.x, target.x]), strands=strands)
            return np.isin(code[: len(source)], code[len(source) :]), repeated
        letters = column.details["letters"]
        crossing = homology.crossing(
            source.x, target.x, letters, identity=self.identity, strands=strands
        )
        return crossing, repeated


def summary(tokens: NDArray[np.uint8], features: Sequence[Mapping[str, Any]]) -> Summary:
    """Give the shares of all words of up to 256 kinds, as the classifier of cohorts sees them."""
    return numbers_only(_words(tokens, len(features[0]["letters"])))


def emptiness(tokens: NDArray[np.uint8], features: Sequence[Mapping[str, Any]]) -> Emptiness:
    """Say which sequences tell nothing, and how."""
    return np.all(tokens >= len(features[0]["letters"]), axis=1), "no letter is known"


def _repeated(code: Integers, target: Table) -> Bools:
    if target.split is None:
        return np.zeros(len(code), bool)
    test, validation, train = (target.split == part for part in ("test", "validation", "train"))
    stops = validation & np.isin(code, code[test])
    return stops | (train & np.isin(code, code[test | validation]))


def _previous(code: Integers) -> tuple[Integers, Integers]:
    """Each row with the one before it of the same code."""
    order = np.argsort(code, kind="stable")
    same = code[order[1:]] == code[order[:-1]]
    return order[:-1][same], order[1:][same]


def _column_conflicts(cohorts: Sequence[Cohort]) -> Iterator[str]:
    first = cohorts[0]
    for cohort in cohorts:
        if [column.kind for column in cohort.columns] != ["sequence"]:
            yield f"{cohort.name}: expected one sequence column and no other measurement"
            continue
        (here,), there = cohort.columns, first.columns[0]
        if here.name != there.name:
            yield f"{cohort.name} calls the sequence {here.name}, {first.name} {there.name}"
        for fact in ("alphabet", "length"):
            mine, other = here.details[fact], there.details.get(fact)
            if mine != other:
                yield f"{here.name}: {fact} is {other} in {first.name}, {mine} in {cohort.name}"


def _reasons(table: Table, rows: Bools, reason: str) -> dict[str, dict[str, int]]:
    numbers = {site: int((rows & (table.site == site)).sum()) for site in table.sites}
    return {site: {reason: number} for site, number in numbers.items() if number}


def _joined(table: Table, code: Integers, one: Integers, two: Integers) -> Iterator[Finding]:
    if not len(one):
        return
    rows = len(np.unique(np.concatenate([one, two])))
    largest = int(np.bincount(code).max())
    message = (
        f"{count(rows, 'sequence')} of the {table.role} with a relative among them: kept together, "
        f"the largest family has {largest}"
    )
    yield Finding("relatives", "note", table.role, rows, message)
    if largest > CROWD * len(table):
        message = (
            f"one family holds {largest} of the {table.role}'s {len(table)} sequences: folds will "
            "be uneven; a higher preparation.align.identity makes families smaller"
        )
        yield Finding("large family", "warning", table.role, largest, message)
    torn = int((table.y[one] != table.y[two]).sum()) if table.y.ndim == 1 else 0
    if torn and table.outcome.classes:
        message = f"{count(torn, 'pair')} of relatives in the {table.role} with two outcomes"
        yield Finding("relatives with two outcomes", "note", table.role, torn, message)


def _shares(tokens: NDArray, letters: int) -> NDArray[np.float64]:
    """Shares [n, letters + 1] of every letter, and of positions that hold none."""
    size = np.maximum((tokens != PADDING).sum(1), 1)
    known = [(tokens == letter).sum(1) for letter in range(letters)]
    unknown = ((tokens >= letters) & (tokens != PADDING)).sum(1)
    return np.stack([*known, unknown], axis=1) / size[:, None]


def _words(tokens: NDArray, letters: int) -> NDArray[np.float64]:
    """Shares [n, letters ** k] of the words of k letters; k is 1 or more, with at most 256 words.

    A word with a position that holds no letter does not count.
    """
    length = max(1, int(np.log(MOST_WORDS) / np.log(letters)))
    windows = max(tokens.shape[1] - length + 1, 0)
    places = [tokens[:, start : start + windows].astype(np.int64) for start in range(length)]
    whole = np.all([place < letters for place in places], axis=0)
    code = np.sum([one * letters**power for power, one in enumerate(places)], axis=0)
    kinds = letters**length
    at = np.arange(len(tokens))[:, None] * kinds + code
    found = np.bincount(at[whole], minlength=len(tokens) * kinds).reshape(-1, kinds)
    return np.asarray(found / np.maximum(found.sum(axis=1, keepdims=True), 1))

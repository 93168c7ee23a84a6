"""The design table: which patients train, stop and test every replica.

Everything is drawn for patients and written as rows, so a patient's rows never part. Every draw
has its own stream, keyed by what it is for (`numpy.random.SeedSequence`): asking for more runs,
sizes or source networks leaves the patients and seeds of those drawn before as they were.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from medgraft.cohorts.schema import PARTS, Outcome, Part
from medgraft.errors import CohortError, ConfigError
from medgraft.preparation.findings import count
from medgraft.tasks import task as tasks

BINS = 10

Integers = NDArray[np.int64]
Split = dict[Part, Integers]

ROWS = pl.List(pl.Int32)
SOURCE_SCHEMA = {
    "replica": pl.Int32,
    "init_seed": pl.Int64,
    "train": ROWS,
    "validation": ROWS,
}
SCHEMA = {
    "replica": pl.Int32,
    "use": pl.String,
    "run": pl.Int32,
    "source_seed": pl.Int32,
    "fold": pl.Int32,
    "size": pl.Int32,
    "init_seed": pl.Int64,
    "train": ROWS,
    "validation": ROWS,
    "test": ROWS,
}

# First element of every stream's key.
FOLDS, HELD, CURVE, INIT, SOURCE_HELD, SOURCE_INIT = range(6)
USES = {"compare": 0, "curve": 1, "final": 2}


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How the design is drawn.

    `runs` repetitions of `folds`-fold cross-validation; `validation_fraction` of each training part
    decides when to stop; `sizes` are the training patients of the learning curve; run k starts from
    source network k modulo `sources`. Raises ConfigError listing what is out of range.
    """

    runs: int
    folds: int
    validation_fraction: float
    sizes: tuple[int, ...] = ()
    sources: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        wrong = [
            f"{name}: expected {expected}, got {getattr(self, name)}"
            for name, expected, good in (
                ("runs", "1 or more", self.runs >= 1),
                ("folds", "2 or more", self.folds >= 2),
                ("validation_fraction", "between 0 and 0.5", 0 < self.validation_fraction <= 0.5),
                ("sizes", "2 or more each", all(size >= 2 for size in self.sizes)),
                ("sources", "1 or more", self.sources >= 1),
                ("seed", "0 or more", self.seed >= 0),
            )
            if not good
        ]
        if wrong:
            raise ConfigError("; ".join(wrong))


def draw(
    patient: Integers,
    y: NDArray,
    outcome: Outcome,
    plan: Plan,
    *,
    where: str = "target",
    given: NDArray | None = None,
) -> pl.DataFrame:
    """Draw the target's design table.

    `patient` int [n] codes 0..P-1, `y` [n] class index or value. Folds are stratified: class by
    class (a patient counts for the rarest class among their rows), or by deciles of the patient's
    mean value for regression, so that every fold has the same number of a stratum's patients to
    within one. The validation patients of a learning-curve row shrink with its training patients,
    as they would in a study of that size; both are subsets of the next larger size.

    `given` [n] of "train" | "validation" | "test" replaces the folds by one fixed split; runs then
    differ by their initial weights alone.

    Columns are those of `docs/architecture.md`; `fold` is -1 in `final` rows. Raises CohortError
    when a class has too few patients, naming cohort and class; ConfigError where a fold trains on
    no more patients than a size of the curve.
    """
    people = _People.of(patient, y, outcome, where)
    if given is None:
        people.check(plan.folds)
    chosen = None if given is None else _given_split(patient, np.asarray(given), where)
    replicas = [row for run in range(plan.runs) for row in _run(people, plan, run, chosen)]
    return _frame(replicas, people, SCHEMA)


def draw_source(
    patient: Integers,
    y: NDArray,
    outcome: Outcome,
    plan: Plan,
    *,
    where: str = "source",
) -> pl.DataFrame:
    """Draw the source's design: one row per source seed, each with its own validation patients.

    Raises CohortError when a class present has a single patient.
    """
    people = _People.of(patient, y, outcome, where)
    people.check(1)
    everyone = np.arange(len(people.stratum))
    replicas = []
    for replica in range(plan.sources):
        stream = _stream(plan.seed, SOURCE_HELD, replica)
        split = _hold_out(people, everyone, plan.validation_fraction, stream)
        replicas.append({"init_seed": _init_seed(plan.seed, SOURCE_INIT, replica), "split": split})
    return _frame(replicas, people, SOURCE_SCHEMA)


@dataclass(frozen=True, eq=False)
class _People:
    """Patients of one role: `row_patient` [n], and per patient [P] the `stratum` and row count."""

    where: str
    row_patient: Integers
    stratum: Integers
    weight: Integers
    labels: tuple[str, ...]
    least: int

    @classmethod
    def of(cls, patient: Integers, y: NDArray, outcome: Outcome, where: str) -> "_People":
        patient = np.asarray(patient, dtype=np.int64)
        weight = np.bincount(patient)
        found = tasks.of(outcome.task).strata(y, outcome.classes)
        if found is None:
            stratum = _value_strata(np.bincount(patient, weights=y) / weight)
            return cls(where, patient, stratum, weight, (), 2)
        stratum = _class_strata(patient, found[0])
        labels = tuple(f"{outcome.name}={label}" for label in found[1])
        return cls(where, patient, stratum, weight, labels, len(np.unique(stratum)))

    def check(self, folds: int) -> None:
        # A training part needs two patients of each class, one to learn from and one to stop on;
        # of two folds one may hold half of them.
        need = {1: 2, 2: 4}.get(folds, folds)
        reason = f"{count(folds, 'fold')} need" if folds > 1 else "training and validation need"
        if not self.labels:
            if len(self.stratum) < need:
                people = count(len(self.stratum), "patient")
                raise CohortError(f"{self.where} has {people}; {reason} at least {need}")
            return
        present = {int(k): int((self.stratum == k).sum()) for k in np.unique(self.stratum)}
        if len(present) < 2:
            raise CohortError(f"{self.where} has only patients with {self.labels[min(present)]}")
        few = [
            f"{count(number, 'patient')} with {self.labels[k]}"
            for k, number in present.items()
            if number < need
        ]
        if few:
            raise CohortError(f"{self.where} has {' and '.join(few)}; {reason} at least {need}")

    def rows(self, people: Integers) -> NDArray[np.int32]:
        chosen = np.zeros(len(self.stratum), dtype=bool)
        chosen[people] = True
        return np.flatnonzero(chosen[self.row_patient]).astype(np.int32)


def _frame(replicas: list[dict[str, Any]], people: _People, schema: dict[str, Any]) -> pl.DataFrame:
    def column(name: str) -> list[Any]:
        if name == "replica":
            return list(range(len(replicas)))
        if name in PARTS:
            return [people.rows(replica["split"][name]) for replica in replicas]
        return [replica[name] for replica in replicas]

    # The cast is for polars, which takes lists of one length for fixed-size arrays.
    return pl.DataFrame(
        [pl.Series(name, column(name), kind).cast(kind) for name, kind in schema.items()]
    )


def _class_strata(patient: Integers, y: Integers) -> Integers:
    present = np.zeros((patient.max() + 1, y.max() + 1), dtype=bool)
    present[patient, y] = True
    rarity = present.sum(axis=0)
    stratum = np.zeros(len(present), dtype=np.int64)
    for label in np.lexsort((-np.arange(len(rarity)), -rarity)):  # the rarest last, and stays
        stratum[present[:, label]] = label
    return stratum


def _value_strata(value: NDArray) -> Integers:
    bins = max(1, min(BINS, len(value) // BINS))
    rank = np.argsort(np.argsort(value, kind="stable"))
    return rank * bins // len(value)


def _run(people: _People, plan: Plan, run: int, chosen: Split | None) -> Iterator[dict[str, Any]]:
    splits = list(_cross_validation(people, plan, run)) if chosen is None else [chosen]
    for fold, split in enumerate(splits):
        yield _replica("compare", run, fold, split, plan)
    yield _replica("final", run, -1, _final(people, plan, run, chosen), plan)
    for fold, split in enumerate(splits):
        yield from _curve(people, plan, run, fold, split)


def _cross_validation(people: _People, plan: Plan, run: int) -> Iterator[Split]:
    for k, (train, test) in enumerate(_folds(people, plan.folds, _stream(plan.seed, FOLDS, run))):
        stream = _stream(plan.seed, HELD, run, k)
        yield _hold_out(people, train, plan.validation_fraction, stream) | {"test": test}


def _final(people: _People, plan: Plan, run: int, chosen: Split | None) -> Split:
    everyone = np.arange(len(people.stratum))
    none: Split = {"test": everyone[:0]}
    if chosen is not None:
        return chosen | {"train": np.union1d(chosen["train"], chosen["test"])} | none
    stream = _stream(plan.seed, HELD, run, plan.folds)
    return _hold_out(people, everyone, plan.validation_fraction, stream) | none


def _replica(use: str, run: int, fold: int, split: Split, plan: Plan) -> dict[str, Any]:
    size = len(split["train"])
    # fold + 1 because a key holds no negative number; only the curve has several sizes per fold.
    key = (USES[use], run, fold + 1, size if use == "curve" else 0)
    seed = _init_seed(plan.seed, INIT, *key)
    place = {"run": run, "source_seed": run % plan.sources, "fold": fold}
    return {"use": use, "size": size, "init_seed": seed, "split": split} | place


def _folds(
    people: _People, folds: int, stream: np.random.Generator
) -> Iterator[tuple[Integers, Integers]]:
    """Deal the patients into folds like cards.

    Stratum by stratum, patients with most rows first (chance among equals), each to the next fold.
    A stratum's patients differ between folds by at most one, its rows by at most the rows of one
    patient, and so do the patients of all strata together.
    """
    chance = stream.random(len(people.stratum))
    dealt = np.lexsort((chance, -people.weight, people.stratum))
    fold = np.empty(len(dealt), dtype=np.int64)
    fold[dealt] = np.arange(len(dealt)) % folds
    for k in range(folds):
        yield np.flatnonzero(fold != k), np.flatnonzero(fold == k)


def _hold_out(
    people: _People, who: Integers, fraction: float, stream: np.random.Generator
) -> Split:
    order = _spread(people, who, stream)
    size = min(max(round(fraction * len(who)), people.least), len(who) // 2)
    return {"train": np.sort(order[size:]), "validation": np.sort(order[:size])}


def _curve(
    people: _People, plan: Plan, run: int, fold: int, split: Split
) -> Iterator[dict[str, Any]]:
    stream = _stream(plan.seed, CURVE, run, fold)
    train = _spread(people, split["train"], stream)
    validation = _spread(people, split["validation"], stream)
    for size in sorted(set(plan.sizes)):
        if size >= len(train):
            raise ConfigError(
                f"design.sizes: got {size}, expected fewer than the {len(train)} patients of "
                f"{people.where} that a fold trains on"
            )
        held = max(round(len(validation) * size / len(train)), people.least)
        smaller: Split = {
            "train": np.sort(train[:size]),
            "validation": np.sort(validation[:held]),
            "test": split["test"],
        }
        yield _replica("curve", run, fold, smaller, plan)


def _spread(people: _People, who: Integers, stream: np.random.Generator) -> Integers:
    """Put patients in an order of which every beginning is stratified.

    The first of each stratum comes first, so no beginning as long as there are strata lacks one.
    """
    place = _places(people.stratum[who], stream.random(len(who)))
    return who[np.lexsort((stream.random(len(who)), place))]


def _places(stratum: Integers, chance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Where in its stratum each [n] comes by chance: 0 for the first, up to 1.

    Of millions, every array counts.
    """
    sizes = np.bincount(stratum)
    shuffled = np.lexsort((chance, stratum))
    place = np.arange(len(stratum), dtype=np.float64)
    place -= np.repeat(np.cumsum(sizes) - sizes, sizes)
    first = place == 0
    place += 0.5
    place /= np.repeat(sizes, sizes)
    place[first] = 0
    spread = np.empty_like(place)
    spread[shuffled] = place
    return spread


def _given_split(patient: Integers, given: NDArray, where: str) -> Split:
    labels = set(given.tolist())
    if labels != set(PARTS):
        raise CohortError(
            f"{where}: the given split must call every row train, validation or test and use all "
            f"three, got {', '.join(sorted(map(repr, labels)))}"
        )
    return {part: np.unique(patient[given == part]) for part in PARTS}


def _stream(seed: int, *key: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))


def _init_seed(seed: int, *key: int) -> int:
    state = np.random.SeedSequence(seed, spawn_key=key).generate_state(1, np.uint64)
    return int(state[0] >> np.uint64(1))

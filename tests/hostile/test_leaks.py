"""Leaks, planted one by one: every kind is caught; cohorts without one raise no alarm."""

from dataclasses import replace

import numpy as np
import pytest

from medgraft.cohorts.alphabets import reverse_complement
from medgraft.cohorts.schema import Column
from medgraft.errors import LeakError
from medgraft.preparation.audit import audit
from medgraft.preparation.findings import Finding
from medgraft.preparation.image import Images
from medgraft.preparation.prepare import prepare
from medgraft.preparation.sequence import Sequences
from medgraft.preparation.splits import Plan
from medgraft.preparation.table import Tables
from preparation import images
from preparation.simulated import cohort, spoil, with_cells, with_column
from preparation.test_homology import mutated, random_dna
from preparation.test_sequence import cohort as sequences

ROWS = 80
PLAN = Plan(runs=1, folds=2, validation_fraction=0.25, sources=1)
EXTRA = Column("extra", "number")
SPLIT = ["train"] * 14 + ["validation"] * 3 + ["test"] * 7


def raised(modality, source, target) -> list[Finding]:
    """Every finding of the kind of measurement, of its grouping and of the audit."""
    aligned = modality.align([source], [target])
    *_, joined = modality.group(aligned)
    found = [*modality.findings(aligned), *joined]
    report = audit([source, target], aligned, found, modality.drift(aligned))
    return [finding for finding in report.findings if finding.severity != "note"]


def tables(seed: int):
    return Tables(), cohort("a", seed=seed), cohort("b", seed=seed)


def extra(seed: int, value):
    """A further measurement: noise in the source, what `value` makes of the target's outcome."""
    tool, source, target = tables(seed)
    noise = np.random.default_rng(seed).normal(size=ROWS)
    source = with_column(source, EXTRA, noise[::-1])
    return tool, source, with_column(target, EXTRA, value(target.y, noise))


def copied_row(seed):
    tool, source, target = tables(seed)
    whole = int(np.flatnonzero(~np.isnan(source.values).any(axis=1))[3])
    return tool, source, with_cells(target, seed % ROWS, source.values[whole])


def copied_everybody(seed):
    tool, source, target = tables(seed)
    return tool, source, with_cells(target, slice(None), source.values)


def copied_in_other_columns(seed):
    """The target's file has its columns in another order; the alignment is by name."""
    tool, source, target = copied_row(seed)
    order = np.random.default_rng(seed).permutation(len(target.columns))
    columns = tuple(target.columns[i] for i in order)
    return tool, source, replace(target, columns=columns, values=target.values[:, order])


def same_patient(seed):
    tool, source, target = tables(seed)
    names = target.patient.copy()
    names[seed % ROWS] = source.patient[11]
    return tool, source, spoil(target, patient=names)


def copy_within(seed):
    """One person under two identifiers would stand on both sides of a fold."""
    tool, source, target = tables(seed)
    return tool, source, with_cells(target, 7, target.values[40])


def two_outcomes(seed):
    tool, source, target = tables(seed)
    names = target.patient.copy()
    names[int(np.argmax(target.y == 1))] = names[int(np.argmax(target.y == 0))]
    return tool, source, spoil(target, patient=names)


def relatives(seed, change):
    source, target = random_dna(40, seed=seed), random_dna(24, seed=seed + 1)
    source[5] = change(target[9:10])[0]
    return Sequences(), sequences("big", source), sequences("small", target)


def parts(seed):
    """The published split has one person's films in training and in the test."""
    ours, theirs = images.films(9, seed=seed), images.films(24, seed=seed + 1)
    who = [f"p{i}" for i in range(24)]
    who[2] = who[23]
    target = images.cohort("clinic", theirs, split=SPLIT, patient=who)
    return Images(), images.cohort("archive", ours), target


def same_film(seed, change):
    ours, theirs = images.films(9, seed=seed), images.films(24, seed=seed + 1)
    ours[4] = change(theirs[20])
    target = images.cohort("clinic", theirs, split=SPLIT)
    return Images(), images.cohort("archive", ours), target


# kind -> (what plants it, the finding that has to come, the severity it has to have)
LEAKS = {
    "one copied row": (copied_row, "identical rows", "leak"),
    "everybody copied": (copied_everybody, "identical rows", "leak"),
    "copy in other columns": (copied_in_other_columns, "identical rows", "leak"),
    "same patient": (same_patient, "same patient", "leak"),
    "copy within the target": (copy_within, "copied rows", "warning"),
    "one patient, two outcomes": (two_outcomes, "patient with two outcomes", "warning"),
    "outcome": (lambda s: extra(s, lambda y, _: y), "outcome in a feature", "leak"),
    "outcome turned round": (
        lambda s: extra(s, lambda y, _: 5 - y),
        "outcome in a feature",
        "leak",
    ),
    "outcome with gaps": (
        lambda s: extra(s, lambda y, n: np.where(n > 1, np.nan, y)),
        "outcome in a feature",
        "leak",
    ),
    "perfect proxy": (
        lambda s: extra(s, lambda y, n: y + 0.1 * np.clip(n, -3, 3)),
        "perfect predictor",
        "warning",
    ),
    "telling missingness": (
        lambda s: extra(s, lambda y, n: np.where(y == 1, np.nan, n)),
        "outcome in missingness",
        "leak",
    ),
    "same sequence": (lambda s: relatives(s, np.copy), None, "leak"),
    "other strand": (lambda s: relatives(s, reverse_complement), None, "leak"),
    "homologous sequence": (
        lambda s: relatives(s, lambda x: mutated(x, 0.05, seed=s)), None, "leak"
    ),
    "same film": (lambda s: same_film(s, np.copy), None, "leak"),
    "film in other light": (
        lambda s: same_film(s, lambda film: (0.8 * film.astype(float) + 30).round()),
        None,
        "warning",
    ),
    "person on both sides of a split": (parts, "the design", "leak"),
}  # fmt: skip
SEEDS = range(5)


def clean_sequences(seed):
    return (
        Sequences(),
        sequences("big", random_dna(40, seed=seed)),
        sequences("small", random_dna(24, seed=seed + 1), split=SPLIT),
    )


def clean_films(seed):
    ours, theirs = images.films(9, seed=seed), images.films(24, seed=seed + 1)
    return Images(), images.cohort("archive", ours), images.cohort("clinic", theirs, split=SPLIT)


@pytest.mark.parametrize("kind", LEAKS)
def test_planted_leak_is_caught(kind, tmp_path):
    """In every one of five cohorts; a leak ends the run, a warning is in the report."""
    plant, check, severity = LEAKS[kind]
    for seed in SEEDS:
        tool, source, target = plant(1000 + 7 * seed)
        if check != "the design":
            found = raised(tool, source, target)
            caught = [f for f in found if f.severity == severity and check in (None, f.check)]
            assert caught, (seed, found)
        if severity == "leak":
            with pytest.raises(LeakError):
                prepare([source], [target], modality=tool, plan=PLAN, out=tmp_path / "prepared")
            assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("clean", [tables, clean_sequences, clean_films])
def test_clean_cohorts_raise_no_alarm(clean):
    """Each alarm's own bound is below one in a thousand; 20 cohorts raise none."""
    for seed in range(20):
        assert raised(*clean(5000 + 11 * seed)) == []


def test_kinds_are_many():
    assert len(LEAKS) >= 12

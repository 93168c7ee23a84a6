"""Relatives never part; what overlaps is refused or left out, and accounted for."""

import json

import numpy as np
import polars as pl
import pytest

from medgraft.cohorts.alphabets import reverse_complement
from medgraft.cohorts.identifiers import TEXT
from medgraft.cohorts.schema import Accounting, Cohort, Column, Outcome
from medgraft.errors import CohortError, ConfigError, LeakError
from medgraft.preparation.prepare import prepare
from medgraft.preparation.sequence import Sequences
from medgraft.preparation.splits import Plan

from .test_homology import mutated, random_dna

PLAN = Plan(runs=2, folds=4, validation_fraction=0.25, sources=2)
OUTCOME = Outcome("ill", "binary", ("no", "yes"))


def cohort(name, tokens, split=None, **details):
    rows = len(tokens)
    told = {"alphabet": "dna", "letters": "ACGT", "length": tokens.shape[1]} | details
    return Cohort(
        name=name,
        columns=(Column("sequence", "sequence", may_be_missing=False, details=told),),
        values=tokens,
        outcome=OUTCOME,
        y=np.arange(rows) % 2.0,
        patient=np.array([f"{name}:{i}" for i in range(rows)], dtype=TEXT),
        subgroups={},
        accounting=Accounting(name, f"{name}.csv", rows, rows, rows),
        source_rows=np.arange(rows) + 2,
        split=None if split is None else np.array(split, dtype=object),
    )


def prepared(out, source, target, **options):
    summary = prepare([source], [target], modality=Sequences(**options), plan=PLAN, out=out)
    return summary, pl.read_parquet(out / "design.parquet")


def test_tokens_stay_bytes(tmp_path):
    source, target = random_dna(40, seed=1), random_dna(24, seed=2)
    prepared(tmp_path / "p", cohort("big", source), cohort("small", target))
    x = np.load(tmp_path / "p" / "target" / "x.npy", mmap_mode="r")
    assert x.dtype == np.uint8
    assert np.array_equal(x, target)
    (feature,) = json.loads((tmp_path / "p" / "target" / "schema.json").read_text())["features"]
    assert (feature["kind"], feature["letters"], feature["length"]) == ("sequence", "ACGT", 100)


@pytest.mark.parametrize("share", [0.0, 0.05, 0.15])
def test_mutants_never_straddle(tmp_path, share):
    """Families of three, one on the other strand, lie in one part of every replica."""
    founders = random_dna(20)
    kin = reverse_complement(mutated(founders, share, seed=3))
    target = np.concatenate([founders, mutated(founders, share), kin])
    _, design = prepared(tmp_path / "p", cohort("big", random_dna(40, seed=9)), cohort("s", target))
    for part in ("train", "validation", "test"):
        for rows in design[part]:
            families, sizes = np.unique(rows.to_numpy() % 20, return_counts=True)
            assert (sizes == 3).all(), families


def test_relatives_in_source_are_refused(tmp_path):
    target = random_dna(24)
    source = np.concatenate([random_dna(40, seed=5), mutated(target[:2], 0.1)])
    with pytest.raises(LeakError) as error:
        prepared(tmp_path / "p", cohort("big", source), cohort("small", target))
    assert str(error.value) == (
        "test information would reach training:\n- 2 source sequences with a copy or relative "
        "(identity 0.8 or more) in the target (big lines 42, 43); "
        "preparation.align.overlap=leave_out removes what would be learned from"
    )
    assert not (tmp_path / "p").exists()


def test_left_out_is_accounted_for(tmp_path):
    target = random_dna(24)
    source = np.concatenate([random_dna(40, seed=5), mutated(target[:2], 0.1)])
    summary, _ = prepared(
        tmp_path / "p", cohort("big", source), cohort("small", target), overlap="leave_out"
    )
    (big, small) = summary.audit.accounting
    assert (big.rows_read, big.rows_used, small.rows_used) == (42, 40, 24)
    assert big.excluded == {"copy or relative (identity 0.8 or more) of a target sequence": 2}
    assert len(np.load(tmp_path / "p" / "source" / "x.npy")) == 40


def test_given_split_loses_training_copies(tmp_path):
    """A copy in two parts leaves the one that is learned from; relatives stay where they are.

    Not so in the source, which no published split decides about.
    """
    target = random_dna(24)
    target[0], target[1] = target[16], reverse_complement(target[20:21])[0]
    target[2], target[12] = target[13], target[23]
    target[3] = mutated(target[17:18], 0.05)[0]
    split = ["train"] * 12 + ["validation"] * 4 + ["test"] * 8
    small = cohort("small", target, split)
    with pytest.raises(LeakError, match="4 target sequences to learn from with a copy to test or"):
        prepared(tmp_path / "p", cohort("big", random_dna(40, seed=5)), small)
    source = random_dna(40, seed=5)
    source[0] = mutated(target[18:19], 0.05)[0]
    summary, design = prepared(tmp_path / "p", cohort("big", source), small, overlap="leave_out")
    big, tested = summary.audit.accounting
    assert big.excluded == {"copy or relative (identity 0.8 or more) of a target sequence": 1}
    assert tested.excluded == {"copy of a sequence tested or stopped on": 4}
    compare = design.filter(use="compare")[0]
    assert [len(compare[part][0]) for part in ("train", "validation", "test")] == [9, 3, 8]


def test_identity_null_joins_copies_alone(tmp_path):
    founders = random_dna(20)
    target = np.concatenate([founders, mutated(founders, 0.05), founders[:2]])
    prepared(
        tmp_path / "p", cohort("big", random_dna(40, seed=9)), cohort("s", target), identity=None
    )
    patients = pl.read_parquet(tmp_path / "p" / "target" / "patients.parquet")["patient"]
    assert patients.n_unique() == 40
    assert patients[40:].to_list() == patients[:2].to_list()


def test_protein_has_one_strand(tmp_path):
    letters = {"alphabet": "protein", "letters": "ACDEFGHIKLMNPQRSTVWY"}
    one = random_dna(24)
    target = np.concatenate([one, reverse_complement(one[:1])])
    small = cohort("small", target, **letters)
    prepared(tmp_path / "p", cohort("big", random_dna(40, seed=5), **letters), small)
    patients = pl.read_parquet(tmp_path / "p" / "target" / "patients.parquet")["patient"]
    assert patients.n_unique() == 25


def test_drift_is_in_letters(tmp_path):
    rich = np.where(random_dna(60, seed=3) % 2 == 0, 2, random_dna(60, seed=4)).astype(np.uint8)
    summary, _ = prepared(tmp_path / "p", cohort("big", random_dna(60)), cohort("small", rich))
    drift = {entry.feature: entry.standardised_difference for entry in summary.audit.drift}
    assert drift["share of G"] > 2
    assert drift["share of A"] < -1


def test_disagreement_is_listed(tmp_path):
    with pytest.raises(CohortError, match="sequence: length is 100 in big, 90 in small"):
        prepared(tmp_path / "p", cohort("big", random_dna(40)), cohort("small", random_dna(24, 90)))


@pytest.mark.parametrize("options", [{"identity": 0.2}, {"overlap": "ignore"}])
def test_impossible_options_are_refused(options):
    with pytest.raises(ConfigError, match=f"^{next(iter(options))} "):
        Sequences(**options)

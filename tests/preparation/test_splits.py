import time
from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medgraft.errors import CohortError, ConfigError, LeakError
from medgraft.preparation.splits import Plan, draw, draw_source
from medgraft.preparation.verification import verify

from .simulated import DISEASE, STAGE, STAY

FIELDS = ("train", "validation", "test")


def plan(**changes):
    return Plan(**({"runs": 2, "folds": 3, "validation_fraction": 0.2} | changes))


def labels(counts):
    return np.repeat(np.arange(len(counts)), counts)


def alone(y):
    return np.arange(len(y))


@st.composite
def grouped(draw_):
    """Patient codes and classes of a cohort whose patients have one to four rows."""
    visits = draw_(st.lists(st.integers(1, 4), min_size=30, max_size=60))
    patient = np.repeat(np.arange(len(visits)), visits)
    # The first twelve patients hold each class once and for all, so that three folds can be made.
    y = np.where(patient < 12, patient % 2, 0)
    free = patient >= 12
    size = int(free.sum())
    y[free] = draw_(st.lists(st.integers(0, 1), min_size=size, max_size=size))
    order = draw_(st.permutations(range(len(patient))))
    return patient[list(order)], y[list(order)]


@settings(max_examples=40, deadline=None)
@given(data=grouped(), seed=st.integers(0, 2**32))
def test_folds_never_split_patients(data, seed):
    patient, y = data
    design = draw(patient, y, DISEASE, plan(seed=seed, sizes=(4, 10)))
    for row in design.iter_rows(named=True):
        sets = [set(patient[row[part]]) for part in FIELDS]
        assert sum(map(len, sets)) == len(set.union(*sets))
        for part, people in zip(FIELDS, sets, strict=True):
            assert len(row[part]) == int(np.isin(patient, list(people)).sum())
    for run in range(2):
        compare = design.filter((pl.col("run") == run) & (pl.col("use") == "compare"))
        assert sorted(compare["test"].explode()) == list(range(len(y)))


@settings(max_examples=60, deadline=None)
@given(
    counts=st.lists(st.integers(5, 40), min_size=2, max_size=4),
    folds=st.integers(3, 5),
    seed=st.integers(0, 2**32),
)
def test_folds_balance_every_class(counts, folds, seed):
    y = labels(counts)
    design = draw(alone(y), y, STAGE, plan(folds=folds, runs=1, seed=seed))
    tests = design.filter(pl.col("use") == "compare")["test"].to_list()
    table = np.array([np.bincount(y[test], minlength=len(counts)) for test in tests])
    assert (np.ptp(table, axis=0) <= 1).all()
    assert np.ptp(table.sum(axis=1)) <= 1


@settings(max_examples=60, deadline=None)
@given(
    counts=st.lists(st.integers(5, 40), min_size=2, max_size=4),
    fraction=st.floats(0.1, 0.5),
    seed=st.integers(0, 2**32),
)
def test_validation_mirrors_training(counts, fraction, seed):
    y = labels(counts)
    design = draw_source(alone(y), y, STAGE, plan(validation_fraction=fraction, seed=seed))
    held = np.bincount(y[design["validation"][0].to_numpy()], minlength=len(counts))
    trained = np.bincount(y[design["train"][0].to_numpy()], minlength=len(counts))
    assert (trained >= 1).all()
    assert (held >= 1).all()
    expected = max(round(fraction * len(y)), len(counts)) / len(y) * np.array(counts)
    assert (np.abs(held - expected) <= 2).all()


def test_rows_balance_within_one_patient():
    stream = np.random.default_rng(0)
    visits = stream.integers(1, 6, 100)
    patient = np.repeat(np.arange(100), visits)
    y = (patient < 30).astype(int)
    tests = draw(patient, y, DISEASE, plan(folds=5, runs=1))["test"].to_list()[:5]
    table = np.array([np.bincount(y[test], minlength=2) for test in tests])
    assert (np.ptp(table, axis=0) <= visits.max()).all()


def test_regression_folds_share_deciles():
    y = np.random.default_rng(2).exponential(size=100)
    tests = draw(alone(y), y, STAY, plan(folds=5, runs=1))["test"].to_list()[:5]
    decile = np.argsort(np.argsort(y)) // 10
    assert all((np.bincount(decile[test], minlength=10) == 2).all() for test in tests)


def test_more_runs_change_nothing_earlier():
    y = labels([40, 30])
    few = draw(alone(y), y, DISEASE, plan(runs=2, sizes=(10,), seed=3))
    many = draw(alone(y), y, DISEASE, plan(runs=5, sizes=(10,), seed=3))
    assert many.head(few.height).equals(few)


def test_more_sizes_change_nothing_else():
    y = labels([40, 30])
    few = draw(alone(y), y, DISEASE, plan(sizes=(10,)))
    many = draw(alone(y), y, DISEASE, plan(sizes=(5, 10, 20)))
    kept = many.filter(~pl.col("size").is_in([5, 20]) | (pl.col("use") != "curve"))
    assert kept.drop("replica").equals(few.drop("replica"))


def test_more_sources_extend_source_design():
    y = labels([40, 30])
    few, many = (draw_source(alone(y), y, DISEASE, plan(sources=s)) for s in (2, 5))
    assert many.head(2).equals(few)


def test_seeds_decide_everything():
    y = labels([40, 30])
    one, again, other = (draw(alone(y), y, DISEASE, plan(seed=s)) for s in (1, 1, 2))
    assert one.equals(again)
    assert one["test"].to_list() != other["test"].to_list()
    assert one["init_seed"].n_unique() == one.height


def test_curve_rows_are_nested():
    y = labels([60, 40])
    design = draw(alone(y), y, DISEASE, plan(sizes=(5, 10, 20)))
    for (_, _), rows in design.filter(pl.col("fold") >= 0).group_by("run", "fold"):
        ladder = rows.sort("size").to_dicts()
        assert [row["size"] for row in ladder] == [5, 10, 20, len(ladder[-1]["train"])]
        for small, large in pairwise(ladder):
            assert set(small["train"]) < set(large["train"])
            assert set(small["validation"]) <= set(large["validation"])
            assert small["test"] == large["test"]
            assert np.unique(y[small["train"]]).tolist() == [0, 1]


@pytest.mark.parametrize("size", [60, 10**9])
def test_size_no_fold_has_is_refused(size):
    """Four of five folds of 100 patients, less a quarter that says when to stop: 60 train."""
    y = labels([60, 40])
    told = f"design.sizes: got {size}, expected fewer than the 60 patients of target that a fold"
    with pytest.raises(ConfigError, match=told):
        draw(alone(y), y, DISEASE, plan(sizes=(5, size), folds=5, validation_fraction=0.25))


def test_final_rows_use_everybody():
    y = labels([40, 30])
    final = draw(alone(y), y, DISEASE, plan(runs=3)).filter(pl.col("use") == "final")
    assert final["run"].to_list() == [0, 1, 2]
    assert final["test"].list.len().sum() == 0
    for row in final.iter_rows(named=True):
        assert sorted(row["train"] + row["validation"]) == list(range(70))


def test_runs_walk_source_seeds():
    y = labels([20, 20])
    design = draw(alone(y), y, DISEASE, plan(runs=5, sources=3))
    assert design.unique("run").sort("run")["source_seed"].to_list() == [0, 1, 2, 0, 1]


def test_given_split_is_kept():
    y = labels([20, 20])
    parts = np.array(["train", "train", "validation", "test"] * 10)
    design = draw(alone(y), y, DISEASE, plan(runs=3), given=parts)
    compare = design.filter(pl.col("use") == "compare")
    for part in FIELDS:
        assert compare[part].to_list() == [np.flatnonzero(parts == part).tolist()] * 3
    assert compare["init_seed"].n_unique() == 3
    verify(design, alone(y), tested=parts == "test")


def test_given_split_through_patient_fails():
    patient, y = np.repeat(np.arange(20), 2), np.repeat(labels([10, 10]), 2)
    parts = np.array(
        ["train", "train", "validation", "validation", "test", "test"] * 6 + ["train"] * 4
    )
    verify(draw(patient, y, DISEASE, plan(), given=parts), patient, tested=parts == "test")
    parts[0] = "test"
    with pytest.raises(LeakError, match="replica 0: 1 patient in both train and test"):
        verify(draw(patient, y, DISEASE, plan(), given=parts), patient, tested=parts == "test")


def test_given_split_names_wrong_parts():
    with pytest.raises(CohortError, match="use all three, got 'tets', 'train'"):
        draw(np.arange(2), labels([1, 1]), DISEASE, plan(), given=np.array(["train", "tets"]))


@pytest.mark.parametrize(
    ("counts", "folds", "message"),
    [
        ([9, 3], 5, "clinic has 3 patients with disease=yes; 5 folds need at least 5"),
        (
            [1, 3],
            4,
            "clinic has 1 patient with disease=no and 3 patients with disease=yes; "
            "4 folds need at least 4",
        ),
        ([9, 3], 2, "clinic has 3 patients with disease=yes; 2 folds need at least 4"),
        ([9], 3, "clinic has only patients with disease=no"),
    ],
)
def test_too_few_patients_are_named(counts, folds, message):
    y = labels(counts)
    with pytest.raises(CohortError) as caught:
        draw(alone(y), y, DISEASE, plan(folds=folds), where="clinic")
    assert str(caught.value) == message


def test_too_few_values_are_named():
    with pytest.raises(CohortError, match=r"^clinic has 4 patients; 5 folds need at least 5$"):
        draw(np.arange(4), np.arange(4.0), STAY, plan(folds=5), where="clinic")


def test_plan_collects_what_is_wrong():
    with pytest.raises(ConfigError) as caught:
        plan(runs=0, validation_fraction=0.9)
    assert str(caught.value) == (
        "runs: expected 1 or more, got 0; validation_fraction: expected between 0 and 0.5, got 0.9"
    )


def test_large_designs_are_quick():
    # Measured 0.06 s and 0.2 s on one core; the bounds only catch a change of order.
    y = np.random.default_rng(0).integers(0, 2, 100_000)
    start = time.perf_counter()
    draw(np.arange(2000), y[:2000], DISEASE, plan(runs=10, folds=5))
    assert time.perf_counter() - start < 2
    design = draw(alone(y), y, DISEASE, plan(runs=2, folds=5))
    start = time.perf_counter()
    verify(design, alone(y))
    assert time.perf_counter() - start < 5

import numpy as np
import polars as pl
import pytest

from medgraft.errors import LeakError
from medgraft.preparation.splits import Plan, draw, draw_source
from medgraft.preparation.verification import verify

from .simulated import DISEASE

PLAN = Plan(runs=2, folds=3, validation_fraction=0.2, sources=3)
Y = np.repeat([0, 1], 20)


def tampered(design, column, index, rows):
    lists = design[column].to_list()
    lists[index] = rows
    return design.with_columns(pl.Series(column, lists, pl.List(pl.Int32)))


@pytest.fixture
def sound():
    design = draw(np.arange(40), Y, DISEASE, PLAN)
    verify(design, np.arange(40))
    return design


def test_patient_in_two_parts_fails(sound):
    stolen = [*sound["train"][4].to_list(), sound["test"][4][0]]
    with pytest.raises(LeakError, match="replica 4: 1 patient in both train and test"):
        verify(tampered(sound, "train", 4, stolen), np.arange(40))


def test_second_row_of_patient_fails(sound):
    # The rows are apart, the patient is not.
    patient = np.arange(40)
    patient[sound["train"][0][0]] = patient[sound["validation"][0][0]]
    with pytest.raises(LeakError, match="replica 0: 1 patient in both train and validation"):
        verify(sound, patient)


def test_untested_row_fails(sound):
    short = sound["test"][1].to_list()[1:]
    with pytest.raises(
        LeakError, match=r"run 0: 1 row not tested exactly once \(row .*: 0 times\)"
    ):
        verify(tampered(sound, "test", 1, short), np.arange(40))


def test_twice_tested_row_fails(sound):
    given_twice = [*sound["test"][1].to_list(), sound["test"][0][0]]
    changed = tampered(sound, "test", 1, given_twice)
    train = [row for row in sound["train"][1].to_list() if row != given_twice[-1]]
    validation = [row for row in sound["validation"][1].to_list() if row != given_twice[-1]]
    changed = tampered(tampered(changed, "train", 1, train), "validation", 1, validation)
    with pytest.raises(LeakError, match=r"not tested exactly once \(row .*: 2 times\)"):
        verify(changed, np.arange(40))


def test_missing_run_fails(sound):
    with pytest.raises(LeakError, match="run 1: 40 rows not tested exactly once"):
        verify(sound.filter((pl.col("run") == 0) | (pl.col("use") == "final")), np.arange(40))


def test_impossible_rows_fail(sound):
    with pytest.raises(LeakError, match="train holds row 40, the cohort has 40"):
        verify(tampered(sound, "train", 0, [0, 40]), np.arange(40))
    with pytest.raises(LeakError, match="validation is empty"):
        verify(tampered(sound, "validation", 0, []), np.arange(40))
    with pytest.raises(LeakError, match="train holds a row twice"):
        verify(tampered(sound, "train", 0, [0, 0]), np.arange(40))


def test_source_design_is_verified_too():
    design = draw_source(np.arange(40), Y, DISEASE, PLAN)
    verify(design, np.arange(40))
    torn = tampered(design, "train", 2, design["validation"][2].to_list())
    with pytest.raises(LeakError, match="replica 2: 8 patients in both train and validation"):
        verify(torn, np.arange(40))

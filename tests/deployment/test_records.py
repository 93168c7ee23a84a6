import numpy as np
import polars as pl
import pytest

from medgraft.deployment.records import records_of
from medgraft.errors import CohortError

AGE = "expected a number in years between 0 and 110"
LAB = "expected a number between 0 and 1000"
HOSTILE = [
    ("age", "x" * 99, f'column age: got "{"x" * 40}…", {AGE}'),
    ("age", "-1", f'column age: got "-1", {AGE}'),
    ("age", "", f"column age: missing, {AGE}"),
    ("age", "?", f"column age: missing, {AGE}"),
    ("age", "NaN", f'column age: got "NaN", {AGE}'),
    ("age", "61,5", f'column age: got "61,5", {AGE}'),
    ("age", "=1+1", f'column age: got "=1+1", {AGE}'),
    ("lab", "inf", f'column lab: got "inf", {LAB}'),
    ("lab", "1e999", f'column lab: got "1e999", {LAB}'),
    ("sex", "2", 'column sex: got "2", expected one of 0, 1'),
    ("sex", "male", 'column sex: got "male", expected one of 0, 1'),
    ("extra", "1e39", 'column extra: got "1e39", expected a number'),
]


@pytest.mark.parametrize(("column", "cell", "problem"), HOSTILE)
def test_hostile_cell_is_named(ward, column, cell, problem):
    raw = ward.raw.head(1).with_columns(pl.lit(cell).alias(column))
    _, problems = records_of(ward.champion).read(raw)
    assert problems == [[problem]]


def test_every_breach_is_told(ward):
    raw = ward.raw.head(2).with_columns(age=pl.lit("old"), sex=pl.lit("x"))
    _, problems = records_of(ward.champion).read(raw)
    told = [f'column age: got "old", {AGE}', 'column sex: got "x", expected one of 0, 1']
    assert problems == [told, told]


def test_more_than_twenty_rows_are_told(ward):
    _, problems = records_of(ward.champion).read(ward.raw.with_columns(age=pl.lit("old")))
    assert [len(found) for found in problems] == [1] * 60


def test_missing_is_missing_however_written(ward):
    raw = pl.concat([ward.raw.head(1)] * 4).with_columns(lab=pl.Series(["", "?", "0", None]))
    x, problems = records_of(ward.champion).read(raw)
    assert np.isnan(x[:, 1]).all()
    assert problems == [[]] * 4


def test_order_of_columns_is_free(ward):
    records, raw = records_of(ward.champion), ward.raw
    x, _ = records.read(raw)
    assert np.array_equal(records.read(raw.select(sorted(raw.columns)))[0], x, equal_nan=True)


def test_unmeasured_feature_stays_missing(ward):
    records = records_of(ward.champion)
    x, _ = records.read(ward.raw)
    assert records.features == ("age", "lab", "marker", "extra", "sex")
    assert np.isnan(x[:, 2]).all()


def test_patient_and_outcome_are_optional(ward):
    records, raw = records_of(ward.champion), ward.raw
    assert records.optional == ("id", "name", "end")
    x, problems = records.read(raw.drop("id", "name", "end"))
    assert np.array_equal(x, records.read(raw)[0], equal_nan=True)
    assert not any(problems)


def test_wrong_columns_are_named_together(ward):
    raw = ward.raw.rename({"age": "agee"}).drop("sex").with_columns(shoe=pl.lit("43"))
    with pytest.raises(CohortError) as raised:
        records_of(ward.champion).read(raw)
    assert str(raised.value).splitlines() == [
        'column "agee" is not declared, did you mean "age"?',
        'column "shoe" is not declared',
        'column "age" is declared and absent',
        'column "sex" is declared and absent',
    ]


def test_source_measurement_is_refused(ward):
    # The target site never measured it: the model was not trained with it there.
    with pytest.raises(CohortError, match='column "marker" is not declared'):
        records_of(ward.champion).read(ward.raw.with_columns(marker=pl.lit("1")))


def test_example_fits_the_description(any_run):
    records = records_of(any_run.champion)
    assert records.example() == {"age": 55, "lab": 500, "sex": 0, "extra": 1}
    assert records.read(pl.DataFrame([records.example()]))[1] == [[]]

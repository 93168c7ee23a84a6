import numpy as np
import polars as pl
import pytest

from medgraft.preparation.arrays import Prepared
from medgraft.reporting.cohorts import MOST_FEATURES, describe, most_drifted, side_by_side

NUMBER = {"name": "age", "kind": "number", "categories": [], "unit": "years"}
SEX = {"name": "sex", "kind": "category", "categories": ["female", "male"], "unit": ""}


def test_number_is_median_and_quartiles():
    values = np.array([1, 2, 3, 4, 5, np.nan], dtype=np.float32)
    assert describe(values, NUMBER) == "3 [2, 4]; 1 value missing"


def test_category_is_counted():
    assert describe(np.array([0, 1, 1, 1], dtype=np.float32), SEX) == "female 1 (25%), male 3 (75%)"


def test_absent_feature_is_not_measured():
    assert describe(np.full(3, np.nan, dtype=np.float32), NUMBER) == "not measured"


def test_drift_ranks_both_kinds():
    entries = [
        {"feature": "a", "ks": 0.1, "total_variation": None},
        {"feature": "b", "ks": None, "total_variation": 0.4},
        {"feature": "c", "ks": None, "total_variation": None},
        {"feature": "d", "ks": 0.3, "total_variation": None},
    ]
    assert [entry["feature"] for entry in most_drifted(entries)] == ["b", "d", "a", "c"]


def test_many_features_show_the_drifted():
    names = [f"gene_{i}" for i in range(100)]
    features = [{**NUMBER, "name": name, "origin": "shared"} for name in names]
    outcome = {"name": "death", "task": "binary", "classes": ["no", "yes"], "unit": ""}
    cohort = Prepared(
        np.zeros((4, 100), dtype=np.float32),
        np.array([0, 1, 0, 0], dtype=np.float32),
        pl.DataFrame({"row": range(4), "patient": [0, 0, 1, 2], "site": ["nki"] * 4}),
        {"features": features, "outcome": outcome, "sites": ["nki"]},
    )
    drift = [{"feature": name, "ks": i / 100} for i, name in enumerate(names)]
    rows = side_by_side(cohort, cohort, drift=drift)
    assert [row.name for row in rows[4:]] == names[-MOST_FEATURES:]
    assert (rows[1].source, rows[3].source) == ("3", "death: no 3 (75%), yes 1 (25%)")


@pytest.mark.parametrize(("kind", "shape"), [("image", (1, 8, 8)), ("sequence", (20,))])
def test_inputs_that_are_no_measurements_have_no_median(kind, shape):
    cohort = Prepared(
        np.zeros((4, *shape), dtype=np.uint8),
        np.array([0, 1, 0, 0], dtype=np.float32),
        pl.DataFrame({"row": range(4), "patient": range(4), "site": ["a"] * 4}),
        {
            "features": [{"name": "film", "kind": kind, "origin": "shared"}],
            "outcome": {"name": "death", "task": "binary", "classes": ["no", "yes"], "unit": ""},
            "sites": ["a"],
        },
    )
    rows = side_by_side(cohort, cohort, drift=[])
    assert [row.name for row in rows] == ["rows", "patients", "sites", "outcome"]

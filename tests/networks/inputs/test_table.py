import numpy as np
import pytest
import torch

from medgraft.errors import StageError
from medgraft.networks.inputs.table import TableInput


def number(name="age", *, missing=False, origin="shared"):
    return {"name": name, "kind": "number", "may_be_missing": missing, "origin": origin}


def category(*categories, missing=False):
    return number("sex", missing=missing) | {"kind": "category", "categories": categories}


def fitted(features, rows):
    table = TableInput(features)
    table.load_state_dict(table.fit(rows))
    return table


def test_statistics_equal_numpys_nan():
    rng = np.random.default_rng(0)
    rows = rng.normal([5, -300, 1e6], [1, 40, 0.5], (200, 3)).astype(np.float32)
    rows[rng.random(rows.shape) < 0.3] = np.nan
    found = TableInput([number()] * 3).fit(rows)
    exact = rows.astype(np.float64)
    np.testing.assert_allclose(found["mean"], np.nanmean(exact, 0), rtol=1e-6)
    np.testing.assert_allclose(found["scale"], np.nanstd(exact, 0), rtol=1e-6)


@pytest.mark.parametrize("value", [0.0, 7.0, 900.1, 1e-20])
def test_constant_column_keeps_unit(value):
    rows = np.full((30, 1), value, np.float32)
    assert TableInput([number()]).fit(rows)["scale"].item() == 1


def test_patient_becomes_these_inputs():
    features = [
        number("age", missing=True),
        number("weight"),
        number("enzyme", origin="source_only"),
        category("f", "m", "x", missing=True),
    ]
    rows = np.array([[40, 1, np.nan, 0], [60, 3, np.nan, 1]], np.float32)
    table = fitted(features, rows)
    nan = torch.nan
    x = torch.tensor([[70, 0, 5, 2], [nan, 2, nan, nan]])
    # age, weight, enzyme; f, m, x; is age, is enzyme, is sex missing
    expected = [[2, -2, 0, 0, 0, 1, 0, 0, 0], [0, 0, 0, 0, 0, 0, 1, 1, 1]]
    assert table(x).tolist() == expected
    assert table.width == len(expected[0])


def test_unseen_feature_enters_zero():
    rows = np.array([[1.0, np.nan], [3.0, np.nan]], np.float32)
    table = fitted([number(), number()], rows)
    assert torch.isnan(table.scale).tolist() == [False, True]
    assert table(torch.tensor([[3.0, 1e9]])).tolist() == [[1, 0]]


def test_raw_patients_stay_raw():
    table = fitted([number(), number()], np.array([[1, 2], [3, 6]], np.float32))
    x = torch.tensor([[1.0, torch.nan]])
    table(x)
    assert x[0, 0] == 1
    assert torch.isnan(x[0, 1])


def test_category_before_number_refused():
    with pytest.raises(StageError) as caught:
        TableInput([category("f", "m"), number()])
    assert str(caught.value) == "schema.json: expected all number features before the categories"

import numpy as np
import pytest
import torch

from medgraft.networks.inputs.pseudo import PseudoInput
from medgraft.networks.inputs.table import TableInput

from .test_table import category, number

LOST = {"origin": "source_only"}
FEATURES = [number("a"), number("b"), number("c", origin="source_only"), category("f", "m") | LOST]


def patients(n, seed=0):
    """Two shared numbers; the third follows from them, and the category from the first."""
    a, b = np.random.default_rng(seed).normal([5, -1], [2, 1], (n, 2)).T
    return np.column_stack([a, b, 2 * a - 3 * b + 1, a > 5]).astype(np.float32)


def fitted(rows, *, penalty=0.0, features=FEATURES):
    pseudo = PseudoInput(features, penalty)
    pseudo.load_state_dict(pseudo.fit(rows))
    return pseudo


def test_linear_relation_gives_truth():
    """A target without the feature is prepared as if it had been measured."""
    pseudo = fitted(patients(300))
    full = torch.from_numpy(patients(50, seed=1))
    lacking = full.clone()
    lacking[:, 2] = torch.nan
    torch.testing.assert_close(pseudo(lacking), pseudo(full), rtol=0, atol=1e-4)


def test_measured_values_are_kept():
    """Shared and source-only features enter as in the plain table, without the flags."""
    rows = patients(300)
    pseudo, table = fitted(rows), TableInput(FEATURES)
    table.load_state_dict(table.fit(rows))
    x = torch.from_numpy(rows)
    assert torch.equal(pseudo(x), table(x)[:, :5])
    assert pseudo.width == 5


def test_category_gets_likely_level():
    rows = patients(300)
    x = torch.from_numpy(rows.copy())
    x[:, 3] = torch.nan
    female, male = fitted(rows)(x)[:, 3:].T
    torch.testing.assert_close(female + male, torch.ones(300))
    assert ((male > 0.5).numpy() == (rows[:, 3] == 1)).mean() > 0.9


def test_relation_equals_scikit_learns_ridge():
    from sklearn.linear_model import Ridge

    rows = patients(100)
    rows[:, 2] += np.random.default_rng(2).normal(0, 4, 100)
    rows[:20, 2] = np.nan
    pseudo, table = fitted(rows, penalty=7.0), TableInput(FEATURES)
    table.load_state_dict(table.fit(rows))
    prepared = table(torch.from_numpy(rows)).numpy()
    ridge = Ridge(alpha=7.0).fit(prepared[20:, :2], prepared[20:, 2])
    found = pseudo(torch.from_numpy(rows[:20]))[:, 2]
    np.testing.assert_allclose(found, ridge.predict(prepared[:20, :2]), atol=1e-5)


def test_never_measured_enters_zero():
    """From scratch on the target there is nothing to learn the feature from."""
    rows = patients(30)
    rows[:, 2:] = np.nan
    pseudo = fitted(rows)
    assert torch.isnan(pseudo.coefficients).all()
    assert not pseudo(torch.from_numpy(rows))[:, 2:].any()


def test_fit_in_chunks_is_the_same(monkeypatch):
    rows = patients(300)
    whole = fitted(rows).coefficients
    monkeypatch.setattr("medgraft.networks.inputs.pseudo.CHUNK", 64)
    torch.testing.assert_close(fitted(rows).coefficients, whole)


def test_target_only_features_predict_nothing():
    """They are constant in the source and would carry the intercept away with them."""
    features = [*FEATURES[:2], number("t", origin="target_only"), FEATURES[2], FEATURES[3]]
    rows = np.insert(patients(300), 2, np.nan, axis=1)
    pseudo = fitted(rows, features=features)
    x = torch.from_numpy(np.insert(patients(50, seed=1), 2, 4.0, axis=1))
    lacking = x.clone()
    lacking[:, 3] = torch.nan
    torch.testing.assert_close(pseudo(lacking)[:, -3], pseudo(x)[:, -3], rtol=0, atol=1e-4)


@pytest.mark.parametrize("penalty", [0.0, 1.0])
def test_fit_leaves_module_alone(penalty):
    pseudo = PseudoInput(FEATURES, penalty)
    pseudo.fit(patients(30))
    assert all(torch.isnan(value).all() for value in pseudo.state_dict().values())

import numpy as np
import pytest
import rtdl_num_embeddings as rtdl
import torch

from medgraft.networks.inputs.piecewise_linear import PiecewiseLinearInput
from medgraft.networks.inputs.table import TableInput

from .test_table import category, number


def fitted(features, rows, bins=8):
    encoding = PiecewiseLinearInput(features, bins)
    encoding.load_state_dict(encoding.fit(rows))
    return encoding


def measurements(n):
    """Continuous; counts, most of them 0; yes or no."""
    rng = np.random.default_rng(0)
    columns = [rng.normal(100, 20, n), rng.poisson(0.4, n), rng.integers(0, 2, n)]
    return np.column_stack(columns).astype(np.float32)


@pytest.mark.filterwarnings("ignore:The 2-th feature has just two bin edges")
def test_encoding_equals_authors_library():
    """Also beyond the range of training, and where quantiles coincide."""
    rows, others = measurements(500), torch.from_numpy(measurements(100) * 1.5 - 10)
    theirs = rtdl.PiecewiseLinearEncoding(rtdl.compute_bins(torch.from_numpy(rows), 8))(others)
    ours = fitted([number()] * 3, rows)
    empty = (ours.edges[:, 1:] == ours.edges[:, :-1]).flatten()
    assert 0 < empty.sum() < len(empty)
    encoded = ours(others)
    torch.testing.assert_close(encoded[:, ~empty], theirs)
    assert not encoded[:, empty].any()


def test_number_fills_bins_in_turn():
    ours = fitted([number()], np.arange(5, dtype=np.float32)[:, None], bins=4)
    x = torch.tensor([[0.0], [1.25], [2.0], [4.0], [5.0], [-1.0]])
    assert ours(x).tolist() == [
        [0, 0, 0, 0],
        [1, 0.25, 0, 0],
        [1, 1, 0, 0],
        [1, 1, 1, 1],
        [1, 1, 1, 2],
        [-1, 0, 0, 0],
    ]


def test_missing_is_median_and_flagged():
    rows = np.array([[0], [1], [2], [9], [np.nan]], np.float32)
    ours = fitted([number(missing=True)], rows, bins=2)
    missing, median = ours(torch.tensor([[torch.nan], [1.5]]))
    assert torch.equal(missing[:-1], median[:-1])
    assert (missing[-1], median[-1]) == (1, 0)


def test_categories_enter_as_in_table():
    features = [number(), category("f", "m", missing=True)]
    rows = np.array([[1, 0], [2, 1], [3, np.nan]], np.float32)
    ours, table = fitted(features, rows, bins=2), TableInput(features)
    table.load_state_dict(table.fit(rows))
    x = torch.from_numpy(rows)
    assert torch.equal(ours(x)[:, 2:], table(x)[:, 1:])
    assert ours.width == ours(x).shape[1] == 5


def test_unseen_and_constant_features_enter_zero():
    rows = np.array([[np.nan, 4], [np.nan, 4]], np.float32)
    ours = fitted([number(), number()], rows)
    assert not ours(torch.tensor([[3.0, 4.0], [torch.nan, 7.0]])).any()

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from medgraft.training.batches import Batches, hide, order, padded

X = np.arange(60, dtype=np.float32)[:, None] * [1, 100]
ROWS = [list(range(0, 17)), list(range(20, 60))]


def batches(**changes):
    given = {"rows": ROWS, "seeds": [3, 4], "size": 6, "steps": 23, "chunk": 5}
    return Batches(
        **({"x": X.astype(np.float32), "y": X[:, 0].astype(np.float32)} | given | changes)
    )


def steps(made):
    """All steps in one: ``x [steps, R, b, ...]`` and ``y [steps, R, b]``."""
    x, y = zip(*made, strict=True)
    return torch.cat(x), torch.cat(y)


@given(patients=st.integers(1, 700), seed=st.integers(0, 2**62), first=st.integers(0, 12))
@settings(max_examples=60, deadline=None)
def test_each_pass_covers_everyone(patients, seed, first):
    rows = list(range(100, 100 + patients))
    stream = order(rows, seed, first * patients, (first + 15) * patients)
    assert (np.sort(stream.reshape(15, patients), axis=1) == rows).all()


@given(cuts=st.lists(st.integers(0, 9000), min_size=2, max_size=6))
@settings(max_examples=40, deadline=None)
def test_stream_has_no_memory(cuts):
    whole, cuts = order(range(37), 5, 0, 9000), sorted(cuts)
    for start, stop in pairwise(cuts):
        if start < stop:
            assert np.array_equal(order(range(37), 5, start, stop), whole[start:stop])


def test_passes_and_seeds_differ():
    stream = order(range(40), 0, 0, 40 * 300).reshape(300, 40)  # several blocks of permutations
    assert len({tuple(one) for one in stream}) == 300
    assert not np.array_equal(order(range(40), 1, 0, 40), stream[0])


@pytest.mark.parametrize("augment", [None, hide([1], 0.5)])
@pytest.mark.parametrize("chunk", [1, 4, 23, 100])
def test_chunks_change_no_batch(chunk, augment):
    x, y = steps(batches(augment=augment))
    other, outcomes = steps(batches(augment=augment, chunk=chunk))
    torch.testing.assert_close(other, x, rtol=0, atol=0, equal_nan=True)
    assert torch.equal(outcomes, y)
    assert len(batches(chunk=chunk)) == len(list(batches(chunk=chunk))) == -(-23 // chunk)


def test_resumed_steps_are_the_same():
    whole, later = steps(batches())[0], steps(batches(first=9))[0]
    assert torch.equal(later, whole[9:])


def test_replica_draws_as_alone():
    x, _ = steps(batches(augment=hide([1], 0.5)))
    alone, _ = steps(batches(rows=ROWS[1:], seeds=[4], augment=hide([1], 0.5)))
    torch.testing.assert_close(alone[:, 0], x[:, 1], rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("augment", [None, hide([1], 0.5)])
def test_processes_share_each_batch(augment):
    x, y = steps(batches(augment=augment))
    parts = [steps(batches(augment=augment, rank=rank, world=3)) for rank in range(3)]
    together = torch.stack([part[0] for part in parts], dim=3).flatten(2, 3)
    torch.testing.assert_close(together, x, rtol=0, atol=0, equal_nan=True)
    assert torch.equal(torch.stack([part[1] for part in parts], dim=3).flatten(2, 3), y)


def test_patients_keep_their_outcome():
    x, y = steps(batches())
    assert torch.equal(x[..., 0], y)
    for r, rows in enumerate(ROWS):
        assert set(y[:, r].flatten().tolist()) == set(rows)


def test_hiding_takes_columns_together():
    x = np.ones((5000, 2, 4), np.float32)
    hidden = np.isnan(hide([0, 3], 0.3)(x, x, np.random.default_rng(0))[0])
    assert (hidden[..., 0] == hidden[..., 3]).all()
    assert not hidden[..., 1:3].any()
    assert not np.isnan(x).any()
    # Wrong for one seed in 10,000.
    low, high = binom.ppf([0.00005, 0.99995], 10_000, 0.3)
    assert low <= hidden[..., 0].sum() <= high


def test_hiding_is_not_ordering():
    """What hides a patient says nothing of when it is seen: the two streams are apart."""
    drawn = []
    batches(augment=lambda x, y, rng: drawn.append(rng.random(4)) or (x, y)).take(0, 1)
    for seed, found in zip([3, 4], drawn, strict=True):
        assert not np.isin(found, np.random.default_rng([seed, 0]).random(4)).any()


def test_padding_repeats_own_rows():
    index, mask = padded([[5, 6], [1, 2, 3, 4, 9]])
    assert index.tolist() == [[5, 6, 5, 6, 5], [1, 2, 3, 4, 9]]
    assert mask.tolist() == [[True, True, False, False, False], [True] * 5]

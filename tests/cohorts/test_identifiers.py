"""Equal texts are one patient, different texts never are, whatever their hashes say."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medgraft.cohorts import identifiers
from medgraft.cohorts.identifiers import TEXT, alike, count, first_rows, repeated

NAMES = st.lists(st.sampled_from(["", "a", "A", "b", " b", "ä", "a longer name than fifteen"]))


@given(NAMES)
def test_first_row_with_the_same_text(names):
    texts = np.array(names, dtype=TEXT)
    assert first_rows(texts).tolist() == [names.index(name) for name in names]
    assert count(texts) == len(set(names))


@given(NAMES)
def test_one_hash_for_all_joins_nobody(names):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(identifiers, "_hashes", lambda texts: np.zeros(len(texts), np.uint64))
        found = first_rows(np.array(names, dtype=TEXT))
    assert found.tolist() == [names.index(name) for name in names]


@given(st.lists(st.integers(0, 2**64 - 1) | st.integers(0, 3)))
def test_which_come_more_than_once(numbers):
    found = repeated(np.array(numbers, dtype=np.uint64))
    assert found.tolist() == [numbers.count(number) > 1 for number in numbers]


def test_parts_of_any_size_make_no_difference(monkeypatch):
    texts = np.array([f"patient {row % 7}" for row in range(50)], dtype=TEXT)
    whole = first_rows(texts)
    monkeypatch.setattr(identifiers, "SOME", 3)
    np.testing.assert_array_equal(first_rows(texts), whole)


ALIKE = [
    "Zoë",
    "Zoe\u0308",
    "P\u00ad1",
    "P1",
    " P1",
    "P1\u00a0",
    "\ufeffP1",
    "A B",
    "A\u00a0B",
    "A  B",
]


@pytest.mark.parametrize("size", [3, 100_000])
def test_different_texts_that_look_alike_are_found(monkeypatch, size):
    """Whichever comes first; what looks unlike, or is the same text twice, is left alone."""
    monkeypatch.setattr(identifiers, "SOME", size)
    others = ["p1", "P2", "P2", "Zoe", "AB", "\u200bP3", "\u200bP3", "李", "李", "١", "1"]
    for names in (ALIKE + others, others + ALIKE, [*others, *ALIKE[::-1]]):
        found = alike(np.array(names, dtype=TEXT))
        assert [name for name, one in zip(names, found, strict=True) if one] == [
            name for name in names if name in ALIKE
        ]
    assert not alike(np.array(others, dtype=TEXT)).any()

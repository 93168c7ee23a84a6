import numpy as np
import polars as pl
import pytest

from medgraft.cohorts.alphabets import (
    ALPHABETS,
    PADDING,
    UNKNOWN,
    foreign_letter,
    reverse_complement,
    tokenise,
)

DNA = ALPHABETS["dna"].table()


def tokens(*sequences, length, crop=False, table=DNA):
    return tokenise(pl.Series(list(sequences)), table, length=length, crop=crop)


def test_letters_become_their_places():
    found, good = tokens("ACGT", "acgu", "NRYA", length=4)
    assert found.dtype == np.uint8
    assert found.tolist() == [[0, 1, 2, 3], [0, 1, 2, 3], [UNKNOWN] * 3 + [0]]
    assert good.all()


def test_protein_letters_in_order():
    letters = ALPHABETS["protein"].letters
    found, _ = tokens(letters, length=20, table=ALPHABETS["protein"].table())
    assert found[0].tolist() == list(range(20))
    assert letters == "".join(sorted(letters))


def test_short_padded_long_cropped():
    short, _ = tokens("AC", length=4)
    assert short.tolist() == [[0, 1, PADDING, PADDING]]
    middle, _ = tokens("AACGTT", "A", length=4, crop=True)
    assert middle.tolist() == [[0, 1, 2, 3], [0, PADDING, PADDING, PADDING]]


def test_foreign_letters_found_even_outside():
    _, good = tokens("ACGT", "ACGTT-", "ÄCGT", length=4, crop=True)
    assert good.tolist() == [True, False, False]
    assert foreign_letter("ACG-T", DNA) == (4, "-")
    assert foreign_letter("ACGÄ", DNA) == (4, "Ä")
    assert foreign_letter("ACGTN", DNA) is None


def test_small_letters_masked():
    masked, _ = tokens("ACgt", length=4, table=ALPHABETS["dna"].table(lower=UNKNOWN))
    assert masked.tolist() == [[0, 1, UNKNOWN, UNKNOWN]]


@pytest.mark.parametrize(("text", "other"), [("AACGN", "NCGTT"), ("AAG", "CTT")])
def test_other_strand(text, other):
    found = reverse_complement(tokens(text, length=5)[0])
    assert np.array_equal(found, tokens(other, length=5)[0])
    assert np.array_equal(reverse_complement(found), tokens(text, length=5)[0])


def test_blocks_do_not_show(monkeypatch):
    sequences = ["ACGT"[: 1 + i % 4] * 3 for i in range(50)]
    whole, _ = tokens(*sequences, length=8, crop=True)
    monkeypatch.setattr("medgraft.cohorts.alphabets.BLOCK", 7)
    assert np.array_equal(tokens(*sequences, length=8, crop=True)[0], whole)

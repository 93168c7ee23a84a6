from itertools import combinations

import numpy as np
import pytest
from rapidfuzz.distance import Levenshtein

from medgraft.cohorts.alphabets import PADDING, reverse_complement
from medgraft.preparation.homology import copies, crossing, families, related


def random_dna(rows, length=100, *, seed=0):
    return np.random.default_rng(seed).integers(0, 4, (rows, length)).astype(np.uint8)


def mutated(tokens, share, *, seed=1):
    """Each row with this share of its letters replaced by others."""
    stream, found = np.random.default_rng(seed), tokens.copy()
    for row in found:
        places = stream.choice(len(row), round(share * len(row)), replace=False)
        row[places] = (row[places] + stream.integers(1, 4, len(places))) % 4
    return found


def edited(tokens, *, seed=1):
    """Each row without one letter in the middle, and a new one at its end."""
    half, last = tokens.shape[1] // 2, random_dna(len(tokens), 1, seed=seed)
    return np.concatenate([tokens[:, :half], tokens[:, half + 1 :], last], axis=1)


def pairs(tokens, identity=0.8, *, strands=True, exact=0):
    one, two = related(tokens, "ACGT", identity=identity, strands=strands, exact=exact)
    return set(zip(one.tolist(), two.tolist(), strict=True))


def by_hand(tokens, identity):
    """All pairs by the definition, without a k-mer."""
    both = [
        ["".join("ACGT"[i] for i in row) for row in each]
        for each in (tokens, reverse_complement(tokens))
    ]
    return {
        (i, j)
        for i, j in combinations(range(len(tokens)), 2)
        if any(Levenshtein.normalized_similarity(both[0][i], s[j]) >= identity for s in both)
    }


def test_copies_of_either_strand():
    tokens = random_dna(20)
    again = np.concatenate([tokens, tokens[:3], reverse_complement(tokens[5:8])])
    assert np.array_equal(copies(again, strands=True)[20:23], copies(again, strands=True)[:3])
    assert np.array_equal(copies(again, strands=True)[23:], copies(again, strands=True)[5:8])
    assert len(set(copies(again, strands=False))) == 23


def test_padding_is_no_letter():
    tokens = np.array([[0, 1, 2, PADDING], [1, 2, 3, PADDING], [2, 0, 1, PADDING]], np.uint8)
    code = copies(tokens, strands=True)
    assert code[0] == code[1] != code[2], "the other strand of ACG is CGT, wherever padding lies"


@pytest.mark.parametrize("exact", [0, 10**6], ids=["common words", "all pairs"])
def test_planted_relatives_are_found(exact):
    """Of 300 sequences, mutants on either strand, with gaps, and nothing else."""
    tokens = random_dna(300)
    kin = [mutated(tokens[:50], 0.1), reverse_complement(mutated(tokens[50:100], 0.15))]
    together = np.concatenate([tokens, *kin, edited(tokens[100:150])])
    assert pairs(together, exact=exact) == {(i, 300 + i) for i in range(150)}


def test_common_words_equal_definition():
    """Families of mutants of mutants: the same pairs as comparing all of them one by one."""
    founders = random_dna(10)
    tokens = np.concatenate(
        [
            mutated(founders, share, seed=k)
            for k, share in enumerate((0, 0.05, 0.1, 0.12, 0.2, 0.25))
        ]
    )
    found, truth = pairs(tokens, 0.8), by_hand(tokens, 0.8)
    assert len(truth) > 50
    assert found <= truth
    assert len(truth - found) <= 1


def test_at_threshold_few_are_missed():
    """At exactly 0.8, where every fifth letter differs, 1 % may be missed; here of 400."""
    tokens = random_dna(400, seed=4)
    together = np.concatenate([tokens, mutated(tokens, 0.2)])
    found = pairs(together, 0.8)
    assert len(found & {(i, 400 + i) for i in range(400)}) >= 396


def test_below_threshold_is_apart():
    tokens = random_dna(50)
    together = np.concatenate([tokens, mutated(tokens, 0.3)])
    assert pairs(together, 0.8) == pairs(together, 0.8, exact=10**6) == set()


def test_unknown_letters_make_no_relatives():
    tokens = random_dna(30)
    tokens[:, 5:] = 254
    assert pairs(tokens, 0.99, exact=0) <= pairs(tokens, 0.99, exact=10**6)


def test_families_reach_through_others():
    one, two = np.array([0, 2]), np.array([2, 4])
    assert families(one, two, 6).tolist() == [0, 1, 0, 2, 0, 3]


@pytest.mark.parametrize("exact", [0, 10**6], ids=["common words", "all pairs"])
def test_every_copy_of_what_crosses_is_found(exact):
    """A relative of a target sequence, its copy, a copy of the target's, and strangers."""
    target, strangers = random_dna(30), random_dna(30, seed=5)
    kin = mutated(target[:1], 0.1)
    source = np.concatenate([strangers, kin, reverse_complement(kin), target[7:8]])
    found = crossing(source, target, "ACGT", identity=0.8, strands=True, exact=exact)
    assert np.flatnonzero(found).tolist() == [30, 31, 32]


@pytest.mark.slow
def test_longer_words_where_there_are_many():
    """Nine in ten relatives at the threshold are found where chance needs words of twelve."""
    tokens = random_dna(70_000)
    together = np.concatenate([tokens, reverse_complement(mutated(tokens[:300], 0.2))])
    one, two = related(together, "ACGT", identity=0.8, strands=True)
    planted = {(i, len(tokens) + i) for i in range(300)}
    assert len(planted & set(zip(one.tolist(), two.tolist(), strict=True))) > 270


def test_short_sequences_have_short_words():
    """Of primers with two other letters in twenty, as good as all are found."""
    tokens = random_dna(3000, 20)
    kin = reverse_complement(mutated(tokens[:300], 0.1))
    found = pairs(np.concatenate([tokens, kin]), 0.9)
    assert len({(i, 3000 + i) for i in range(300)} & found) > 290


def test_crowd_hides_nobody_who_crosses():
    """150 of one family in the source, a relative of all of them in the target."""
    founder = random_dna(1, seed=8)
    family = np.concatenate([mutated(founder, 0.06, seed=k) for k in range(150)])
    source = np.concatenate([random_dna(1000, seed=2), family])
    found = crossing(source, founder, "ACGT", identity=0.8, strands=True, exact=0)
    assert found[1000:].all()
    assert not found[:1000].any()

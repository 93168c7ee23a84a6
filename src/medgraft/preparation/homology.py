"""Which sequences are one: copies, the other strand of the same DNA, relatives.

The identity of two sequences is 1 - d / n, with d the edit distance (Levenshtein) and n the length
of the longer; of DNA the better of both orientations. Few sequences are compared pair by pair. Of
many, only those are that share a MinHash of their k-mers (Broder, "On the resemblance and
containment of documents", 1997; Ondov et al., "Mash", Genome Biology 17:132, 2016), each a locality
sensitive bucket of one value. A related pair without a common k-mer is then missed, so k-mers are
taken with gaps as well (Ma, Tromp, Li, "PatternHunter", Bioinformatics 18:440, 2002).
`docs/benchmarks.md` has how many pairs are missed at which identity.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from medgraft.cohorts.alphabets import Tokens, reverse_complement, texts

Integers = NDArray[np.int64]
Codes = NDArray[np.uint64]

# Up to here all pairs are compared: half a million take less than a second.
EXACT = 1000
# Letters of a k-mer that count. Symmetric, because the other strand reads them backwards.
SHAPES = {
    4: ("111111111", "1110101010111", "110100111001011"),
    20: ("1111", "11011", "1010101"),
}
MISSED = 1e-2  # share of pairs with average k-mers that no MinHash of one shape brings together
AGREE = 2  # MinHashes, of all shapes, that a pair must share to be compared
# In a crowded bucket (poly-A) a sequence is compared with this many neighbours only.
NEIGHBOURS = 200
TOGETHER = 20_000  # sequences whose k-mers are hashed together


def copies(tokens: Tokens, *, strands: bool) -> Integers:
    """Code [n] of each row of `tokens` [n, length]; equal rows, of either strand, have one code."""
    one = np.ascontiguousarray(_canonical(tokens) if strands else tokens)
    whole = one.view(f"V{one.shape[1]}").ravel()
    return np.unique(whole, return_inverse=True)[1]


def _canonical(tokens: Tokens) -> Tokens:
    """The strand that comes first in the alphabet."""
    other = reverse_complement(tokens)
    differs = tokens != other
    place = differs.argmax(1)[:, None]
    later = np.take_along_axis(tokens, place, 1) > np.take_along_axis(other, place, 1)
    return np.where(later, other, tokens)


def related(
    tokens: Tokens, letters: str, *, identity: float, strands: bool, exact: int = EXACT
) -> tuple[Integers, Integers]:
    """Pairs (i, j) of rows, i < j, that are copies or have at least this identity.

    Args:
        tokens: uint8 [n, length].
        letters: of the alphabet.
        identity: between 0 and 1.
        strands: also compare with the reverse complement.
        exact: up to this many different sequences, all pairs are compared.
    """
    code = copies(tokens, strands=strands)
    first = np.unique(code, return_index=True)[1]
    kept = tokens[first]
    few = len(kept) <= exact
    pairs = _all_pairs(len(kept)) if few else _candidates(kept, len(letters), identity, strands)
    compare = _Comparison(kept, letters, identity, strands)
    found = [compare.alike(i, j) for i, j in pairs]
    again = np.flatnonzero(first[code] != np.arange(len(code)))
    one = np.concatenate([first[code[again]], *(first[i] for i, _ in found)])
    two = np.concatenate([again, *(first[j] for _, j in found)])
    return np.minimum(one, two), np.maximum(one, two)


def families(one: Integers, two: Integers, rows: int) -> Integers:
    """Code [rows] of what is related, directly or through others, numbered by first appearance."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(len(one), bool), (one, two)), shape=(rows, rows))
    _, code = connected_components(graph, directed=False)
    _, first, inverse = np.unique(code, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse].astype(np.int64)


class _Comparison:
    """Compares pairs of rows, each of either strand."""

    def __init__(self, tokens: Tokens, letters: str, identity: float, strands: bool) -> None:
        self.identity = identity
        self.text = np.array(list(texts(tokens, letters)), dtype=object)
        other = reverse_complement(tokens) if strands else tokens[:0]
        self.other = np.array(list(texts(other, letters)), dtype=object)

    def alike(self, i: Integers, j: Integers) -> tuple[Integers, Integers]:
        """The pairs whose identity is high enough."""
        alike = self._alike(self.text[i], self.text[j])
        if len(self.other):
            alike |= self._alike(self.text[i], self.other[j])
        return i[alike], j[alike]

    def _alike(self, one: NDArray[np.object_], two: NDArray[np.object_]) -> NDArray[np.bool_]:
        from rapidfuzz.distance import Levenshtein
        from rapidfuzz.process import cpdist

        found = cpdist(
            one,
            two,
            scorer=Levenshtein.normalized_similarity,
            score_cutoff=self.identity - 1e-6,
            dtype=np.float32,
        )
        return np.asarray(found > 0)


def _all_pairs(rows: int) -> Iterator[tuple[Integers, Integers]]:
    step = max(1, TOGETHER // max(rows, 1))
    for start in range(0, rows, step):
        i, j = np.mgrid[start : min(start + step, rows), start:rows].reshape(2, -1)
        yield i[i < j], j[i < j]


def _candidates(
    tokens: Tokens, base: int, identity: float, strands: bool
) -> Iterator[tuple[Integers, Integers]]:
    """Pairs that share at least `AGREE` MinHashes, in parts."""
    n = len(tokens)
    met = [
        _neighbours(least, n)
        for shape in SHAPES[base]
        for least in _minhashes(tokens, shape, base, _needed(identity ** shape.count("1")), strands)
    ]
    pairs, times = np.unique(np.concatenate(met), return_counts=True)
    pairs = pairs[times >= AGREE]
    for start in range(0, len(pairs), TOGETHER):
        part = pairs[start : start + TOGETHER]
        yield part // n, part % n


def _needed(survive: float) -> int:
    """How many MinHashes find all but `MISSED` of the pairs that keep this share of k-mers."""
    resemblance = min(survive / (2 - survive), 1 - 1e-9)
    return int(np.clip(np.ceil(np.log(MISSED) / np.log(1 - resemblance)), 4, 200))


def _neighbours(least: Codes, n: int) -> Integers:
    """Pairs i * n + j, i < j, of rows with one value."""
    order = np.argsort(least, kind="stable")
    value, found = least[order], []
    absent = np.iinfo(np.uint64).max
    for apart in range(1, min(NEIGHBOURS, n - 1) + 1):
        same = (value[apart:] == value[:-apart]) & (value[apart:] != absent)
        if not same.any():
            break
        # Stable order: equal values keep the order of their rows.
        found.append(order[:-apart][same] * n + order[apart:][same])
    return np.concatenate(found) if found else np.zeros(0, np.int64)


def _minhashes(
    tokens: Tokens, shape: str, base: int, hashes: int, strands: bool
) -> Iterator[Codes]:
    """The least hash [n] of the rows' k-mers, under one random function after the other."""
    functions = np.random.default_rng([base, len(shape)]).integers(
        2**63, size=hashes, dtype=np.uint64
    )
    parts = [
        _kmers(tokens[start : start + TOGETHER], shape, base, strands)
        for start in range(0, len(tokens), TOGETHER)
    ]
    for function in functions | np.uint64(1):
        yield np.concatenate([_least(part, function) for part in parts])


def _least(kmers: Codes, function: np.uint64) -> Codes:
    """Smallest of the hashes [n] of `kmers` [n, windows]; the highest code is no k-mer."""
    absent = np.iinfo(np.uint64).max
    hashed = (kmers * function) ^ (function >> np.uint64(7))
    return np.where(kmers == absent, absent, (hashed * function) >> np.uint64(16)).min(1)


def _kmers(tokens: Tokens, shape: str, base: int, strands: bool) -> Codes:
    """Codes [n, windows] of the k-mers; of either strand the smaller; highest where none is."""
    windows = tokens.shape[1] - len(shape) + 1
    ahead = np.zeros((len(tokens), max(windows, 1)), np.uint64)
    back, broken = ahead.copy(), np.full(ahead.shape, windows < 1)
    places = [place for place, counts in enumerate(shape) if counts == "1"]
    for power, place in enumerate(places if windows > 0 else []):
        letter = tokens[:, place : place + windows]
        broken |= letter >= base
        ahead = ahead * np.uint64(base) + letter
        if strands:
            back += (base - 1 - np.minimum(letter, base - 1)).astype(np.uint64) * np.uint64(
                base**power
            )
    both = np.minimum(ahead, back) if strands else ahead
    # Mixed: neighbouring codes would have neighbouring hashes.
    mixed = (both + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    return np.where(broken, np.iinfo(np.uint64).max, mixed ^ (mixed >> np.uint64(32)))

"""Which sequences are one: copies, the other strand of the same DNA, relatives.

The identity of two sequences is 1 - d / n, with d the edit distance (Levenshtein) and n the length
of the longer; of DNA the better of both orientations. Few sequences are compared pair by pair. Of
many, only those are that share two words, with gaps where any letter may stand: spaced seeds (Ma,
Tromp, Li, "PatternHunter", Bioinformatics 18:440, 2002), of which two hits are asked as in BLAST
(Altschul et al., Nucleic Acids Res. 25:3389, 1997). The more sequences, the longer the words, so
that chance brings few together; `docs/benchmarks.md` has how many relatives are then missed.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from medgraft.cohorts.alphabets import Tokens, reverse_complement

Integers = NDArray[np.int64]

# Up to here all pairs are compared: half a million take less than a second.
EXACT = 1000
# By alphabet and by how many letters of a word count. Symmetric, because the other strand reads
# them backwards; of many random ones those that find most at identity 0.8 (proteins 0.6).
SHAPES: dict[int, dict[int, tuple[str, ...]]] = {
    4: {
        6: ("111111", "1110111", "11011011"),
        8: ("11111111", "111101111", "1101111011"),
        9: ("11101110111", "101101010101101", "10011100100111001"),
        10: ("1110010110100111", "1101110000111011", "101011001100110101"),
        12: (
            "111101101101111",
            "1110111001110111",
            "1110110100010110111",
            "11110001011010001111",
        ),
        14: ("11111110001111111", "1001011110110111101001", "1110010111001110100111"),
    },
    20: {
        4: ("1111", "110011", "10100101"),
        5: ("11111", "1101011", "110010011"),
        6: ("1110111", "1101001011", "11010001011"),
    },
}
# What chance may bring together in unrelated sequences: meetings in one word of one shape, and
# pairs that meet often enough to be compared.
MEETINGS, COMPARED = 8_000_000, 2_000_000
AGREE = 2  # words, of all shapes, that a pair must share to be compared
# Of a crowd with one word (poly-A) each sequence is compared with this many neighbours only.
NEIGHBOURS = 200
TOGETHER = 20_000  # pairs compared together
AT_ONCE = 50_000  # letters made words together: as many as a processor's own memory holds
SORTED_WORDS = 4_000_000  # looked through together


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

    Of several copies the first stands for all in what else they are related to.

    Args:
        tokens: uint8 [n, length].
        letters: of the alphabet.
        identity: between 0 and 1.
        strands: also compare with the reverse complement.
        exact: up to this many different sequences, all pairs are compared.
    """
    code = copies(tokens, strands=strands)
    first = np.unique(code, return_index=True)[1]
    everyone = np.ones(len(first), bool)
    i, j = _alike(tokens[first], everyone, letters, identity, strands, exact)
    again = np.flatnonzero(first[code] != np.arange(len(code)))
    one, two = np.append(first[code[again]], first[i]), np.append(again, first[j])
    return np.minimum(one, two), np.maximum(one, two)


def crossing(
    source: Tokens,
    target: Tokens,
    letters: str,
    *,
    identity: float,
    strands: bool,
    exact: int = EXACT,
) -> NDArray[np.bool_]:
    """Which rows of the source are copies of a row of the target or at least this alike to one."""
    code = copies(np.concatenate([source, target]), strands=strands)
    first = np.unique(code, return_index=True)[1]
    known = np.zeros(len(first), bool)
    known[code[len(source) :]] = True
    different = np.concatenate([source, target])[first]
    i, j = _alike(different, known, letters, identity, strands, exact)
    found = known.copy()
    found[i[known[j]]] = True
    found[j[known[i]]] = True
    return found[code[: len(source)]]


def _alike(
    tokens: Tokens,
    asked: NDArray[np.bool_],
    letters: str,
    identity: float,
    strands: bool,
    exact: int,
) -> tuple[Integers, Integers]:
    """Pairs of different rows that are alike, of which one at least is asked for."""
    few = len(tokens) <= exact
    pairs = _all_pairs(len(tokens)) if few else _candidates(tokens, asked, len(letters), strands)
    compare = _Comparison(tokens, identity, strands)
    each = [compare.alike(i[kept], j[kept]) for i, j in pairs for kept in [asked[i] | asked[j]]]
    one, two = zip(*each, strict=True) if each else ((), ())
    none = np.zeros(0, np.int64)
    return np.concatenate([none, *one]), np.concatenate([none, *two])


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

    def __init__(self, tokens: Tokens, identity: float, strands: bool) -> None:
        self.identity = identity
        self.text = _texts(tokens)
        self.other = _texts(reverse_complement(tokens) if strands else tokens[:0])

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


def _texts(tokens: Tokens) -> NDArray[np.object_]:
    """Rows as byte strings: numpy takes zeros at the end off, which padding becomes."""
    one_more = np.ascontiguousarray(tokens + np.uint8(1))
    return one_more.view(f"S{tokens.shape[1]}").ravel().astype(object)


def _all_pairs(rows: int) -> Iterator[tuple[Integers, Integers]]:
    step = max(1, TOGETHER // max(rows, 1))
    for start in range(0, rows, step):
        i, j = np.mgrid[start : min(start + step, rows), start:rows].reshape(2, -1)
        yield i[i < j], j[i < j]


def _candidates(
    tokens: Tokens, asked: NDArray[np.bool_], base: int, strands: bool
) -> Iterator[tuple[Integers, Integers]]:
    """Pairs that share at least `AGREE` words, in parts."""
    n = len(tokens)
    met = (
        pairs
        for shape in _shapes(tokens, base)
        for pairs in _meetings(_words(tokens, asked, shape, base, strands), n, _bits(tokens))
    )
    often = np.concatenate([np.zeros(0, np.int64), *met])
    often.sort()
    last = max(len(often) - AGREE + 1, 0)
    pairs = _different(often[:last][often[:last] == often[AGREE - 1 :]])
    for start in range(0, len(pairs), TOGETHER):
        part = pairs[start : start + TOGETHER]
        yield part // n, part % n


def _shapes(tokens: Tokens, base: int) -> tuple[str, ...]:
    """The lightest words of which chance does not bring too many together.

    Short sequences share few words, so theirs must be light; of long ones chance makes many alike.
    """
    (n, length), shapes = tokens.shape, SHAPES[base]
    for weight in sorted(shapes):
        in_one = length**2 / base**weight  # words that two sequences share, of one shape
        in_all = len(shapes[weight]) * in_one
        if n**2 / 2 * in_one <= MEETINGS and n**2 / 2 * min(in_all**2 / 2, 1) <= COMPARED:
            break
    return shapes[weight]


def _words(
    tokens: Tokens, asked: NDArray[np.bool_], shape: str, base: int, strands: bool
) -> Integers:
    """Words of rows that are asked for, wherever they are: a code above the bits of a row's number.

    Of both strands' words the smaller code; none with a foreign letter.
    """

    def words(rows: Tokens, known: NDArray[np.bool_] | None) -> Integers:
        each, end = max(1, AT_ONCE // rows.shape[1]), 0
        found = np.empty(rows.size, np.int64)  # at most; what is not filled takes no memory
        for start in range(0, len(rows), each):
            block = _words_of(rows[start : start + each], start, known, shape, base, strands, bits)
            found[end : end + len(block)] = block
            end += len(block)
        return found[:end]

    bits = _bits(tokens)
    if asked.all():
        return words(tokens, None)
    known = np.zeros(base ** shape.count("1"), bool)
    known[words(tokens[asked], None) >> bits] = True
    return words(tokens, known)


def _words_of(
    tokens: Tokens,
    first: int,
    known: NDArray[np.bool_] | None,
    shape: str,
    base: int,
    strands: bool,
    bits: int,
) -> Integers:
    """Of rows numbered from `first` those whose code is `known`, if that is asked."""
    places = [place for place, counts in enumerate(shape) if counts == "1"]
    windows = max(tokens.shape[1] - len(shape) + 1, 0)
    letter = np.ascontiguousarray(tokens.T).astype(np.uint32)
    pair, foreign = np.uint32(base - 1) - letter, letter >= base
    ahead = np.zeros((windows, len(tokens)), np.uint32)
    back, whole = ahead.copy(), np.ones(ahead.shape, bool)
    for power, place in enumerate(places):
        seen = slice(place, place + windows)
        ahead *= np.uint32(base)
        ahead += letter[seen]
        if strands:
            back += pair[seen] * np.uint32(base**power)
        if foreign.any():
            whole &= ~foreign[seen]
    code = np.minimum(ahead, back, out=ahead) if strands else ahead
    if known is not None:
        code[~whole] = 0  # a foreign letter makes it too large
        whole &= known[code]
    key = (code.astype(np.int64) << bits) | np.arange(first, first + len(tokens))
    return key.ravel() if whole.all() else key[whole]


def _bits(tokens: Tokens) -> int:
    """How many bits a row's number needs."""
    return len(tokens).bit_length()


def _meetings(key: Integers, n: int, bits: int) -> Iterator[Integers]:
    """Pairs i * n + j, i < j, of rows with one word; sorts the words in their place."""
    # Both in one number, because sorting numbers is many times faster than sorting by two keys.
    key.sort()
    start, mask = 0, (1 << bits) - 1
    while start < len(key):
        last = key[min(start + SORTED_WORDS, len(key)) - 1]
        end = int(np.searchsorted(key, last | mask, side="right"))  # with all rows of its last word
        yield from _together(_different(key[start:end]), n, mask)
        start = end


def _together(key: Integers, n: int, mask: int) -> Iterator[Integers]:
    """Pairs of rows with one word, among different ordered words."""
    at, apart = np.flatnonzero((key[1:] ^ key[:-1]) <= mask), 1
    while len(at) and apart <= NEIGHBOURS:
        yield (key[at] & mask) * n + (key[at + apart] & mask)
        apart += 1
        at = at[: np.searchsorted(at, len(key) - apart)]
        at = at[(key[at] ^ key[at + apart]) <= mask]


def _different(ordered: Integers) -> Integers:
    """Each value of an ordered array once."""
    return ordered[np.append(True, ordered[1:] != ordered[:-1])[: len(ordered)]]

"""Text of sequences to uint8 tokens, whole columns at a time.

Token i is letter i of the alphabet; `UNKNOWN` is a letter that is not known (an ambiguity code, a
masked one), `PADDING` a position after the end. Every token above the letters is "no letter" to
whatever reads it, so a new such token needs no change elsewhere.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

UNKNOWN = 254
PADDING = 255
FOREIGN = 253  # in tables only, never in an array that is handed on

BLOCK = 20_000  # sequences tokenised together: their positions are int64, eight times the letters

Name = Literal["dna", "rna", "protein"]
Tokens = NDArray[np.uint8]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Alphabet:
    """Letters, and the IUPAC codes for "one of several".

    `same` pairs letters that are read alike: RNA is often written with T, and DNA with U.
    """

    letters: str
    ambiguous: str
    same: tuple[str, str] | None = None

    def table(self, *, ambiguous: int = UNKNOWN, lower: int | None = None) -> Tokens:
        """The token of every byte, uint8 [256]; `lower` None: small letters are as large ones."""
        table = np.full(256, FOREIGN, np.uint8)
        table[[*self.ambiguous.encode()]] = ambiguous
        table[[*self.letters.encode()]] = range(len(self.letters))
        if self.same:
            written, meant = self.same
            table[ord(written)] = table[ord(meant)]
        known = np.flatnonzero(table != FOREIGN)
        table[known + 32] = table[known] if lower is None else lower
        return table


ALPHABETS: dict[Name, Alphabet] = {
    "dna": Alphabet("ACGT", "RYSWKMBDHVN", same=("U", "T")),
    "rna": Alphabet("ACGU", "RYSWKMBDHVN", same=("T", "U")),
    "protein": Alphabet("ACDEFGHIKLMNPQRSTVWY", "BJOUXZ"),
}


_COMPLEMENT = np.arange(256, dtype=np.uint8)
_COMPLEMENT[:4] = 3, 2, 1, 0


def reverse_complement(tokens: Tokens) -> Tokens:
    """The other strand of DNA or RNA tokens [n, length]; padding stays at the end."""
    other = np.ascontiguousarray(_COMPLEMENT[tokens][:, ::-1])
    padded = tokens == PADDING
    if padded.any():
        place = np.arange(tokens.shape[1]) + padded.sum(axis=1, keepdims=True)
        inside = place < tokens.shape[1]
        other = np.take_along_axis(other, np.where(inside, place, 0), axis=1)
        other[~inside] = PADDING
    return other


def tokenise(cells: pl.Series, table: Tokens, *, length: int, crop: bool) -> tuple[Tokens, Bools]:
    """Tokens uint8 [n, length] of texts [n], and whether all letters are known to `table`, [n].

    A shorter text is padded at its end; of a longer one the middle is kept if `crop`, else the
    beginning.
    """
    tokens = np.full((len(cells), length), PADDING, np.uint8)
    good = np.ones(len(cells), bool)
    for start in range(0, len(cells), BLOCK):
        part = slice(start, start + BLOCK)
        tokens[part], good[part] = _block(cells[part], table, length, crop)
    return tokens, good


def _block(cells: pl.Series, table: Tokens, length: int, crop: bool) -> tuple[Tokens, Bools]:
    sizes = cells.str.len_bytes().to_numpy().astype(np.int64)
    letters = table[np.frombuffer("".join(cells).encode(), np.uint8)]
    begins = np.cumsum(sizes) - sizes
    foreign = np.concatenate([[0], np.cumsum(letters == FOREIGN)])
    good = foreign[begins + sizes] == foreign[begins]
    if (sizes == length).all():
        return letters.reshape(-1, length), good
    skipped = np.maximum(sizes - length, 0) // 2 if crop else 0
    place = (begins + skipped)[:, None] + np.arange(length)
    inside = np.arange(length) < sizes[:, None]
    padded = np.append(letters, np.uint8(PADDING))
    return np.where(inside, padded[np.minimum(place, len(letters))], PADDING), good


def foreign_letter(text: str, table: Tokens) -> tuple[int, str] | None:
    """Position (from 1) and letter of the first one that `table` does not know."""
    unknown = (
        (position, letter)
        for position, letter in enumerate(text, start=1)
        if not letter.isascii() or table[ord(letter)] == FOREIGN
    )
    return next(unknown, None)

"""A column of sequences: DNA, RNA or protein."""

from pathlib import Path
from typing import Literal, Self

import numpy as np
import polars as pl
from pydantic import Field, model_validator

from medgraft.cohorts import alphabets
from medgraft.cohorts.alphabets import ALPHABETS, FOREIGN, UNKNOWN, Name, Tokens
from medgraft.cohorts.cells import Reading, absent
from medgraft.cohorts.codes import Code
from medgraft.cohorts.kinds.kind import Measured
from medgraft.cohorts.schema import Column


class Sequence(Measured):
    """Sequences as uint8 tokens [n, length]; see `cohorts.alphabets` for the code.

    `ambiguous` letters (N, R, …) are refused or become an unknown letter; small letters are as
    large ones, unknown (masked repeats), or refused. U and T are one letter, but not both in one
    sequence. `policy` says what becomes of a sequence that is not `length` letters long: with
    `exact` it is refused; `pad` fills a shorter one at its end; `crop` keeps the middle of a longer
    one as well. Those shorter than `shortest` or longer than `longest` are always refused.
    """

    kind: Literal["sequence"]
    alphabet: Name
    length: int = Field(ge=1)
    policy: Literal["exact", "pad", "crop"] = "exact"
    shortest: int = Field(default=1, ge=1)
    longest: int | None = Field(default=None, ge=1)
    ambiguous: Literal["refuse", "unknown"] = "refuse"
    small_letters: Literal["same", "unknown", "refuse"] = "same"
    missing: Literal["never"] = "never"

    @model_validator(mode="after")
    def _bounds_hold_length(self) -> Self:
        low, high = self.bounds
        if not low <= self.length <= high:
            raise ValueError(f"length {self.length} lies outside {low} to {high} letters")
        return self

    @property
    def bounds(self) -> tuple[int, float]:
        """How many letters a sequence may have, at least and at most."""
        if self.policy == "exact":
            return self.length, self.length
        most = self.length if self.policy == "pad" else np.inf
        return self.shortest, min(self.longest or np.inf, most)

    @property
    def table(self) -> Tokens:
        """The token of every byte."""
        small = {"same": None, "unknown": UNKNOWN, "refuse": FOREIGN}[self.small_letters]
        ambiguous = {"unknown": UNKNOWN, "refuse": FOREIGN}[self.ambiguous]
        return ALPHABETS[self.alphabet].table(ambiguous=ambiguous, lower=small)

    def read(self, cells: pl.Series, *, missing: tuple[Code, ...], folder: Path) -> Reading:
        """Tokens uint8 [n, length]; `folder` is not needed."""
        del folder
        tokens, known = alphabets.tokenise(
            cells, self.table, length=self.length, crop=self.policy == "crop"
        )
        sizes = cells.str.len_bytes().to_numpy()
        low, high = self.bounds
        lacking = absent(cells, (*missing, *self.missing_codes)).to_numpy()
        good = known & (sizes >= low) & (sizes <= high) & ~self._mixed(cells)
        return Reading(tokens, lacking, lacking | ~good)

    def breach(self, name: str, cells: pl.Series, reading: Reading, row: int) -> str:
        """What is wrong with one sequence: the first foreign letter, or its length."""
        cell = str(cells[int(row)])
        what = "missing" if reading.missing[row] else self._fault(cell)
        return f"column {name}: {what}"

    def column(self, name: str, reading: Reading) -> Column:
        """The column, with its letters and its length for the network."""
        del reading
        letters = ALPHABETS[self.alphabet].letters
        details = {"alphabet": self.alphabet, "letters": letters, "length": self.length}
        return Column(name, "sequence", may_be_missing=False, details=details)

    def example(self) -> str:
        """The letters of the alphabet, over and over."""
        return (ALPHABETS[self.alphabet].letters * self.length)[: self.length]

    def _mixed(self, cells: pl.Series) -> np.ndarray:
        """Which sequences hold U and T, bool [n]: a copying error, whatever was meant."""
        if ALPHABETS[self.alphabet].same is None:
            return np.zeros(len(cells), bool)
        both = cells.str.contains("[Uu]") & cells.str.contains("[Tt]")
        return both.to_numpy()

    def _fault(self, cell: str) -> str:
        if foreign := alphabets.foreign_letter(cell, self.table):
            position, letter = foreign
            return f'got "{letter}" at position {position}, expected {self._expected()}'
        low, high = self.bounds
        if not low <= len(cell) <= high:
            wanted = f"{low}" if low == high else f"{low} to {high:g}"
            wanted = f"at least {low}" if high == np.inf else wanted
            return f"got {len(cell)} letters, expected {wanted}"
        return "holds both U and T, expected one of them"

    def _expected(self) -> str:
        alphabet = ALPHABETS[self.alphabet]
        codes = f" (ambiguous: {alphabet.ambiguous})" if self.ambiguous == "unknown" else ""
        large = " in capitals" if self.small_letters == "refuse" else ""
        return f"{self.alphabet} letters {alphabet.letters}{codes}{large}"

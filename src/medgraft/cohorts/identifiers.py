"""Who is who among millions: identifiers as numbers, without a table of all of them in memory."""

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

# Of numpy's texts one takes 16 bytes where it is short, of Python's 65.
TEXT = np.dtypes.StringDType()
SOME = 100_000  # identifiers looked at together

Integers = NDArray[np.int64]


def texts(values: pl.Series) -> NDArray[Any]:
    """Identifiers [n] as a cohort holds them."""
    return np.array(values.to_list(), dtype=TEXT)


def first_rows(identifiers: NDArray[Any]) -> Integers:
    """Number [n] of the first row with the same text."""
    code = np.arange(len(identifiers))
    alike = np.flatnonzero(repeated(_hashes(identifiers)))
    if len(alike):
        text = pl.Series(identifiers[alike].tolist(), dtype=pl.String)
        rows = pl.DataFrame({"text": text, "row": alike})
        code[alike] = rows.select(pl.col("row").min().over("text")).to_series().to_numpy()
    return code


def count(identifiers: NDArray[Any]) -> int:
    """How many different ones there are."""
    return int((first_rows(identifiers) == np.arange(len(identifiers))).sum())


def repeated(hashes: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Which [n] come more than once; sorting takes a fifth of the memory that a table would."""
    ordered = np.sort(hashes)
    again = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
    if not len(again):
        return np.zeros(len(hashes), dtype=bool)
    place = np.searchsorted(again, hashes)
    return again[np.minimum(place, len(again) - 1)] == hashes


def _hashes(identifiers: NDArray[Any]) -> NDArray[np.uint64]:
    # Two texts with one hash are compared as texts.
    found = np.empty(len(identifiers), dtype=np.uint64)
    for start in range(0, len(found), SOME):
        some = identifiers[start : start + SOME].tolist()
        found[start : start + SOME] = pl.Series(some, dtype=pl.String).hash(seed=0).to_numpy()
    return found

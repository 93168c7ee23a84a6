"""Parquet files that polars cannot read: one sentence, and nothing that Rust prints beside it."""

import io
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, suppress
from pathlib import Path

import polars as pl

from medgraft.errors import CohortError

# A panic is no Exception for Python. What it says is for those who mend polars.
DAMAGED = (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError)
STDERR = 2
ALONE = threading.Lock()  # else the second would restore the first one's silence


@contextmanager
def refused(path: Path) -> Iterator[None]:
    """What is raised over a damaged parquet file inside the block, as a CohortError."""
    try:
        with silence():
            yield
    except pl.exceptions.PanicException:
        raise CohortError(f"{path}: not a whole parquet table: damaged or cut short") from None
    except DAMAGED as error:
        why = next(iter(str(error).splitlines()), type(error).__name__)
        raise CohortError(f"{path}: not a whole parquet table ({why})") from None


@contextmanager
def silence() -> Iterator[None]:
    """Nothing that compiled code prints to standard error is seen; what Python writes is."""
    with ALONE:
        try:
            shown = os.dup(STDERR)
        except OSError:  # closed, as a daemon's: nothing is seen anyway
            yield
            return
        with (
            os.fdopen(shown, "w", buffering=1, errors="backslashreplace") as kept,
            Path(os.devnull).open("w") as nowhere,
        ):
            os.dup2(nowhere.fileno(), STDERR)
            try:
                with redirect_stderr(kept if _is_standard(sys.stderr) else sys.stderr):
                    yield
            finally:
                os.dup2(shown, STDERR)


def _is_standard(stream: object) -> bool:
    with suppress(AttributeError, io.UnsupportedOperation, ValueError):
        return stream.fileno() == STDERR  # type: ignore[attr-defined]
    return False

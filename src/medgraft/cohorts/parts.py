"""A file read part by part: what was found wrong so far, and the rows that are used.

Values go to a file without a name, which the operating system takes back whatever happens, and are
mapped from there, column after column: memory holds a part of them at a time, and who looks at one
column reads no other. Every column has room for as many rows as are to be expected, and twice as
many where more come; room that is not used takes no place on the disk.
"""

import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import IO, Any, Self

import numpy as np
from numpy.typing import NDArray

from medgraft.cohorts.schema import Cohort
from medgraft.cohorts.table import SHOWN, Problem


@dataclass(frozen=True)
class Part:
    """What came of some rows of a file; `cohort` is None where there are none, or some are wrong.

    `problems` are the first of `wrong` ones. `disguised`: column -> raw value -> how many became
    missing.
    """

    cohort: Cohort | None
    problems: tuple[Problem, ...] = ()
    wrong: int = 0
    disguised: Mapping[str, Mapping[str, int]] = field(default_factory=dict)


@dataclass
class Found:
    """The first problems of a file, by line, and how many there are."""

    problems: list[Problem] = field(default_factory=list)
    count: int = 0

    def add(self, part: Part) -> None:
        """Those of another part."""
        every = sorted([*self.problems, *part.problems], key=lambda problem: problem.line)
        self.problems, self.count = every[:SHOWN], self.count + part.wrong


class Parts:
    """The parts of one cohort; `disguised`: column -> raw value -> how many became missing.

    about: how many rows are to be expected; where more come, what is there is copied once.
    """

    def __init__(self, about: int = 0) -> None:
        self.parts: list[Cohort] = []
        self.rows_read = 0
        self.about = about
        self.written = self.room = 0  # rows
        self.disguised: dict[str, Counter[str]] = {}
        self.file: IO[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.file:
            self.file.close()  # what is mapped stays

    def add(self, part: Cohort, disguised: Mapping[str, Mapping[str, int]]) -> None:
        """Another part; its values are held in memory until a second one comes."""
        self.rows_read += part.accounting.rows_read
        for name, values in disguised.items():
            self.disguised.setdefault(name, Counter()).update(values)
        if self.parts:
            self._write(self.parts[0].values)
            self._write(part.values)
            self.parts[0], part = _without_values(self.parts[0]), _without_values(part)
        self.parts.append(part)

    def _write(self, values: NDArray[Any]) -> None:
        if not len(values):
            return
        needed = self.written + len(values)
        if self.file is None or needed > self.room:
            self.file, self.room = self._copied(values, max(self.about, 2 * needed))
        for place, column in enumerate(values.T):
            _put(self.file, column, place * self.room + self.written)
        self.written = needed

    def _copied(self, like: NDArray[Any], room: int) -> tuple[IO[bytes], int]:
        """A file with more room for columns of that kind, and what was written so far."""
        # `__exit__` closes it.
        file = tempfile.TemporaryFile(prefix="medgraft.")  # noqa: SIM115
        file.truncate(like.shape[1] * room * like.itemsize)
        if self.file:
            for place in range(like.shape[1]):
                self.file.seek(place * self.room * like.itemsize)
                _put(file, np.fromfile(self.file, like.dtype, self.written), place * room)
            self.file.close()
        return file, room

    def whole(self) -> Cohort:
        """All parts as one; who and where are in the order of the file."""
        first, every = self.parts[0], self.parts
        if len(every) == 1:
            return replace(first, values=np.ascontiguousarray(first.values))
        rows = sum(len(part) for part in every)
        split = [part.split for part in every if part.split is not None]
        return replace(
            first,
            values=self._mapped(first.values),
            y=np.concatenate([part.y for part in every]),
            patient=np.concatenate([part.patient for part in every]),
            subgroups={
                name: np.concatenate([p.subgroups[name] for p in every]) for name in first.subgroups
            },
            source_rows=np.concatenate([part.source_rows for part in every]),
            split=np.concatenate(split) if split else None,
            accounting=replace(
                first.accounting,
                rows_read=self.rows_read,
                rows_used=rows,
                excluded=dict(sum((Counter(p.accounting.excluded) for p in every), Counter[str]())),
            ),
        )

    def _mapped(self, like: NDArray[Any]) -> NDArray[Any]:
        if self.file is None:
            return like
        self.file.flush()
        shape = (like.shape[1], self.room)
        return np.memmap(self.file, like.dtype, mode="r", shape=shape)[:, : self.written].T


def _put(file: IO[bytes], column: NDArray[Any], place: int) -> None:
    """Write values behind as many others."""
    file.seek(place * column.itemsize)
    np.ascontiguousarray(column).tofile(file)


def _without_values(part: Cohort) -> Cohort:
    # A copy of nothing: a view would keep what it is cut from in memory.
    return replace(part, values=part.values[:0].copy())

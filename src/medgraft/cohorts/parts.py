"""A file read part by part: what was found wrong so far, and the rows that are used.

Values go to a file without a name, which the operating system takes back whatever happens, and are
mapped from there, column after column: memory holds a part of them at a time, and who looks at one
column reads no other.
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
    """The parts of one cohort; `disguised`: column -> raw value -> how many became missing."""

    def __init__(self) -> None:
        self.parts: list[Cohort] = []
        self.rows_read = 0
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
        if self.file is None:
            # `__exit__` closes it.
            self.file = tempfile.TemporaryFile(prefix="medgraft.")  # noqa: SIM115
        np.ascontiguousarray(values.T).tofile(self.file)

    def whole(self) -> Cohort:
        """All parts as one; who and where are in the order of the file."""
        first, every = self.parts[0], self.parts
        if len(every) == 1:
            return replace(first, values=np.ascontiguousarray(first.values))
        rows = sum(len(part) for part in every)
        split = [part.split for part in every if part.split is not None]
        return replace(
            first,
            values=self._mapped(rows, first.values),
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

    def _mapped(self, rows: int, like: NDArray[Any]) -> NDArray[Any]:
        if self.file is None:
            return like
        self.file.seek(0)
        done = 0
        width, size = like.shape[1], like.itemsize
        with tempfile.TemporaryFile(prefix="medgraft.") as joined:
            for part in filter(len, self.parts):
                written = np.fromfile(self.file, like.dtype, width * len(part))
                for place, column in enumerate(written.reshape(width, len(part))):
                    joined.seek((place * rows + done) * size)
                    column.tofile(joined)
                done += len(part)
            joined.flush()
            return np.memmap(joined, like.dtype, mode="r", shape=(rows, width), order="F")


def _without_values(part: Cohort) -> Cohort:
    # A copy of nothing: a view would keep what it is cut from in memory.
    return replace(part, values=part.values[:0].copy())

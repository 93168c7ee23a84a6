"""What an audit says: one finding, and how findings end a run."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from medgraft.errors import LeakError

Severity = Literal["leak", "warning", "note"]
SHOWN = 5


@dataclass(frozen=True)
class Finding:
    """One sentence about the data; `count` is how many rows, patients or features it concerns."""

    check: str
    severity: Severity
    where: str
    count: int
    message: str


def refuse_leaks(findings: Iterable[Finding]) -> None:
    """Raise LeakError with every leak among `findings`, or return."""
    leaks = [finding.message for finding in findings if finding.severity == "leak"]
    if leaks:
        raise LeakError("test information would reach training:\n- " + "\n- ".join(leaks))


def count(number: int, noun: str) -> str:
    """`1 row`, `2 rows`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def listed(items: Sequence[object]) -> str:
    """The first few of `items`, and how many more there are."""
    text = ", ".join(str(item) for item in items[:SHOWN])
    return text if len(items) <= SHOWN else f"{text} and {len(items) - SHOWN} more"

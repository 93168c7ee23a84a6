"""Where a sweep's workers run. They share a study; whoever starts them schedules nothing."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar, Protocol

from medgraft.config import Section
from medgraft.errors import MedgraftError


class Worker(Protocol):
    """Carries out trials until the asked number has finished; can be sent to another process."""

    def __call__(self) -> str:
        """Empty, or why it was refused to work."""

    def checkpoint(self, *arguments: Any) -> Any:
        """What submitit is to run anew where SLURM has ended the worker."""


class Crew(ABC):
    """Workers that were started."""

    @abstractmethod
    def living(self) -> bool:
        """Whether one of them works, or waits for its turn."""

    @abstractmethod
    def complaints(self) -> list[str]:
        """Why workers have ended, a line each, where they should not have."""

    @abstractmethod
    def join(self) -> None:
        """Wait for those who find that all is done."""

    @abstractmethod
    def dismiss(self) -> None:
        """End those who live."""


class Launcher(Section, ABC):
    """``conf/launcher/*.yaml``; docs/sweeps.md says what each key is for."""

    takes_part: ClassVar[bool] = False
    """Whether the command itself is one of the workers."""

    @property
    def spreads(self) -> bool:
        """Whether workers may come to run on machines that share no local files."""
        return False

    @abstractmethod
    def start(self, worker: Worker, count: int, *, folder: Path) -> Crew:
        """Start so many; ``folder`` keeps what they print.

        Raises:
            MedgraftError: they cannot be started, in a line.
        """


def lacking(launcher: str, package: str, extra: str) -> MedgraftError:
    """What to say where an extra is not installed."""
    return MedgraftError(f"launcher={launcher} needs {package}: pip install 'medgraft[{extra}]'")

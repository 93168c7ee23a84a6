"""Workers as processes of this machine."""

from __future__ import annotations

import multiprocessing
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import ClassVar

from medgraft.stages.ending import Exit
from medgraft.sweep.launchers.launcher import Crew, Launcher, Worker


class Local(Launcher):
    """Processes beside the command. One that dies is not replaced: the others do its trial."""

    takes_part: ClassVar[bool] = True

    def start(self, worker: Worker, count: int, *, folder: Path) -> Processes:  # noqa: ARG002
        """Print where the command prints."""
        # Fresh interpreters: a fork would share torch's threads and the database's connections.
        context = multiprocessing.get_context("spawn")
        started: list[BaseProcess] = [
            context.Process(target=carried_out, args=(worker,), daemon=True) for _ in range(count)
        ]
        for one in started:
            one.start()
        return Processes(started)


def carried_out(worker: Worker) -> None:
    """Work; the command itself meets whatever is refused, and says so."""
    try:
        refused = worker()
    except KeyboardInterrupt:
        refused = "stopped"
    if refused:
        raise SystemExit(Exit.REFUSED)


@dataclass(frozen=True)
class Processes(Crew):
    """Processes that end with the command."""

    started: list[BaseProcess]

    def living(self) -> bool:
        """Whether a process is there."""
        return any(one.is_alive() for one in self.started)

    def complaints(self) -> list[str]:
        """None that the command would not say itself."""
        return []

    def join(self) -> None:
        """Wait for all."""
        for one in self.started:
            one.join()

    def dismiss(self) -> None:
        """Leave it to the system: they are daemons of the command."""

"""Workers as tasks of a Ray cluster."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import NonNegativeFloat, NonNegativeInt, PositiveFloat

from medgraft.cluster import connect
from medgraft.sweep.launchers.launcher import Crew, Launcher, Worker


class RayTasks(Launcher):
    """One task a worker, wherever Ray has room; Ray starts those anew that die."""

    address: str | None
    cpus: PositiveFloat
    gpus: NonNegativeFloat
    max_failures: NonNegativeInt

    @property
    def spreads(self) -> bool:
        """A cluster that stands already may have several machines."""
        return self.address is not None

    def start(self, worker: Worker, count: int, *, folder: Path) -> Tasks:  # noqa: ARG002
        """Join the cluster, or make one; Ray passes on what tasks print."""
        cpus, address = max(1, round(count * self.cpus)), self.address or "local"
        ray = connect("launcher=ray", cpus=cpus, address=address, narrates=True)
        task = ray.remote(num_cpus=self.cpus, num_gpus=self.gpus, max_retries=self.max_failures)
        return Tasks(ray, [task(carried_out).remote(worker) for _ in range(count)])


def carried_out(worker: Worker) -> str:
    """Work, in a process of Ray's."""
    return worker()


@dataclass(frozen=True)
class Tasks(Crew):
    """Tasks that were handed to Ray."""

    ray: Any
    tasks: list[Any]

    def ended(self, seconds: float | None = 0) -> list[Any]:
        """Those who will not work any more."""
        return self.ray.wait(self.tasks, num_returns=len(self.tasks), timeout=seconds)[0]

    def living(self) -> bool:
        """Whether Ray has one that works, waits for room or is started anew."""
        return len(self.ended()) < len(self.tasks)

    def complaints(self) -> list[str]:
        """Of refused workers what they said, of dead ones what Ray says."""
        return [f"a worker: {said}" for one in self.ended() if (said := self.said(one))]

    def said(self, task: Any) -> str:
        """What came of one."""
        try:
            return self.ray.get(task)
        except self.ray.exceptions.RayError as error:
            return str(error).strip().splitlines()[0]

    def join(self) -> None:
        """Leave the cluster; tasks that have no turn yet would find nothing to do."""
        self.dismiss()

    def dismiss(self) -> None:
        """Cancel those who have not ended and leave the cluster, or end one's own."""
        for one in self.tasks:
            self.ray.cancel(one, force=True)
        self.ray.shutdown()

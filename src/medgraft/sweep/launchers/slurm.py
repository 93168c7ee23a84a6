"""Workers as tasks of a SLURM array, through submitit."""

from __future__ import annotations

import logging
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import NonNegativeInt, PositiveFloat, PositiveInt

from medgraft.errors import MedgraftError
from medgraft.sweep.launchers.launcher import Crew, Launcher, Worker, lacking


class Slurm(Launcher):
    """One array of as many tasks as workers were asked for."""

    cluster: Literal["slurm", "local"]
    partition: str | None
    account: str | None
    qos: str | None
    cpus: PositiveInt
    memory: PositiveFloat
    gpus: NonNegativeInt
    minutes: PositiveInt
    at_once: PositiveInt | None
    requeued: NonNegativeInt
    warned: PositiveInt
    setup: list[str]
    more: dict[str, str | int]

    @property
    def spreads(self) -> bool:
        """SLURM puts tasks on any node."""
        return self.cluster == "slurm"

    def start(self, worker: Worker, count: int, *, folder: Path) -> Array:
        """Submit; what a task prints is in ``folder/<job>_<task>_*.out`` and ``.err``."""
        submitit = quiet_submitit()
        if self.spreads and not shutil.which("sbatch"):
            raise MedgraftError(
                "launcher=submitit: expected SLURM's sbatch on this machine, found none; "
                "launcher.cluster=local tries it out without SLURM"
            )
        executor = submitit.AutoExecutor(
            folder, cluster=self.cluster, slurm_max_num_timeout=self.requeued
        )
        executor.update_parameters(**self.parameters(folder.parent.name))
        try:
            with executor.batch():
                jobs = [executor.submit(worker) for _ in range(count)]
        except submitit.core.utils.FailedJobError as error:  # sbatch said no
            raise MedgraftError(f"launcher=submitit: {last_line(error)}") from None
        print(f"launcher=submitit: {count} workers, job {jobs[0].job_id.partition('_')[0]}")
        return Array(jobs, folder)

    def parameters(self, name: str) -> dict[str, Any]:
        """As submitit calls them; only SLURM knows those with its name."""
        asked = {
            "slurm_partition": self.partition,
            "slurm_account": self.account,
            "slurm_qos": self.qos,
            "slurm_array_parallelism": self.at_once or 10_000,
            "slurm_signal_delay_s": self.warned,
            "slurm_setup": self.setup or None,
            "slurm_additional_parameters": self.more or None,
            "gpus_per_node": self.gpus or None,
        }
        return {key: value for key, value in asked.items() if value is not None} | {
            "name": f"medgraft-{name}",
            "cpus_per_task": self.cpus,
            "mem_gb": self.memory,
            "timeout_min": self.minutes,
        }


@dataclass(frozen=True)
class Array(Crew):
    """Jobs that were submitted, and where what they print is."""

    jobs: list[Any]
    folder: Path

    def living(self) -> bool:
        """Whether SLURM knows of one that has not ended."""
        return any(not one.done() for one in self.jobs)

    def complaints(self) -> list[str]:
        """Of refused workers what they said, of dead ones where to read why."""
        ended = [one for one in self.jobs if one.done()]
        return [
            f"worker {one.job_id}: {said}"
            for one in ended
            if (said := last_line(one.exception()) if one.exception() else one.result())
        ]

    def join(self) -> None:
        """Wait for all; a task that has no turn yet would begin, and find nothing to do."""
        self.dismiss()

    def dismiss(self) -> None:
        """Cancel those who have not ended."""
        for one in self.jobs:
            if not one.done():
                one.cancel(check=False)


def quiet_submitit() -> Any:
    """submitit, which would say at every look that SLURM keeps no accounts, and goes on.

    Raises:
        MedgraftError: it is not installed.
    """
    try:
        import submitit
    except ImportError:
        raise lacking("submitit", "submitit", "slurm") from None
    logging.getLogger("submitit").setLevel(logging.ERROR)
    return submitit


def last_line(error: BaseException | None) -> str:
    """What an error of submitit's comes down to: it quotes a whole traceback, or none."""
    return str(error).strip().splitlines()[-1]

"""A real SLURM, of this machine alone: jobs that are told to end, and processes that it starts."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from services import slurm_cluster

from .project import SMALL, clone, done, medgraft
from .test_killed import LONG

pytestmark = pytest.mark.slow
JOB = """\
#!/bin/bash
#SBATCH --ntasks=1 --open-mode=append --output={log}
exec {python} -m medgraft.cli repro {options}
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with slurm_cluster(tmp_path_factory.mktemp("slurm")) as own:
        yield own


def asked(own: dict[str, str], folder: Path, *command: str) -> str:
    """All that a command said, once it is known to have succeeded."""
    private = {"PYTHONPATH": str(folder / "src"), "OMP_NUM_THREADS": "1"}
    return done(
        subprocess.run(
            command,
            cwd=folder,
            env=os.environ | private | own,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
    )


def until(holds, seconds: float) -> None:
    limit = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < limit
        time.sleep(0.2)


def test_job_that_is_told_to_end_is_queued_again(cluster, tmp_path):
    """Every process of it is told; exit code 75 has SLURM start it again, where it goes on."""
    folder, log = clone(tmp_path / "project"), tmp_path / "job.log"
    options = " ".join(f"'{option}'" for option in LONG)
    (folder / "job.sh").write_text(JOB.format(log=log, python=sys.executable, options=options))
    job = asked(cluster, folder, "sbatch", "--parsable", "job.sh").strip()

    def state() -> dict[str, str]:
        told = asked(cluster, folder, "scontrol", "--oneliner", "show", "job", job)
        return dict(part.split("=", 1) for part in told.split() if "=" in part)

    until(lambda: list((folder / "work" / ".scratch").glob("*/*/*.safetensors")), 300)
    asked(cluster, folder, "scancel", "--signal=TERM", "--full", job)
    until(lambda: (state()["Restarts"], state()["JobState"]) == ("1", "PENDING"), 60)
    assert "pretrain: ended by SIGTERM; its state is saved" in log.read_text()
    # SLURM waits two minutes before it starts a job again: its node must have forgotten the first.
    until(lambda: state()["JobState"] not in {"PENDING", "RUNNING", "COMPLETING"}, 600)
    assert (state()["JobState"], state()["ExitCode"]) == ("COMPLETED", "0:0"), log.read_text()
    assert "resumed at step" in log.read_text()


def test_processes_that_srun_starts_share_a_training(cluster, finished):
    """Two take their ranks from SLURM; weights are those of one process, but for last bits."""
    pretrained = finished / "work" / "pretrained"
    alone = load_file(pretrained / "weights.safetensors")
    two = ("trainer=slurm", "trainer.devices=2", "trainer.num_nodes=1")
    done(medgraft(finished, "compose", *SMALL, *two))
    shutil.rmtree(pretrained)
    stage = (sys.executable, "-m", "medgraft.stages.pretrain")
    told = asked(cluster, finished, "srun", "--ntasks-per-node=2", *stage)
    assert "MEMBER: 2/2" in told
    together = load_file(pretrained / "weights.safetensors")
    assert together.keys() == alone.keys()
    for name, weights in alone.items():
        np.testing.assert_allclose(together[name], weights, rtol=1e-4, atol=1e-5)

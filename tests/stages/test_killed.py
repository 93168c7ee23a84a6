"""Killed, told to end, started twice or short of disk: the same command goes on."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from .project import ROOT, SMALL, clone, done, dvc, medgraft

pytestmark = pytest.mark.slow
LONG = [one for one in SMALL if "max_steps" not in one and "strategies" not in one]
LONG += ["strategies=[scratch]", "trainer.max_steps=4000", "trainer.patience=1000"]


def test_killed_equals_uninterrupted():
    """Two kills at random moments; the benchmark raises unless every file is the same."""
    command = [sys.executable, ROOT / "benchmarks" / "kills.py"]
    options = ["--kills", "2", "--seed", "5", "--steps", "1500"]
    ended = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
    assert "2 kills, all results bit-identical" in ended.stdout, ended.stdout + ended.stderr


def begin(folder: Path, **variables: str) -> tuple[subprocess.Popen, Path]:
    log = folder.with_suffix(".log")
    own = {"PYTHONPATH": str(folder / "src"), "PYTHONUNBUFFERED": "1"}
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "medgraft.cli", "repro", *LONG],
            cwd=folder,
            env=os.environ | own | variables,
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    return process, log


def wait_for_state(folder: Path, process: subprocess.Popen) -> None:
    """Until training has saved its state once."""
    for _ in range(6000):
        if list((folder / "work" / ".scratch").glob("*/*/*.safetensors")):
            return
        assert process.poll() is None
        time.sleep(0.1)
    pytest.fail("nothing was saved within ten minutes")


@pytest.mark.parametrize("shell", ["/bin/sh", "/bin/bash"])
def test_told_to_end_and_begun_twice(tmp_path, shell):
    """SIGTERM to the command alone: exit code 75; a second command meanwhile is refused.

    DVC starts stages through the user's shell; without one, as in cron or a container, /bin/sh.
    """
    folder = clone(tmp_path / "project")
    process, log = begin(folder, SHELL=shell)
    try:
        while not log.stat().st_size:  # it holds the checkout before it says anything
            assert process.poll() is None
            time.sleep(0.1)
        second = medgraft(folder, "repro")
        assert (second.returncode, second.stderr.count("\n")) == (2, 1)
        assert f"another `medgraft repro` (process {process.pid}) is running" in second.stderr
        wait_for_state(folder, process)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 75
    finally:
        process.kill()
    assert "pretrain: ended by SIGTERM; its state is saved" in log.read_text()
    assert "resumed at step" in done(dvc(folder, "repro", "pretrain"))


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk takes root")
@pytest.mark.parametrize(
    ("options", "reason"), [("size=400k", "No space left"), ("ro", "Read-only file system")]
)
def test_disk_that_cannot_be_written(tmp_path, options, reason):
    """One line, exit 2, and the same command goes on once there is space."""
    folder = clone(tmp_path / "project")
    work = folder / "work"
    work.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(work)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        refused = medgraft(folder, "repro", *SMALL)
        assert refused.returncode == 2
        assert reason in refused.stderr
        assert "Traceback" not in refused.stderr
        remount = ["mount", "-o", "remount,rw,size=100m", str(work)]
        subprocess.run(remount, check=True)
        done(dvc(folder, "repro", "pretrain"))
    finally:
        subprocess.run(["umount", str(work)], check=False)


def test_runs_left_open_are_closed(finished):
    """A track stage that was killed leaves a run RUNNING; the next one ends it and says by whom."""
    database = finished / "mlflow" / "mlflow.db"
    with sqlite3.connect(database) as store:
        (left,) = store.execute(
            "SELECT run_uuid FROM tags WHERE key = 'dvc_stage' AND value = 'pipeline'"
        ).fetchone()
        store.execute("UPDATE runs SET status = 'RUNNING' WHERE run_uuid = ?", (left,))
        # The copy lies in another folder than the project that wrote it.
        command = "from medgraft.stages.made import writer; print(writer())"
        told = subprocess.run(
            [sys.executable, "-c", command],
            cwd=finished,
            env=os.environ | {"PYTHONPATH": str(finished / "src")},
            capture_output=True,
            text=True,
            check=True,
        )
        store.execute("UPDATE tags SET value = ? WHERE key = 'written_by'", (told.stdout.strip(),))
    done(medgraft(finished, "repro", *SMALL, "evaluation.draws=201"))
    with sqlite3.connect(database) as store:
        status = store.execute("SELECT status FROM runs WHERE run_uuid = ?", (left,)).fetchone()
        tag = "SELECT value FROM tags WHERE key = 'resumed_by' AND run_uuid = ?"
        successor = store.execute(tag, (left,)).fetchone()
    assert status == ("KILLED",)
    assert successor
    assert successor != (left,)

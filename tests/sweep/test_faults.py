"""Workers, the command itself and the database die in the middle; exactly n trials finish."""

import operator
import os
import signal
import subprocess
import sys
import time
from functools import partial

import optuna
import pytest
from optuna.storages import RDBStorage
from optuna.trial import TrialState
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from medgraft.sweep.trials import WORKER
from services import postgres_server

from .conftest import SMALL

pytestmark = pytest.mark.slow
N, WORKERS = 50, 4
CHEAP = (
    *SMALL, f"n={N}", "sweep.strategies=[scratch]", "trainer.max_steps=5",
    "sweep.heartbeat=1",
)  # fmt: skip
FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)


def start(project, *overrides, grace=8) -> subprocess.Popen:
    """The command with four workers, as a user starts it."""
    given = [*CHEAP, f"sweep.grace={grace}", *overrides]
    command = [sys.executable, "-m", "medgraft.cli", "sweep", *given]
    with (project / "output.txt").open("a") as output:
        return subprocess.Popen(
            [*command, "--workers", str(WORKERS)], cwd=project, stdout=output, stderr=output
        )


def trials(address) -> list:
    """What the database holds; nothing where it is not there yet, or away.

    Only looked at. Optuna writes its version into a database that has none, and whoever comes
    second with that dies: so nothing is asked of Optuna before the study is there. No connection
    is left open, of which PostgreSQL gives a hundred.
    """
    engine = create_engine(address, poolclass=NullPool)
    try:
        with engine.connect() as connection:
            connection.execute(text("SELECT 1 FROM studies WHERE study_name = 'mine'")).one()
        storage = RDBStorage(
            address, engine_kwargs={"poolclass": NullPool}, skip_table_creation=True
        )
        return optuna.load_study(storage=storage, study_name="mine").get_trials()
    except Exception:
        return []


def wait_for(address, wanted, *, command, seconds=240):
    """The first trials of which ``wanted`` is true, while the command works on them."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if wanted(found := trials(address)):
            return found
        assert command.poll() is None, f"the command ended with {command.returncode}"
        time.sleep(0.2)
    raise AssertionError(f"waited {seconds} s; {len(found)} trials")


def finished(found) -> list:
    return [one for one in found if one.state in FINISHED]


def running(found) -> dict[int, int]:
    """Process id of every worker that is in the middle of a trial, and the trial."""
    mid = [one for one in found if one.state == TrialState.RUNNING and WORKER in one.user_attrs]
    return {int(one.user_attrs[WORKER].rpartition(":")[2]): one.number for one in mid}


def kill(command, address, after, whom) -> int:
    """The trial whose worker, one of these, is killed with -9 once so many have finished."""

    def mid(now) -> list[tuple[int, int]]:
        some = [one for one in running(now).items() if whom(one[0])]
        return some if len(finished(now)) >= after else []

    pid, trial = mid(wait_for(address, mid, command=command))[0]
    os.kill(pid, signal.SIGKILL)
    return trial


def check_exact(address) -> list:
    """n have finished, nothing runs or waits, and what a dead worker had drawn was done again."""
    found = trials(address)
    assert len(finished(found)) == N
    assert {one.state for one in found} <= {*FINISHED, TrialState.FAIL}
    done = [one.params for one in finished(found)]
    failed = [one for one in found if one.state == TrialState.FAIL]
    drawn = [one for one in failed if one.params.keys() == done[0].keys()]
    lost = [one.number for one in drawn if one.params not in done]
    assert not lost, "drawn by a worker that died, and never done"
    return failed


def test_killed_workers_and_command_lose_nothing(project):
    """kill -9 of a worker in the middle of a trial, then of the command, then the command again."""
    address = f"sqlite:///{project}/work/sweeps/mine.db"
    first = start(project)
    killed = []
    for after, is_command in ((8, False), (20, True)):
        whom = partial(operator.eq if is_command else operator.ne, first.pid)
        killed.append(kill(first, address, after, whom))
    first.wait()
    assert len(finished(trials(address))) < N, "nothing was left to go on with"
    again = start(project)
    assert again.wait(timeout=400) == 0, (project / "output.txt").read_text()
    failed = {one.number for one in check_exact(address)}
    # A worker may have told its trial in the instant between being looked at and being killed.
    assert failed & set(killed), "no kill hit a trial"
    assert "50 trials finished" in (project / "output.txt").read_text()


def test_two_commands_share_a_study(project):
    """The same command on another machine, or in another task of an array, joins in."""
    address = f"sqlite:///{project}/work/sweeps/mine.db"
    both = [start(project, grace=600), start(project, grace=600)]  # none dies; one may be starved
    assert [one.wait(timeout=400) for one in both] == [0, 0]
    assert check_exact(address) == []
    assert (project / "output.txt").read_text().count("50 trials finished") == 2


def test_postgres_that_is_away_for_20_seconds_loses_nothing(project):
    pytest.importorskip("psycopg", reason="needs psycopg (the extra postgres)")
    with postgres_server() as server:
        command = start(project, f"sweep.storage='{server.address}'")
        enough = wait_for(server.address, lambda found: len(finished(found)) >= 10, command=command)
        done = finished(enough)
        server.stop()
        assert len(done) < N, "the sweep had ended before it was looked at"
        time.sleep(20)
        assert command.poll() is None, (project / "output.txt").read_text()
        server.start()
        assert command.wait(timeout=400) == 0, (project / "output.txt").read_text()
        check_exact(server.address)
    assert not (project / "work" / "sweeps" / "mine.db").exists()

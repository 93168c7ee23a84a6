"""Workers in other hands: real tasks of submitit and Ray that join the study."""

import os
import signal
import sys
import threading
import time

import optuna
import pytest
import yaml
from optuna.trial import TrialState

from medgraft.errors import ConfigError, MedgraftError
from medgraft.sweep.launchers.slurm import quiet_submitit
from medgraft.sweep.run import Sweep, search
from medgraft.sweep.settings import Asked
from medgraft.sweep.trials import WORKER

from .conftest import SMALL

CHEAP = (*SMALL, "sweep.strategies=[scratch]", "trainer.max_steps=5", "sweep.heartbeat=1")
LAUNCHERS = ("local", "ray", "submitit")


def trials(project) -> list:
    address = f"sqlite:///{project}/work/sweeps/mine.db"
    return optuna.load_study(storage=address, study_name="mine").get_trials()


def workers(found) -> set[int]:
    return {int(one.user_attrs[WORKER].rpartition(":")[2]) for one in found}


def check_exact(project, n) -> list:
    """n have finished, each with a score of its own; nothing runs or waits."""
    found = trials(project)
    complete = [one for one in found if one.state == TrialState.COMPLETE]
    assert len(complete) == n
    assert {one.state for one in found} <= {TrialState.COMPLETE, TrialState.FAIL}
    assert len({str(one.params) for one in complete}) == n
    assert os.getpid() not in workers(complete), "the command itself only waits"
    return complete


def test_every_yaml_is_a_launcher(root):
    """And says all that its launcher wants to know, so that --help and typing errors work."""
    names = sorted(path.stem for path in (root / "conf" / "launcher").glob("*.yaml"))
    assert names == list(LAUNCHERS)
    for name in names:
        given = yaml.safe_load((root / "conf" / "launcher" / f"{name}.yaml").read_text())
        launcher = Asked.read(root, [f"launcher={name}", *storage(name)]).launcher
        assert set(given) - {"_target_"} == set(type(launcher).model_fields)


def storage(launcher: str) -> list[str]:
    return ["sweep.storage='postgresql+psycopg://me@db.example/x'"] if launcher != "local" else []


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["launcher=slurm"], "there is no conf/launcher/slurm.yaml; expected one of"),
        (["launcher=ray", "launcher.cpu=2"], "launcher.cpu: unknown key; did you mean 'cpus'?"),
        (["launcher=ray", "launcher.cpus=0"], "launcher.cpus: got 0: input should be greater"),
        (["launcher.partition=long"], "launcher.partition: unknown key"),
        (["launcher._target_=torch.optim.SGD"], "launcher._target_: expected a launcher, got"),
        (["launcher=submitit"], "launcher=submitit: workers of several machines share no file"),
        (["launcher=ray", "launcher.address=auto"], "expected sweep.storage=postgresql+psycopg"),
    ],
)
def test_wrong_launchers_are_refused_before_anything_is_trained(root, given, said):
    with pytest.raises(ConfigError, match="launcher") as refused:
        Asked.read(root, given)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("given", "package", "said"),
    [
        (["launcher=ray"], "ray", "launcher=ray needs ray: pip install 'medgraft[ray]'"),
        (
            ["launcher=submitit", "launcher.cluster=local"],
            "submitit",
            "launcher=submitit needs submitit: pip install 'medgraft[slurm]'",
        ),
    ],
)
def test_absent_extra_is_named(project, ask, monkeypatch, given, package, said):
    monkeypatch.setitem(sys.modules, package, None)
    assert ask("n=1", *CHEAP, *given) == (2, "", f"medgraft: {said}\n")


def test_absent_slurm_is_named(project, monkeypatch):
    pytest.importorskip("submitit", reason="needs submitit (the extra slurm)")
    monkeypatch.setenv("PATH", "")
    launcher = Asked.read(project, ["launcher=submitit", *storage("submitit")]).launcher
    with pytest.raises(MedgraftError, match="expected SLURM's sbatch on this machine, found none"):
        launcher.start(None, 1, folder=project / "jobs")


def test_what_slurm_is_asked_for(project):
    """As submitit calls sbatch's options; without a value the cluster's own default holds."""
    given = ["launcher.partition=gpu", "launcher.at_once=4", "launcher.more={constraint: a100}"]
    asked = Asked.read(project, ["launcher=submitit", *given, *storage("submitit")]).launcher
    assert asked.parameters("mine") == {
        "name": "medgraft-mine",
        "slurm_partition": "gpu",
        "slurm_array_parallelism": 4,
        "slurm_signal_delay_s": 90,
        "slurm_additional_parameters": {"constraint": "a100"},
        "cpus_per_task": 1,
        "mem_gb": 4,
        "timeout_min": 240,
    }


@pytest.mark.slow
def test_slurm_without_accounts_is_looked_at_in_silence(capfd, monkeypatch):
    """submitit goes on without sacct, and would say so every time it looks."""
    watcher = quiet_submitit().slurm.slurm.SlurmInfoWatcher()
    watcher.register_job("1")
    monkeypatch.setenv("PATH", "")
    watcher.update()
    assert capfd.readouterr() == ("", "")
    assert watcher.num_calls == 1


@pytest.mark.slow
def test_submitit_carries_out_exactly_n(project, ask, unlogged):
    pytest.importorskip("submitit", reason="needs submitit (the extra slurm)")
    given = ["launcher=submitit", "launcher.cluster=local", "--workers=2"]
    code, out, err = ask("n=6", *CHEAP, *given)
    assert (code, err) == (0, "")
    assert "6 trials finished" in out
    check_exact(project, 6)
    assert list((project / "work" / "sweeps" / "mine" / "jobs").glob("*_log.out"))


@pytest.mark.slow
def test_refused_workers_are_quoted(project):
    """What only they can see, here a study made with another space, is the command's message."""
    pytest.importorskip("submitit", reason="needs submitit (the extra slurm)")
    given = ["n=2", *CHEAP, "launcher=submitit", "launcher.cluster=local"]
    sweep = Sweep.read(project, given, mirror=None)
    with pytest.raises(MedgraftError, match="all workers have ended") as ended:
        search(sweep, [*given, "trainer.patience=3"], workers=1)
    assert "was made with another configuration" in str(ended.value)


@pytest.mark.slow
def test_ray_starts_a_killed_worker_anew(project, monkeypatch, capfd):
    """kill -9 in the middle of a trial: Ray replaces the worker, the study repeats its trial."""
    pytest.importorskip("ray", reason="needs ray (the extra ray)")
    given = ["n=6", *CHEAP, "sweep.grace=4", "launcher=ray", "launcher.max_failures=2"]
    sweep = Sweep.read(project, given, mirror=None)
    killed = []

    def kill_one() -> None:
        while not killed:
            time.sleep(0.1)
            for one in sweep.trials.study.get_trials(deepcopy=False, states=[TrialState.RUNNING]):
                if one.number >= 1 and WORKER in one.user_attrs:
                    killed.append(workers([one]).pop())
                    os.kill(killed[0], signal.SIGKILL)
                    return

    thread = threading.Thread(target=kill_one, daemon=True)
    thread.start()
    search(sweep, given, workers=1)
    thread.join()
    complete = check_exact(project, 6)
    assert workers(complete) - set(killed), "the only worker was killed: another finished"

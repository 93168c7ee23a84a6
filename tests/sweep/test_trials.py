"""Exactly n trials finish, whoever lives or dies."""

import random
import threading
import time
from multiprocessing import get_context

import optuna
import pytest
from filelock import FileLock
from optuna.distributions import FloatDistribution
from optuna.trial import TrialState

from medgraft.errors import ConfigError, MedgraftError, StageError
from medgraft.sweep.settings import Settings
from medgraft.sweep.trials import REASON, RETRIES, Trials

SPACE = {"x": FloatDistribution(0, 1)}


def opened(folder, n=3, *, grace=2, patience=300, **changes) -> Trials:
    told = {"heartbeat": 1, "grace": grace, "patience": patience}
    settings = Settings(n=n, params={"x": ""}, strategies=["a"], **told)
    given = {"space": SPACE, "directions": ["maximize"], "made_of": {"data": "1", "code": "1"}}
    address = f"sqlite:///{folder}/study.db"
    return Trials(address, "study", settings=settings, **(given | changes))


def carry_out(trials: Trials) -> None:
    while (trial := trials.claim()) is not None:
        with trials.alive(trial):
            trials.tell(trial, [trial.params["x"]], told={})


def states(trials: Trials) -> dict[TrialState, int]:
    found = [one.state for one in trials.study.get_trials()]
    return {state: found.count(state) for state in set(found)}


def worker(folder) -> None:
    trials = opened(folder, n=40, grace=600)  # none dies; one may be starved
    while (trial := trials.claim()) is not None:
        time.sleep(random.uniform(0, 0.02))
        trials.tell(trial, [0.0], told={})


@pytest.mark.slow
def test_eight_workers_finish_exactly_n(tmp_path):
    """`MaxTrialsCallback` looks after a trial, when others have begun theirs: it overshoots."""
    workers = [get_context("spawn").Process(target=worker, args=(tmp_path,)) for _ in range(8)]
    for one in workers:
        one.start()
    for one in workers:
        one.join()
    trials = opened(tmp_path, n=40)
    assert states(trials) == {TrialState.COMPLETE: 40}
    assert [one.number for one in trials.study.get_trials()] == list(range(40))
    values = [one.params["x"] for one in trials.study.get_trials()]
    assert len(set(values)) == 40, "workers drew alike"


def test_interrupted_is_as_uninterrupted(tmp_path):
    """One worker draws by the trial's number: stopping in between changes nothing."""
    drawn = []
    for name, stops in (("whole", (15,)), ("parts", (4, 11, 15))):
        (tmp_path / name).mkdir()
        for stop in stops:
            trials = opened(tmp_path / name, n=stop)
            carry_out(trials)
        drawn.append([one.params["x"] for one in trials.study.get_trials()])
    assert drawn[0] == drawn[1]


def test_dead_workers_trial_is_done_again(tmp_path):
    """No sign of life for the grace period: its values are tried again, and it counts once."""
    trials = opened(tmp_path, n=2)
    lost = trials.claim()
    time.sleep(3.1)
    carry_out(trials)
    assert states(trials) == {TrialState.FAIL: 1, TrialState.COMPLETE: 2}
    assert lost.params in [one.params for one in trials.finished()]


def test_worker_that_lives_keeps_its_trial(tmp_path):
    trials = opened(tmp_path, n=1)
    mine = trials.claim()
    with trials.alive(mine):
        time.sleep(3.5)
        assert opened(tmp_path, n=1).claim() is None
    trials.tell(mine, [0.5], told={})
    assert states(trials) == {TrialState.COMPLETE: 1}


@pytest.mark.parametrize("given", [{}, {"x": 0.25}])
def test_death_while_claiming_loses_nothing(tmp_path, given):
    """A trial that runs in nobody's name never got a sign of life, which Optuna waits for."""
    trials = opened(tmp_path, n=2)
    if given:
        trials.study.enqueue_trial(given)
    with pytest.warns(UserWarning, match="Heartbeat"):
        drawn = trials.study.ask(None if given else SPACE).params or given
    carry_out(trials)
    assert states(trials) == {TrialState.FAIL: 1, TrialState.COMPLETE: 2}
    assert drawn in [one.params for one in trials.finished()]


def test_cut_off_while_burying_loses_nothing(tmp_path):
    """The trial was given up, and whoever did so was gone before anybody was to do it again."""
    trials = opened(tmp_path, n=2)
    lost = trials.claim()
    trials.study.tell(lost, state=TrialState.FAIL)
    carry_out(opened(tmp_path, n=2))
    assert states(trials) == {TrialState.FAIL: 1, TrialState.COMPLETE: 2}
    assert lost.params in [one.params for one in trials.finished()]


def test_values_that_kill_every_worker_are_left(tmp_path):
    trials = opened(tmp_path, n=1)
    deadly = []
    for _ in range(RETRIES + 1):
        deadly.append(trials.claim())
        trials.study.tell(deadly[-1], state=TrialState.FAIL)
    assert len({one.params["x"] for one in deadly}) == 1
    assert trials.claim().params != deadly[0].params


def test_an_error_of_the_programs_is_not_tried_again(tmp_path):
    trials = opened(tmp_path, n=1)
    wrong = trials.claim()
    trials.tell(wrong, None, told={REASON: "ValueError: 1"}, state=TrialState.FAIL)
    assert trials.claim().params != wrong.params


def test_result_of_the_presumed_dead_is_not_counted_twice(tmp_path):
    trials = opened(tmp_path, n=1)
    slow = trials.claim()
    time.sleep(3.1)
    carry_out(opened(tmp_path, n=1))
    trials.tell(slow, [0.9], told={"scores": {}})
    assert states(trials) == {TrialState.FAIL: 1, TrialState.COMPLETE: 1}


def test_given_values_come_first(tmp_path):
    trials = opened(tmp_path, first={"x": 0.25})
    opened(tmp_path, first={"x": 0.25})
    carry_out(trials)
    assert [one.params["x"] == 0.25 for one in trials.finished()] == [True, False, False]


def test_more_trials_extend_a_study(tmp_path):
    carry_out(opened(tmp_path, n=2))
    carry_out(opened(tmp_path, n=5))
    assert states(opened(tmp_path, n=5)) == {TrialState.COMPLETE: 5}


def test_another_configurations_study_is_refused(tmp_path):
    opened(tmp_path)
    with pytest.raises(StageError) as caught:
        opened(tmp_path, made_of={"data": "2", "code": "1"})
    assert "the study 'study' in sqlite://" in str(caught.value)
    assert "was made with another data; give this sweep a name of its own" in str(caught.value)


def test_unfinished_start_is_completed(tmp_path):
    """Killed between making the study and saying what it is made of."""
    address = f"sqlite:///{tmp_path}/study.db"
    optuna.create_study(storage=address, study_name="study", direction="maximize").enqueue_trial(
        {"x": 0.25}
    )
    trials = opened(tmp_path, first={"x": 0.25})
    carry_out(trials)
    assert sum(one.params["x"] == 0.25 for one in trials.finished()) == 1


def test_database_that_does_not_answer_is_one_line_without_password(tmp_path):
    pytest.importorskip("psycopg", reason="needs psycopg")
    settings = Settings(n=1, params={"x": ""}, strategies=["a"])
    with pytest.raises(MedgraftError) as caught:
        Trials(
            "postgresql+psycopg://me:secret@127.0.0.1:1/db", "s", settings=settings,
            space=SPACE, directions=["maximize"], made_of={},
        )  # fmt: skip
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "me:***@127.0.0.1:1/db" in str(caught.value)


@pytest.mark.parametrize("host", ["db:port", "[::1"])
def test_address_that_is_none_is_one_line_without_password(host, tmp_path):
    with pytest.raises(ConfigError, match=r"^sweep.storage: not an address; expected p") as caught:
        Trials(
            f"postgresql+psycopg://me:secret@{host}/db", "s",
            settings=Settings(n=1, params={"x": ""}, strategies=["a"]),
            space=SPACE, directions=["maximize"], made_of={},
        )  # fmt: skip
    assert "secret" not in str(caught.value)


def test_study_that_another_holds_is_one_line(tmp_path):
    opened(tmp_path)
    with FileLock(tmp_path / "study.db.lock"), pytest.raises(MedgraftError) as refused:
        opened(tmp_path, patience=1)
    path = tmp_path / "study.db"
    assert str(refused.value) == (
        f"the study in sqlite:///{path}: The file lock '{path}.lock' could not be acquired."
    )


def test_no_thread_is_left(tmp_path):
    carry_out(opened(tmp_path))
    assert [one for one in threading.enumerate() if "beat" in one.name] == []

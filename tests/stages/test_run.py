import json
import signal
import subprocess
import sys
import threading
import time

import pytest

from medgraft.errors import StageError
from medgraft.stages import watch
from medgraft.stages.run import run

SAMPLED = {
    "time",
    "cpu_utilization_percentage",
    "system_memory_usage_megabytes",
    "system_memory_usage_percentage",
}


@pytest.fixture(autouse=True)
def _in_a_project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_STAGE", raising=False)
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def marker(tmp_path) -> list[dict[str, float]]:
    return json.loads((tmp_path / "work" / "ran" / "pretrain").read_text())


def test_long_stage_is_sampled(tmp_path, monkeypatch):
    """How busy the machine was: in percent and megabytes, at times within the stage."""
    monkeypatch.setattr(watch, "SAMPLED_EVERY", 0.05)
    before = time.time() * 1000
    run(lambda: time.sleep(0.5), name="pretrain")
    samples = marker(tmp_path)
    assert 2 <= len(samples) <= 10
    for sample in samples:
        assert sample.keys() == SAMPLED
        assert before - 1 <= sample["time"] <= time.time() * 1000 + 1
        assert 0 <= sample["cpu_utilization_percentage"] <= 100
        assert 0 < sample["system_memory_usage_percentage"] <= 100
        assert sample["system_memory_usage_megabytes"] > 1


def test_short_stage_has_run_without_a_sample(tmp_path):
    run(lambda: None, name="pretrain")
    assert marker(tmp_path) == []


def test_failed_stage_has_not_run(tmp_path):
    def fail() -> None:
        raise StageError("no")

    with pytest.raises(SystemExit):
        run(fail, name="pretrain")
    assert not (tmp_path / "work" / "ran").exists()


def test_watching_ends_with_the_stage(monkeypatch):
    monkeypatch.setattr(watch, "SAMPLED_EVERY", 0.01)
    before = set(threading.enumerate())
    run(lambda: time.sleep(0.05), name="pretrain")
    for thread in set(threading.enumerate()) - before:
        thread.join(timeout=5)
    assert set(threading.enumerate()) <= before


def test_one_of_the_processes_that_share_a_training_tells(tmp_path, monkeypatch):
    """Else two would write one file."""
    monkeypatch.setenv("LOCAL_RANK", "1")
    run(lambda: None, name="pretrain")
    assert not (tmp_path / "work" / "ran").exists()


def test_told_to_end_outside_of_training(tmp_path):
    """A stage that has nothing to save ends at once, and asks to be started again."""
    stage = "lambda: (print('begun', flush=True), time.sleep(60))"
    code = f"import time; from medgraft.stages.run import run; run({stage}, name='evaluate')"
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        assert process.stdout.readline() == "begun\n"
        process.terminate()
        _, told = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 75
    assert told == "evaluate: ended by SIGTERM; the same command goes on\n"

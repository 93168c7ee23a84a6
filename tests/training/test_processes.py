import json
import os
import pty
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import polars as pl
import pytest
import torch
from polars.testing import assert_frame_equal

from medgraft.training import resume, weights

pytestmark = pytest.mark.slow
TWO = {"devices": 2, "strategy": "ddp"}
APART = TWO | {"share": "replicas"}
CUT = TWO | {"strategy": "fsdp"}
ALONE = {"replicas_at_once": 1}  # as under FSDP
ADAMW = {"ADAMW": "yes"}  # in the environment of the program
RAY = {"devices": 2, "strategy": "ray"}
SIZES = [30, 41, 20]
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")
# Batch halves are summed in another order than the whole.
CLOSE = {"rtol": 1e-4, "atol": 1e-5}


@pytest.fixture
def launch(root, tmp_path):
    """Run the program in processes of its own; returns how it ended and where it writes."""

    def run(name, encoder, settings, *, launcher=(), everyone="", sizes=SIZES, told="", more=None):
        out = tmp_path / name
        arguments = [str(out), encoder, json.dumps(sizes), json.dumps(settings), everyone]
        ranks = ("LOCAL_RANK", "NODE_RANK", "RANK", "WORLD_SIZE", "MASTER_PORT")
        done = subprocess.run(
            [sys.executable, *launcher, "-m", "tests.training.program", *arguments],
            cwd=root,
            env={key: value for key, value in os.environ.items() if key not in ranks}
            | ({"SIGNAL": told} if told else {})
            | (more or {}),
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        return done, out

    return run


@pytest.fixture
def start(launch):
    """The same, where it must end well; returns the folder it writes to."""

    def run(*arguments, **options):
        done, out = launch(*arguments, **options)
        assert done.returncode == 0, done.stderr[-3000:]
        return out

    return run


def assert_same(one, two, tables=("predictions.parquet", "history.parquet")):
    state, expected = weights.read(two)[0], weights.read(one)[0]
    for name, value in expected.items():
        if name.endswith("num_batches_tracked"):
            continue  # goes on while others train that share the process, and nothing reads it
        torch.testing.assert_close(state[name], value, **CLOSE, equal_nan=True)
    for table in tables:
        found, right = pl.read_parquet(two / table), pl.read_parquet(one / table)
        assert_frame_equal(found, right, rel_tol=1e-4, abs_tol=1e-4)


@pytest.mark.parametrize("two", [TWO, APART], ids=["batches", "replicas"])
def test_two_processes_equal_one(start, two):
    """Whether they share every batch, or each takes replicas; with early stopping."""
    # Two replicas together, then one alone, which both processes train where each takes some.
    settings = {"replicas_at_once": 2, "patience": 2}
    one = start("one", "mlp", settings)
    found = start("two", "mlp", settings | two)
    assert_same(one / "by0", found / "by0")
    assert [folder.name for folder in found.iterdir()] == ["by0"]  # the leading one alone writes


def test_replicas_apart_need_no_agreement(start):
    """Each normalises whole batches of its own replicas: two processes equal one, unlike above."""
    one = start("one", "resnet", {"patience": 1})
    two = start("two", "resnet", APART | {"patience": 1}, everyone="yes")
    # The history of one that is done goes on while others train that share its process.
    assert_same(one / "by0", two / "by0", tables=["predictions.parquet"])
    for name in ("weights.safetensors", "history.parquet"):
        assert (two / "by0" / name).read_bytes() == (two / "by1" / name).read_bytes()


@pytest.mark.parametrize("two", [TWO, CUT], ids=["batches", "cut"])
def test_torchrun_equals_one_process(start, two):
    one = start("one", "mlp", ALONE if two is CUT else {})
    two = start("two", "mlp", two, launcher=[*TORCHRUN])
    assert_same(one / "by0", two / "by0")
    assert [folder.name for folder in two.iterdir()] == ["by0"]


@pytest.mark.parametrize(("optimizer", "stops"), [({}, True), (ADAMW, False)])
def test_two_processes_equal_one_where_values_are_cut(start, optimizer, stops):
    """FSDP, which trains a replica at a time; SGD stops early, AdamW gets better to the end."""
    one = start("one", "mlp", ALONE | {"patience": 2}, more=optimizer)
    two = start("two", "mlp", CUT | {"patience": 2}, everyone="yes", more=optimizer)
    assert_same(one / "by0", two / "by0")
    assert_equal(two / "by0", two / "by1")
    steps = pl.read_parquet(two / "by0" / "history.parquet").group_by("replica").len()
    assert (steps["len"].max() < 10) == stops


def test_process_holds_half_of_what_is_trained(start):
    """Bytes under FSDP: of parameters, gradients, both of AdamW's averages and the best values."""
    out = {
        name: start(name, "mlp", how, sizes=[40], more=ADAMW | {"HELD": "yes"})
        for name, how in {"one": {}, "two": CUT, "ddp": TWO}.items()
    }
    whole = json.loads((out["one"] / "held0.json").read_text())
    assert whole == dict.fromkeys(whole, 4 * (5 * 16 + 16 + 16 * 16 + 16 + 16 + 1))
    for rank in (0, 1):
        cut = json.loads((out["two"] / f"held{rank}.json").read_text())
        # One of the head's 17 values cannot be halved: parts are rows, padded to as many each.
        assert all(0.47 < cut[kind] / whole[kind] < 0.53 for kind in whole), cut
        copied = json.loads((out["ddp"] / f"held{rank}.json").read_text())
        assert copied == whole  # of which gradients share buckets


@pytest.mark.parametrize(
    ("two", "whom"), [(TWO, 0), (APART, 1), (CUT, 1)], ids=["batches", "replicas", "cut"]
)
def test_killed_process_ends_all_and_training_goes_on(launch, start, two, whom):
    """kill -9 of either process: the other ends with a line within seconds, nobody hangs."""
    expected = start("whole", "mlp", two)
    done, out = launch("killed", "mlp", two, told=f"9 at 40 of {whom}")
    # Whichever sees it first: the one that trains on, or Lightning, which looks every five seconds
    # after the processes it started and then kills the rest.
    ours = "finetune@scratch: another process of this training has ended; what was saved is kept"
    theirs = "terminated with code -9. Forcefully terminating all other processes"
    assert done.returncode in (2, -9)
    assert ours in done.stderr or theirs in done.stderr
    again, out = launch("killed", "mlp", two)
    assert again.returncode == 0, again.stderr[-3000:]
    assert "resumed at step" in again.stdout
    assert_equal(expected / "by0", out / "by0")


@pytest.mark.parametrize(("encoder", "two"), [("mlp", TWO), ("dropout", TWO), ("dropout", CUT)])
def test_sigterm_to_one_process_saves_for_both(launch, start, encoder, two):
    """Each draws its own dropout on."""
    expected = start("whole", encoder, two)
    done, out = launch("told", encoder, two, told="15 at 40 of 1")
    assert (done.returncode, done.stderr.count("ended by SIGTERM; its state is saved")) == (75, 1)
    again, out = launch("told", encoder, two)
    assert "resumed at step 40, fit-1" in again.stdout
    assert_equal(expected / "by0", out / "by0")


@pytest.mark.parametrize(
    ("two", "whom"), [(TWO, 1), (CUT, 0), (APART, -1)], ids=["batches", "cut", "replicas"]
)
def test_sigterm_before_processes_meet_ends_them(launch, two, whom):
    """None leaves the others waiting for it, where they would hear no signal for half an hour."""
    done, out = launch("told", "mlp", two, told=f"15 at 0 of {whom}")
    assert (done.returncode, done.stderr.count("ended by SIGTERM; its state is saved")) == (75, 1)
    assert list(out.glob("scratch/*/fit-1*.safetensors"))


def test_sigterm_saves_what_is_cut_whole(launch, start):
    """FSDP, ended in the first replica's training and again in the second's."""
    expected = start("whole", "mlp", CUT, more=ADAMW)
    done, out = launch("told", "mlp", CUT, told="15 at 40 of 1", more=ADAMW)
    assert (done.returncode, done.stderr.count("ended by SIGTERM; its state is saved")) == (75, 1)
    (saved,) = out.glob("scratch/*/fit-1.safetensors")
    tensors, told = resume.read(saved)
    assert told["steps"] == 40
    for kind in ("replica", "best"):
        assert tensors[f"{kind}.encoder.layers.1.0.weight"].shape == (1, 16, 16)
    averages = [len(value) for name, value in tensors.items() if name.endswith(".exp_avg")]
    assert sorted(averages) == [1, 1, 16, 16, 16, 16]  # rows of the head's and two layers' values
    (out / "signalled").unlink()
    again, out = launch("told", "mlp", CUT, told="15 at 40 of 1", more=ADAMW)
    assert again.returncode == 75
    assert "resumed at step 40, fit-1" in again.stdout
    last, out = launch("told", "mlp", CUT, more=ADAMW)
    assert "done at step 100, fit-1" in last.stdout
    assert "resumed at step 40, fit-2" in last.stdout
    assert_equal(expected / "by0", out / "by0")


@pytest.mark.parametrize("two", [TWO, CUT], ids=["batches", "cut"])
def test_torchrun_restarts_a_killed_process(launch, start, two):
    """Its own count of restarts; each begins where training was saved."""
    expected = start("whole", "mlp", two)
    launcher = [*TORCHRUN, "--max-restarts=1"]
    # Or those who start anew look for the addresses of the dead, which torchrun's store has kept.
    own = {"TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}
    done, out = launch("killed", "mlp", two, launcher=launcher, told="9 at 40 of 1", more=own)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "resumed at step" in done.stdout
    assert_equal(expected / "by0", out / "by0")


def assert_equal(one, two):
    for name in ("weights.safetensors", "predictions.parquet", "history.parquet"):
        assert (one / name).read_bytes() == (two / name).read_bytes()


@pytest.mark.parametrize("two", [TWO, CUT], ids=["batches", "cut"])
def test_processes_agree_with_batch_norm(start, two):
    """Each normalises by its own half of a batch; yet all hold one network and stop at once."""
    two = start("two", "resnet", two | {"patience": 1}, everyone="yes")
    for name in ("weights.safetensors", "history.parquet"):
        assert (two / "by0" / name).read_bytes() == (two / "by1" / name).read_bytes()


@pytest.mark.parametrize(("output", "expected"), [("terminal", True), ("file", False)])
def test_bar_with_time_left_is_for_terminals(output, expected, root, tmp_path):
    """On a terminal steps done, time taken and time left; a redirected output stays empty."""
    ours, theirs = pty.openpty()
    with (tmp_path / "log").open("wb") as log:
        started = subprocess.Popen(
            [sys.executable, "-m", "tests.training.program", str(tmp_path), "mlp", "[40]", "{}"],
            cwd=root,
            env=os.environ | {"TERM": "xterm"},
            stdout=theirs if output == "terminal" else log,
            stderr=theirs,
        )
    os.close(theirs)
    shown = b""
    with suppress(OSError):  # the terminal closes when the program ends
        while piece := os.read(ours, 65536):
            shown += piece
    assert started.wait() == 0
    assert bool(re.search(r"\d+/\d+ .*0:00:\d\d • 0:00:\d\d", shown.decode())) == expected
    assert (tmp_path / "log").read_bytes() == b""


@pytest.mark.parametrize("two", [TWO, CUT], ids=["batches", "cut"])
def test_srun_starts_the_processes(launch, start, monkeypatch, two):
    """Two tasks of one SLURM job, as srun tells them; their job may also hold a single task."""
    one = start("one", "mlp", ALONE if two is CUT else {})
    job = {"SLURM_JOB_ID": "20017", "SLURM_JOB_NAME": "study", "SLURM_NODELIST": "127.0.0.1"}
    for name, value in job.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("SLURM_NTASKS", "1")
    assert_same(one / "by0", start("single", "mlp", two) / "by0")
    monkeypatch.setenv("SLURM_NTASKS", "2")
    monkeypatch.setenv("SLURM_NTASKS_PER_NODE", "2")
    monkeypatch.setenv("SLURM_NODEID", "0")

    def task(number: int) -> int:
        own = {"SLURM_PROCID": str(number), "SLURM_LOCALID": str(number)}
        return launch("srun", "mlp", two, more=own)[0].returncode

    with ThreadPoolExecutor(2) as both:
        assert list(both.map(task, (0, 1))) == [0, 0]
    assert_same(one / "by0", one.parent / "srun" / "by0")


def test_ray_starts_killed_processes_anew(launch, start):
    """Ray Train: kill -9 of one of two; both begin again where training was saved."""
    pytest.importorskip("ray", reason="needs ray (the extra ray)")
    one = start("one", "mlp", {})
    done, out = launch("killed", "mlp", RAY, told="9 at 40 of 1")
    assert done.returncode == 0, done.stderr[-3000:]
    assert (out / "signalled").exists()
    assert not (out / "ray").exists()
    assert_same(one / "by0", out / "by0")


def test_ray_gives_up_in_a_line(launch):
    pytest.importorskip("ray", reason="needs ray (the extra ray)")
    done, _ = launch("killed", "mlp", RAY | {"max_failures": 0}, told="9 at 40 of 1")
    assert done.returncode == 2
    said = "finetune@scratch: Ray's processes died more often than trainer.max_failures 0; what was"
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_what_ray_may_not_try_again_is_a_line(launch):
    """Settings that cannot work are refused once, by the process that meets them."""
    pytest.importorskip("ray", reason="needs ray (the extra ray)")
    done, _ = launch("refused", "mlp", RAY | {"accumulate": 4})
    said = "trainer.accumulate 4: expected 1 where 2 processes share every batch"
    assert (done.returncode, said in done.stderr) == (2, True), done.stderr[-3000:]

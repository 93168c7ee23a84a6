import json
import os
import pty
import re
import subprocess
import sys
from contextlib import suppress

import polars as pl
import pytest
import torch
from polars.testing import assert_frame_equal

from medgraft.training import weights

pytestmark = pytest.mark.slow
TWO = {"devices": 2, "strategy": "ddp"}
# Batch halves are summed in another order than the whole.
CLOSE = {"rtol": 1e-4, "atol": 1e-5}


@pytest.fixture
def start(root, tmp_path):
    """Run the program in processes of its own; returns the folder it writes to."""

    def run(name, encoder, settings, *, launcher=(), everyone=""):
        out = tmp_path / name
        arguments = [str(out), encoder, "[30, 41, 20]", json.dumps(settings), everyone]
        ranks = ("LOCAL_RANK", "NODE_RANK", "RANK", "WORLD_SIZE", "MASTER_PORT")
        done = subprocess.run(
            [sys.executable, *launcher, "-m", "tests.training.program", *arguments],
            cwd=root,
            env={key: value for key, value in os.environ.items() if key not in ranks},
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return out

    return run


def assert_same(one, two):
    state, expected = weights.read(two)[0], weights.read(one)[0]
    for name, value in expected.items():
        torch.testing.assert_close(state[name], value, **CLOSE, equal_nan=True)
    for table in ("predictions.parquet", "history.parquet"):
        found, right = pl.read_parquet(two / table), pl.read_parquet(one / table)
        assert_frame_equal(found, right, rel_tol=1e-4, abs_tol=1e-4)


def test_two_processes_equal_one(start):
    # Two replicas together, then one alone, each stopping early.
    settings = {"replicas_at_once": 2, "patience": 2}
    one = start("one", "mlp", settings)
    two = start("two", "mlp", settings | TWO)
    assert_same(one / "by0", two / "by0")
    assert [folder.name for folder in two.iterdir()] == ["by0"]  # the leading process alone writes


def test_torchrun_equals_one_process(start):
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    one = start("one", "mlp", {})
    two = start("two", "mlp", TWO, launcher=launcher)
    assert_same(one / "by0", two / "by0")
    assert [folder.name for folder in two.iterdir()] == ["by0"]


def test_processes_agree_with_batch_norm(start):
    """Each normalises by its own half of a batch; yet all hold one network and stop at once."""
    two = start("two", "resnet", TWO | {"patience": 1}, everyone="yes")
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

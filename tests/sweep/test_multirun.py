"""Hydra's own multirun, beside `medgraft sweep`."""

import re
import subprocess
import sys

import pytest

from medgraft.sweep.run import Sweep

from .conftest import SMALL


@pytest.mark.slow
def test_multirun_scores_as_a_trial_does(project, root):
    """Two jobs of a grid print the scores that the sweep's bench gives for the same values."""
    rates = (0.001, 0.05)
    told = [*SMALL, f"finetune.optimizer.lr={','.join(map(str, rates))}"]
    done = subprocess.run(
        [sys.executable, root / "tools" / "multirun.py", "-m", "hydra.sweep.dir=out", *told],
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = re.findall(r"^auroc ([.0-9]+): mean of scratch, fine_tune", done.stdout, re.M)
    sweep = Sweep.read(project, list(SMALL), mirror=None)
    for rate, score in zip(rates, found, strict=True):
        scores = sweep.bench.scores(sweep.compose({"finetune.optimizer.lr": rate}), sweep.metrics)
        assert f"{sum(one['auroc'] for one in scores.values()) / 2:.4f}" == score

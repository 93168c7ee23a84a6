"""Precision and devices change how fast a study runs, not what it says."""

import numpy as np
import pytest
import torch

from medgraft.errors import StageError
from medgraft.training.fit import Patients, fit, outputs

from . import simulated as sim

GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU; torch sees none")


def probabilities(**changes) -> np.ndarray:
    """Of the test patients of three replicas, after 100 steps; every loss on the way is finite."""
    cohort, plan = sim.cohort(120), sim.design((30, 40, 25), 120)
    columns = (plan[name].to_list() for name in ("train", "validation", "init_seed"))
    patients = Patients(cohort.x, cohort.y, *columns)
    template, state = sim.start(cohort, patients, sim.parts())
    state, history = fit(
        template,
        state,
        patients,
        trained={name for name, _ in template.named_parameters()},
        config=sim.fit_config(),
        trainer=sim.trainer(**changes),
    )
    assert history["train_loss"].is_finite().all()
    assert history["validation_loss"].is_finite().all()
    answers = np.concatenate(outputs(template, state, cohort.x, plan["test"].to_list()))
    return 1 / (1 + np.exp(-answers[:, 0]))


@pytest.fixture(scope="module")
def expected():
    return probabilities()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_absent_gpu_is_one_line():
    with pytest.raises(StageError, match=r"^trainer: not on this machine: .*gpu.*$"):
        probabilities(accelerator="gpu")


def test_srun_is_told_how_many_tasks_a_node_has(monkeypatch):
    """Lightning wants `--ntasks-per-node`, and says so; not with a traceback."""
    for name, value in {"JOB_ID": "1", "JOB_NAME": "study", "NTASKS": "2"}.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    with pytest.raises(StageError, match=r"^trainer: .*Use `--ntasks-per-node=2` instead\.$"):
        probabilities(devices=2, strategy="ddp")


def test_mixed_precision_predicts_alike(expected):
    """bfloat16 keeps 8 bits; after 100 steps that is at most 3 points of a probability."""
    apart = np.abs(probabilities(precision="bf16-mixed") - expected)
    assert 0 < apart.max() < 0.03
    assert np.ptp(expected) > 0.5  # they do differ between patients


@GPU
@pytest.mark.parametrize(
    ("precision", "most"), [("32", 1e-3), ("bf16-mixed", 0.03), ("16-mixed", 0.03)]
)
def test_gpu_predicts_alike(expected, precision, most):
    apart = np.abs(probabilities(accelerator="gpu", precision=precision) - expected)
    assert apart.max() < most

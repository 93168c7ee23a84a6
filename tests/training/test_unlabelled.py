"""Cohorts brought together with and without the target's outcomes, on images and sequences."""

import dataclasses

import numpy as np
import polars as pl
import pytest

from contracts import found
from medgraft.config import FitConfig, PretrainConfig, Strategy
from medgraft.preparation.arrays import Prepared
from medgraft.training.finetune import Study, finetune
from medgraft.training.pretrain import pretrain
from networks.encoders.test_sequences import CNN, INPUT

from . import simulated as sim
from .test_guided_sequences import reads
from .test_views import PARTS, films

SHORT = sim.trainer(max_steps=10, check_every=5)
COHORTS = {"images": films, "sequences": reads}
NETWORKS = {"images": PARTS, "sequences": {"input": INPUT, "encoder": CNN}}
ALIGNED = [name + kind for name in ("coral", "mmd", "dann") for kind in ("", "_unlabelled")]
UNLABELLED = [name for name in ALIGNED if name.endswith("_unlabelled")]


def cohort(modality: str, task: str, seed: int) -> Prepared:
    """Its ill patients have the event sooner, where the outcome is survival."""
    made = COHORTS[modality](60, seed=seed)
    if task == "binary":
        return made
    outcome = sim.schema(task)["outcome"]
    times = sim.survival(made.y - 0.5, np.random.default_rng(seed)).astype(np.float32)
    return dataclasses.replace(made, y=times, schema=made.schema | {"outcome": outcome})


@pytest.fixture(
    scope="module",
    params=[(modality, task) for modality in COHORTS for task in ("binary", "survival")],
    ids="-".join,
)
def study(request, tmp_path_factory):
    modality, task = request.param
    parts = NETWORKS[modality] | {"head": sim.HEADS[task]}
    out, source, plan = (
        tmp_path_factory.mktemp("s"),
        cohort(modality, task, 1),
        sim.design((20, 20), 60),
    )
    config = PretrainConfig(optimizer=sim.ADAMW, batch_size=8, hide_probability=0.5)
    spec = parts | {"readout": sim.LAST}
    pretrain(source, plan, spec=spec, config=config, trainer=SHORT, out=out)
    fit = FitConfig(optimizer=sim.ADAMW, batch_size=8)
    target, design = cohort(modality, task, 0), sim.design((20, 20), 60)
    return Study(target, design, parts, out, fit, SHORT, source, plan)


def carried_out(name: str, study: Study, out) -> tuple[pl.DataFrame, list[float]]:
    """Answers and training losses of replica 1."""
    (path,) = [path for path in found.of("strategies") if path.stem == name]
    finetune(name, Strategy.model_validate(found.read(path)), study, out=out)
    answers, history = (
        pl.read_parquet(out / f"{table}.parquet").filter(replica=1)
        for table in ("predictions", "history")
    )
    return answers, history["train_loss"].to_list()


def changed(study: Study, part: str) -> Study:
    """Replica 1's training patients with each other's outcomes ``y``, or measurements ``x``."""
    values = getattr(study.target, part).copy()
    rows = study.design["train"][1].to_list()
    values[rows] = np.roll(values[rows], 1, axis=0)
    return dataclasses.replace(study, target=dataclasses.replace(study.target, **{part: values}))


@pytest.mark.parametrize("name", [name for name in ALIGNED if name not in UNLABELLED])
def test_labelled_learn_target_outcomes(name, study, tmp_path):
    """What a replica keeps may be its start, so the losses tell."""
    _, before = carried_out(name, study, tmp_path / "before")
    for part in ("y", "x"):
        assert carried_out(name, changed(study, part), tmp_path / part)[1] != before


@pytest.mark.parametrize("name", UNLABELLED)
def test_unlabelled_see_measurements_alone(name, study, tmp_path):
    """No outcome of the target changes a loss or an answer; its measurements change both."""
    answers, losses = carried_out(name, study, tmp_path / "before")
    same, as_before = carried_out(name, changed(study, "y"), tmp_path / "y")
    assert answers.equals(same)
    assert losses == as_before
    other, moved = carried_out(name, changed(study, "x"), tmp_path / "x")
    assert not answers.equals(other)
    assert losses != moved


@pytest.mark.parametrize("name", UNLABELLED)
def test_unlabelled_train_alone_as_together(name, study, tmp_path):
    lonely = dataclasses.replace(study, design=study.design[1:])
    pair = (carried_out(name, each, tmp_path / str(len(each.design))) for each in (study, lonely))
    outputs = [answers.select(pl.selectors.starts_with("output_")) for answers, _ in pair]
    np.testing.assert_allclose(*outputs, rtol=2e-3, atol=2e-4)

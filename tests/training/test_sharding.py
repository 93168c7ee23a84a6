"""Trainings under FSDP in one process: in one part, where reading a cut value as a whole fails.

Two processes are in test_processes.py.
"""

import pytest
import torch

from medgraft.training.guide import guided, train
from medgraft.training.sharding import units
from medgraft.transfer import trainable
from medgraft.transfer.adapter import LowRank

from .test_fit import same, study
from .test_guide import CHOICES, guide, names, with_source

FSDP = {"strategy": "fsdp"}
TIGHT = {"rtol": 1e-6, "atol": 1e-8}
pytestmark = pytest.mark.usefixtures("one_process")


@pytest.mark.parametrize("parts", CHOICES.values(), ids=list(CHOICES))
def test_strategies_train_the_same(parts):
    """Penalties and alignments too, and a probe, whose encoder is cut and does not move."""
    template, state, patients = study(sizes=(12, 25))
    if "penalty" not in parts and "learning_rate" not in parts:
        patients = with_source(patients)
    phases = trainable.probe_then_everything(names(template))
    whole, history = train(template, state, phases, guide(patients, parts=parts))
    cut, rows = train(template, state, phases, guide(patients, parts=parts, **FSDP))
    same(cut, whole, **TIGHT)
    assert rows.select("replica", "step").equals(history.select("replica", "step"))


def test_low_rank_changes_train_the_same():
    """Their weights are made of three others each time a layer is called."""
    template, state, patients = study(sizes=(12, 25))
    adapted, values = LowRank(rank=2).adapt(template, state, patients.seeds)
    low_rank = [name for name in names(adapted) if name.endswith((".up", ".down"))]
    phases = trainable.everything(low_rank)
    whole, _ = train(adapted, values, phases, guide(patients))
    cut, _ = train(adapted, values, phases, guide(patients, **FSDP))
    same(cut, whole, **TIGHT)
    assert not torch.equal(cut[low_rank[0]], values[low_rank[0]])


def test_half_precision_trains_the_same():
    template, state, patients = study(sizes=(12, 25))
    phases = trainable.everything(names(template))
    half = {"precision": "bf16-mixed", "replicas_at_once": 1}
    whole, _ = train(template, state, phases, guide(patients, **half))
    cut, _ = train(template, state, phases, guide(patients, **half, **FSDP))
    same(cut, whole, **TIGHT)


def test_layers_are_units_of_plain_networks_alone():
    """A penalty reads the parameters of all layers at once."""
    template, state, patients = study()
    assert list(units(template)) == list(template.encoder.layers)
    objective, _ = guided(template, state, guide(patients, parts=CHOICES["l2_sp"]))
    assert list(units(objective)) == []

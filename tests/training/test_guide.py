"""Phases, learning rates and penalties on the replica axis."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from medgraft.config import Strategy
from medgraft.networks.model import Network
from medgraft.training.batches import Pairs
from medgraft.training.course import Course
from medgraft.training.fit import batches_of, fit
from medgraft.training.guide import Guide, guided, train
from medgraft.training.patients import Patients
from medgraft.transfer import trainable
from medgraft.transfer.adapter import LowRank
from medgraft.transfer.alignment import mean_discrepancy
from medgraft.transfer.co_tuning import SourceModel
from medgraft.transfer.seen import Seen

from . import simulated as sim
from .test_fit import alone, same, study

TRANSFER = "medgraft.transfer."
L2_SP = {"_target_": f"{TRANSFER}penalty.L2Sp"}
CO_TUNING = {"_target_": f"{TRANSFER}co_tuning.CoTuning"}
DELTA = {"_target_": f"{TRANSFER}penalty.Delta"}
BSS = {"_target_": f"{TRANSFER}penalty.BatchSpectralShrinkage", "eta": 0.1}
CORAL = {"_target_": f"{TRANSFER}alignment.Coral"}
MMD = {"_target_": f"{TRANSFER}alignment.MultiKernelMmd"}
DANN = {"_target_": f"{TRANSFER}alignment.Adversary"}
DECAY = {"_target_": f"{TRANSFER}learning_rate.layer_decay", "decay": 0.5}
SIZES = (12, 30)


def strategy(**parts) -> Strategy:
    how = {"_target_": f"{TRANSFER}trainable.everything"}
    start = {"_target_": f"{TRANSFER}init.source"}
    return Strategy(
        description="any", uses_source=True, init=start, trainable=how, readout=sim.LAST, **parts
    )


def guide(patients, *, optimizer=sim.ADAMW, parts=None, **changes) -> Guide:
    return Guide(
        strategy(**(parts or {})),
        patients,
        sim.fit_config(optimizer),
        trainer=sim.trainer(**({"max_steps": 30} | changes)),
        start_counts=True,
    )


def names(template: Network) -> list[str]:
    return [name for name, _ in template.named_parameters()]


CHOICES = {
    "l2_sp": {"penalty": L2_SP},
    "delta": {"penalty": DELTA},
    "bss": {"penalty": BSS},
    "decay": {"learning_rate": DECAY},
    "joint": {"learn_from": "both"},
    "coral": {"learn_from": "both", "alignment": CORAL},
    "mmd": {"alignment": MMD},
    "dann": {"learn_from": "source", "alignment": DANN},
    "decay and l2_sp": {"learning_rate": DECAY, "penalty": L2_SP},
}


def with_source(patients):
    """The patients with others beside them, of another cohort."""
    other, plan = sim.cohort(90, seed=1), sim.design((30, 40), 90, held=10)
    columns = (plan[name].to_list() for name in ("train", "validation", "init_seed"))
    x, y = (values.astype(patients.x.dtype) for values in (other.x, other.y))
    return replace(patients, beside=Patients(x, y, *columns))


@pytest.mark.parametrize("parts", CHOICES.values(), ids=list(CHOICES))
def test_replica_equals_itself_alone(parts):
    template, state, patients = study(sizes=SIZES)
    if "penalty" not in parts and "learning_rate" not in parts:
        patients = with_source(patients)
    phases = trainable.probe_then_everything(names(template))
    whole, history = train(template, state, phases, guide(patients, parts=parts))
    apart, rows = train(template, state, phases, guide(patients, parts=parts, replicas_at_once=1))
    same(apart, whole, rtol=1e-6, atol=1e-8)
    assert rows.select("replica", "step").equals(history.select("replica", "step"))
    plain, _ = train(template, state, phases, guide(patients))
    assert not all(torch.equal(plain[name], whole[name]) for name in plain)


def test_early_stop_shifts_no_other_replica():
    """One replica's probe stops long before another's; its second phase is what it is alone."""
    template, state, patients = study(sizes=SIZES)
    patients = replace(patients, y=contrary(patients, 0))
    phases = trainable.probe_then_everything(names(template))
    whole, _ = train(template, state, phases, guide(patients, max_steps=60, patience=1))
    for r in range(2):
        part = slice(r, r + 1)
        mine = {name: value[part] for name, value in state.items()}
        alone, _ = train(
            template, mine, phases, guide(patients.some(part), max_steps=60, patience=1)
        )
        same({name: value[part] for name, value in whole.items()}, alone, rtol=1e-6, atol=1e-8)


def contrary(patients, which):
    y = patients.y.copy()
    y[patients.validation[which]] = 1 - y[patients.validation[which]]
    return y


def test_infinite_l2_sp_is_the_probe():
    """The greater the weight, the nearer the probe, in shared and specific layers.

    Gradient descent is stable below a rate of 2 / alpha, so ten times the weight takes ten times
    the steps.
    """
    template, state, patients = study(sizes=(30,))
    everything, distances = names(template), []
    for alpha in (20, 200):
        descent = {"_target_": "torch.optim.SGD", "lr": 1 / alpha}
        given = {"optimizer": descent, "max_steps": 2 * alpha}
        guard = {"penalty": L2_SP | {"alpha": alpha, "beta": 0.0}}
        probe, _ = train(
            template, state, trainable.specific_layers(everything), guide(patients, **given)
        )
        held, _ = train(
            template, state, trainable.everything(everything), guide(patients, parts=guard, **given)
        )
        distances.append([float((held[n] - probe[n]).abs().max()) for n in everything])
    near, nearer = np.array(distances)
    assert near.max() < 0.1
    assert (nearer < near / 4).all()


def test_rates_reach_their_layers():
    """With plain gradient descent one step moves a layer in proportion to its rate."""
    template, state, patients = study(sizes=SIZES)
    everything = trainable.everything(names(template))
    descent = {"_target_": "torch.optim.SGD", "lr": 0.001}
    moved = []
    for parts in ({}, {"learning_rate": DECAY}):
        given = replace(
            guide(patients, optimizer=descent, parts=parts, max_steps=1), start_counts=False
        )
        found, _ = train(template, state, everything, given)
        moved.append({name: found[name] - state[name] for name in names(template)})
    expected = {"encoder.layers.0": 0.25, "encoder.layers.1": 0.5, "head": 1.0}
    for name, flat in moved[0].items():
        (rate,) = (share for start, share in expected.items() if name.startswith(start))
        torch.testing.assert_close(moved[1][name], rate * flat, rtol=1e-6, atol=1e-12)


def test_phases_train_what_they_say():
    """The probe's shared layers are the start's; batches and history go on where it ended."""
    template, state, patients = study(sizes=SIZES)
    probe, everything = trainable.probe_then_everything(names(template))
    found, history = train(template, state, [probe], guide(patients))
    assert history["step"].unique().to_list() == [10, 20, 30]
    for name in names(template):
        assert torch.equal(found[name], state[name]) != name.startswith("head."), name
    _, history = train(
        template, state, [trainable.Phase(probe.names, 10), everything], guide(patients)
    )
    assert history["step"].unique().to_list() == [10, 20, 30, 40]
    assert history["validation_loss"].is_finite().all()


def test_nothing_to_train_is_left_alone():
    template, state, patients = study(sizes=SIZES)
    found, history = train(template, state, [], guide(patients))
    assert found is state
    assert history.is_empty()


def test_joint_training_is_one_on_both():
    """Two equal cohorts side by side move a network as one would with twice the loss."""
    template, state, patients = study(sizes=SIZES)
    twin = replace(patients, beside=patients)
    descent = {"_target_": "torch.optim.SGD", "lr": 0.01}
    twice = descent | {"lr": 0.02}
    everything = trainable.everything(names(template))
    both, _ = train(
        template,
        state,
        everything,
        guide(twin, optimizer=descent, parts={"learn_from": "both"}),
    )
    one, _ = train(template, state, everything, guide(patients, optimizer=twice))
    same(both, one, rtol=1e-7, atol=1e-9)


def test_alignment_brings_cohorts_together():
    """Far less apart than without, for the same steps on the same source."""
    template, state, patients = study(sizes=(30,))
    far = with_source(replace(patients, x=3 * patients.x + 20))
    everything = trainable.everything(names(template))
    apart = []
    for weight in (0.0, 30.0):
        parts = {"learn_from": "source", "alignment": MMD | {"weight": weight}}
        found, history = train(
            template, state, everything, guide(far, parts=parts, max_steps=60, patience=1)
        )
        assert history["step"].max() == 60, "no patient says when to stop"
        net = alone(template, found, 0)
        both = [
            net.layers(torch.from_numpy(side.x[side.train[0]]))[-1] for side in (far, far.beside)
        ]
        apart.append(mean_discrepancy(*both, kernels=5).item())
    assert apart[1] < apart[0] / 3


def test_progress_spans_the_training():
    template, state, patients = study(sizes=SIZES)
    del template, state
    both = with_source(patients)
    shape = {"size": 4, "steps": 30, "first": 10, "chunk": 8}
    chunks = list(Pairs(batches_of(both, shape), batches_of(both.beside, shape)))
    assert [len(chunk) for chunk in chunks] == [5, 5, 5]
    share = torch.cat([chunk[4] for chunk in chunks])
    torch.testing.assert_close(share, torch.arange(20.0)[:, None].expand(-1, 2) / 20)
    for r, rows in enumerate(both.beside.train):
        shown = torch.cat([chunk[2][:, r].flatten(0, 1) for chunk in chunks]).numpy()
        known = both.beside.x[rows]
        assert all((known == patient).all(1).any() for patient in shown)


@pytest.mark.parametrize("parts", [{}, {"penalty": L2_SP}], ids=["plain", "l2_sp"])
def test_low_rank_replica_equals_itself_alone(parts):
    """Stacked changes train as each alone; what is merged differs from the start in rank 2."""
    template, state, patients = study(sizes=SIZES)
    how = LowRank(rank=2)
    changed, values = how.adapt(template, state, patients.seeds)
    phases = trainable.adapters(names(changed))
    whole, _ = train(changed, values, phases, guide(patients, parts=parts))
    apart, _ = train(changed, values, phases, guide(patients, parts=parts, replicas_at_once=1))
    same(apart, whole, rtol=1e-6, atol=1e-8)
    merged = how.merge(whole)
    for name in ("encoder.layers.0.0.weight", "encoder.layers.1.0.weight"):
        assert torch.linalg.matrix_rank(merged[name] - state[name], rtol=1e-9).tolist() == [2, 2]
    assert torch.equal(merged["encoder.layers.0.0.bias"], state["encoder.layers.0.0.bias"])


def test_co_tuned_replica_equals_itself_alone():
    """Each has a source, a relation and a second head of its own; without weight they are idle."""
    template, state, patients = study(sizes=SIZES)

    def source(r):
        return SourceModel(alone(copy.deepcopy(template), state, r), 1.0)

    def co_tuned(weight, **changes):
        parts = {"penalty": CO_TUNING | {"weight": weight}}
        how = replace(guide(patients, parts=parts, **changes), source=source)
        return train(template, state, trainable.everything(names(template)), how)[0]

    whole = co_tuned(2.3)
    first = {name: value[:1] for name, value in state.items()}
    how = replace(guide(patients.some(slice(0, 1)), parts={"penalty": CO_TUNING}), source=source)
    apart, _ = train(template, first, trainable.everything(names(template)), how)
    same(apart, {name: value[:1] for name, value in whole.items()}, rtol=1e-6, atol=1e-8)
    plain, _ = train(template, state, trainable.everything(names(template)), guide(patients))
    same(co_tuned(0.0), plain, rtol=0, atol=0)
    moved = [name for name in plain if not torch.equal(plain[name], whole[name])]
    assert {name.split(".")[0] for name in moved} == {"encoder", "head"}


def test_source_head_learns_what_classes_mean():
    """A great weight brings what the source's head says near the relation, by training it."""
    template, state, patients = study(sizes=(30,))
    losses = []
    for weight in (0.0, 30.0):
        how = guide(patients, parts={"penalty": CO_TUNING | {"weight": weight}})
        how = replace(how, source=lambda _: SourceModel(alone(template, state, 0), 1.0))
        whole, values = guided(copy.deepcopy(template), state, how)
        found, _ = fit(
            whole,
            values,
            patients,
            trained={n for n, _ in whole.named_parameters() if not n.startswith("start.")},
            config=how.config,
            trainer=how.trainer,
            course=Course(chooses=False),
        )
        whole.load_state_dict({name: value[0] for name, value in found.items()})
        rows = patients.train[0]
        x, y = (torch.from_numpy(values[rows]) for values in (patients.x, patients.y))
        whole.penalty.weight = 1.0
        losses.append(whole.penalty(Seen(whole.network, x, y)).item())
    assert losses[1] < losses[0] - 0.01

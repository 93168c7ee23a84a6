"""Features selected for each replica, from its own source network and training patients."""

from dataclasses import replace

import torch

from medgraft.networks.model import build
from medgraft.training import replicas
from medgraft.training.patients import Patients
from medgraft.training.pretrain import fitted
from medgraft.training.reading import read_out

from . import simulated as sim

SELECTED = {"_target_": "medgraft.networks.readout.SelectedLayers", "fraction": 0.25}


def study(readout=SELECTED):
    cohort, plan = sim.cohort(120), sim.design((12, 40, 25), 120)
    columns = (plan[name].to_list() for name in ("train", "validation", "init_seed"))
    patients = Patients(cohort.x, cohort.y, *columns)
    spec = sim.parts() | {"readout": readout}
    template, state = replicas.build(
        lambda seed: build(spec, cohort.schema, seed=seed), patients.seeds
    )
    return template, state | fitted(template, patients), patients


def test_each_replica_selects_alone_what_it_selects_among_others():
    template, state, patients = study()
    found = read_out(template, state, patients)
    assert found["readout.kept"].shape == (3, 8)  # a quarter of twice sixteen
    for r in range(3):
        part = slice(r, r + 1)
        mine = {name: value[part] for name, value in state.items()}
        alone = read_out(template, mine, patients.some(part))
        assert all(torch.equal(alone[name], found[name][part]) for name in found)
    assert not torch.equal(found["readout.kept"][0], found["readout.kept"][1])


def test_only_training_patients_select():
    template, state, patients = study()
    x, y = patients.x.copy(), patients.y.copy()
    others = [row for row in range(120) if row not in set(patients.train[1])]
    x[others], y[others] = -3 * x[others], 1 - y[others]
    one = slice(1, 2)
    mine = {name: value[one] for name, value in state.items()}
    before = read_out(template, mine, patients.some(one))
    after = read_out(template, mine, replace(patients, x=x, y=y).some(one))
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_other_readouts_fit_nothing():
    assert read_out(*study(sim.LAST)) == {}

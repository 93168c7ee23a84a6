from dataclasses import replace

import pytest
import torch

from medgraft.training.fit import fit
from medgraft.training.patients import Patients
from medgraft.training.replicas import Replicas, build, select

from . import simulated as sim

ENCODERS = {"mlp": sim.MLP, "resnet": sim.RESNET}
SIZES = (12, 40, 25)
ALONE = pytest.mark.parametrize("encoder", list(ENCODERS))
# Sums in another order differ in the last digits, and Adam turns the rounding of a gradient that is
# zero (a bias before batch normalisation) into a step: in float64 that stays this small.
CLOSE = {"rtol": 1e-7, "atol": 1e-9}


def study(encoder):
    """A template, the fresh state of three replicas, and their patients."""
    cohort, plan = sim.cohort(120), sim.design(SIZES, 120)
    columns = (plan[name].to_list() for name in ("train", "validation", "init_seed"))
    patients = Patients(cohort.x, cohort.y, *columns)
    template, state = sim.start(cohort, patients, sim.parts(encoder=ENCODERS[encoder]))
    return template, state, patients


def double(template, state, patients):
    """The same in float64."""
    x, y = patients.x.astype(float), patients.y.astype(float)
    wide = {name: v.double() if v.is_floating_point() else v for name, v in state.items()}
    return template.double(), wide, replace(patients, x=x, y=y)


def one(state, r):
    return {name: value[r : r + 1] for name, value in state.items()}


@ALONE
@pytest.mark.parametrize("training", [True, False])
def test_forward_equals_each_alone(encoder, training):
    template, state, patients = study(encoder)
    x = torch.from_numpy(patients.x[:60]).view(3, 20, 5)
    y = torch.from_numpy(patients.y[:60]).view(3, 20)
    together = Replicas(template, state).train(training)
    single = [Replicas(template, one(state, r)).train(training) for r in range(3)]
    for arguments in ([x], [x, y]):
        expected = torch.cat(
            [net(*(a[r : r + 1] for a in arguments)) for r, net in enumerate(single)]
        )
        torch.testing.assert_close(together(*arguments), expected)
    for name, value in together.state().items():
        alone = torch.cat([net.state()[name] for net in single])
        torch.testing.assert_close(value, alone)


@ALONE
def test_training_equals_each_alone(encoder):
    template, state, patients = double(*study(encoder))
    names = {name for name, _ in template.named_parameters()}

    def train(values, mine):
        return fit(
            template,
            values,
            mine,
            trained=names,
            config=sim.fit_config(),
            trainer=sim.trainer(),
        )[0]

    together = train(state, patients)
    for r in range(3):
        alone = train(one(state, r), patients.some(slice(r, r + 1)))
        for name, value in alone.items():
            torch.testing.assert_close(together[name][r], value[0], **CLOSE)
    assert not torch.equal(together["head.linear.weight"], state["head.linear.weight"])
    if encoder == "resnet":
        moved = "encoder.layers.1.block.normalization.running_mean"
        assert (together[moved] - state[moved]).abs().max() > 0.1


@ALONE
def test_state_survives_the_stack(encoder):
    template, state, _ = study(encoder)
    for values in (state, one(state, 1)):
        found = Replicas(template, values, ["head.linear.bias"]).state()
        assert list(found) == list(values)
        for name, value in values.items():
            assert torch.equal(found[name], value)
            assert found[name].dtype == value.dtype


@ALONE
@pytest.mark.parametrize("count", [1, 3])
def test_values_have_the_order_of_the_network(encoder, count):
    """In which processes exchange them, whatever order a file gave them in."""
    template, state, _ = study(encoder)
    given = {name: state[name][:count] for name in reversed(state)}
    assert list(Replicas(template, given).state()) == list(template.state_dict())


def test_given_state_is_copied():
    template, state, _ = study("mlp")
    for values in (state, one(state, 0)):
        before = values["head.linear.bias"].clone()
        replicas = Replicas(template, values, ["head.linear.bias"])
        replicas.value("head.linear.bias").add_(1)
        assert torch.equal(values["head.linear.bias"], before)
        assert torch.equal(replicas.state()["head.linear.bias"], before + 1)


def test_stack_follows_the_seeds():
    cohort = sim.cohort(40)
    spec = sim.parts() | {"readout": sim.LAST}

    def make(seed):
        return sim.build_one(spec, cohort.schema, seed)

    _, state = build(make, [5, 9])
    for r, seed in enumerate([5, 9]):
        expected = make(seed).state_dict()
        assert all(
            torch.equal(state[name][r].nan_to_num(), expected[name].nan_to_num())
            for name in expected
        )


def test_select_may_repeat():
    state = {"w": torch.tensor([[1.0], [2.0], [3.0]])}
    assert select(state, [2, 0, 2])["w"].tolist() == [[3], [1], [3]]

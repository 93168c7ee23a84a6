import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
import torch
from polars.testing import assert_frame_equal

from medgraft.config import leads
from medgraft.construct import construct
from medgraft.errors import ConfigError
from medgraft.training import fit as training
from medgraft.training import lightning, module
from medgraft.training.batches import Batches
from medgraft.training.course import Course
from medgraft.training.fit import fit, outputs
from medgraft.training.patients import Patients
from medgraft.training.processes import shares

from . import simulated as sim

SIZES = (12, 40, 25)


def study(encoder=sim.MLP, sizes=SIZES, *, task="binary"):
    """A template, a fresh state and patients, all in float64 so that rounding hides nothing."""
    cohort, plan = sim.cohort(120, task=task), sim.design(sizes, 120)
    columns = (plan[name].to_list() for name in ("train", "validation", "init_seed"))
    patients = Patients(cohort.x, cohort.y, *columns)
    template, state = sim.start(cohort, patients, sim.parts(task, encoder))
    wide = {name: v.double() if v.is_floating_point() else v for name, v in state.items()}
    x, y = patients.x.astype(float), patients.y.astype(float)
    return template.double(), wide, replace(patients, x=x, y=y)


def train(
    template, state, patients, *, trained=None, optimizer=sim.ADAMW, start_counts=False, **changes
):
    everything = {name for name, _ in template.named_parameters()}
    return fit(
        template,
        state,
        patients,
        trained=everything if trained is None else trained,
        config=sim.fit_config(optimizer),
        trainer=sim.trainer(**changes),
        course=Course(start_counts=start_counts),
    )


def same(found, expected, **tolerance):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, **tolerance)


def alone(template, state, r):
    """Replica ``r`` as an ordinary network."""
    template.load_state_dict({name: value[r] for name, value in state.items()})
    return template


def bare_loop(net, optimizer, batches, held):
    """The network's values at the best of the checks after every tenth step."""
    bare, best, values = construct(optimizer, params=net.parameters()), np.inf, {}
    for step, (x, y) in enumerate(zip(*batches, strict=True), start=1):
        bare.zero_grad()
        net.train()(x, y).mean().backward()
        bare.step()
        if step % 10 == 0 and (loss := net.eval()(*held).mean().item()) < best:
            best, values = loss, {name: value.clone() for name, value in net.state_dict().items()}
    return values


@pytest.mark.parametrize("optimizer", [sim.SGD, sim.ADAM, sim.ADAMW])
@pytest.mark.parametrize("encoder", [sim.MLP, sim.RESNET])
@pytest.mark.parametrize("sizes", [(30,), (12, 40)])
def test_training_equals_bare_loop(optimizer, encoder, sizes):
    template, state, patients = study(encoder, sizes)
    found, _ = train(template, state, patients, optimizer=optimizer, max_steps=60)
    shape = {"size": 8, "steps": 60, "chunk": 60}
    given = Batches(patients.x, patients.y, patients.train, patients.seeds, **shape)
    x, y = next(iter(given))
    for r, rows in enumerate(patients.validation):
        held = torch.from_numpy(patients.x[rows]), torch.from_numpy(patients.y[rows])
        net = alone(template, state, r)
        expected = bare_loop(net, optimizer, (x[:, r], y[:, r]), held)
        counts = [name for name in expected if "num_batches" in name]  # nothing reads them
        for name in set(expected) - set(counts):
            torch.testing.assert_close(found[name][r], expected[name], rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("encoder", [sim.MLP, sim.RESNET])
def test_groups_equal_all_together(encoder):
    given = study(encoder)
    together, history = train(*given)
    for at_once in (1, 2):
        apart, rows = train(*given, replicas_at_once=at_once)
        same(apart, together, rtol=1e-7, atol=1e-9)
        assert rows.select("replica", "step").equals(history.select("replica", "step"))
        np.testing.assert_allclose(rows["validation_loss"], history["validation_loss"], rtol=1e-6)


def test_dropout_hides_the_same_in_every_process():
    """Torch's generator begins elsewhere in every process, and what is trained is the same."""
    given = study(sim.RESNET | {"dropout": 0.3})
    torch.seed()
    one, checks = train(*given)
    torch.seed()
    other, again = train(*given)
    same(one, other, rtol=0, atol=0)
    assert_frame_equal(checks, again)


def contrary(patients, which):
    """Patients whose validation outcomes contradict what replica ``which`` learns."""
    y = patients.y.copy()
    y[patients.validation[which]] = 1 - y[patients.validation[which]]
    return replace(patients, y=y)


def test_best_values_are_kept():
    template, state, patients = study(sizes=(30,))
    patients = contrary(patients, 0)
    kept, history = train(template, state, patients, optimizer=sim.SGD, patience=3)
    # Every step makes the contrary patients worse: the first check is the best.
    assert history["validation_loss"].is_sorted()
    assert history["step"].to_list() == [10, 20, 30, 40]
    first, _ = train(template, state, patients, optimizer=sim.SGD, max_steps=10)
    same(kept, first, rtol=0, atol=0)


def test_trained_start_may_win():
    template, state, patients = study(sizes=(30, 30))
    start, _ = train(template, state, patients, optimizer=sim.SGD, max_steps=200)
    good = replace(patients, train=[[0], [1]])
    kept, history = train(template, start, good, optimizer=sim.SGD, start_counts=True)
    for r, rows in enumerate(good.validation):
        x, y = torch.from_numpy(good.x[rows]), torch.from_numpy(good.y[rows])
        before, after = (alone(template, s, r)(x, y).mean().item() for s in (start, kept))
        best = history.filter(pl.col("replica") == r)["validation_loss"].min()
        assert after == pytest.approx(min(before, best), rel=1e-6)
        assert before < best, "one training patient must not improve a trained model here"


def test_kept_values_have_smallest_loss():
    template, state, patients = study()
    kept, history = train(template, state, patients, optimizer=sim.SGD, max_steps=300)
    best = history.group_by("replica", maintain_order=True).agg(pl.min("validation_loss"))
    for r, rows in enumerate(patients.validation):
        x, y = torch.from_numpy(patients.x[rows]), torch.from_numpy(patients.y[rows])
        loss = alone(template, kept, r)(x, y).mean().item()
        assert loss == pytest.approx(best["validation_loss"][r], rel=1e-6)


def test_early_stop_leaves_others():
    template, state, patients = study(sizes=(30, 40))
    x = np.concatenate([patients.x, patients.x[patients.validation[0]]])
    y = np.concatenate([patients.y, 1 - patients.y[patients.validation[0]]])
    # Only the first replica is asked for the contrary patients.
    asked = [list(range(len(patients.y), len(y))), patients.validation[1]]
    patients = replace(patients, x=x, y=y, validation=asked)
    together, history = train(template, state, patients, optimizer=sim.SGD, patience=2)
    stopped = history.filter(pl.col("replica") == 0)["validation_loss"]
    running = history.filter(pl.col("replica") == 1)["validation_loss"]
    assert stopped.arg_min() == 0
    assert running.arg_min() > 2
    for r in range(2):
        one = {name: value[r : r + 1] for name, value in state.items()}
        lonely, _ = train(
            template, one, patients.some(slice(r, r + 1)), optimizer=sim.SGD, patience=2
        )
        same({k: v[r : r + 1] for k, v in together.items()}, lonely, rtol=1e-7, atol=1e-9)


def checked(losses, *, patience):
    """The module after checks with these losses ``[checks, R]``; step k sets every value to k."""
    template, state, patients = study(sizes=(12,) * len(losses[0]))
    made = module.ReplicaModule(
        module.Replicas(template, state, ["head.linear.bias"]),
        optimizer=sim.SGD,
        patients=patients,
        check_every=1,
        patience=patience,
    )
    strategy = SimpleNamespace(reduce=lambda value, **_: value)
    made._trainer = SimpleNamespace(strategy=strategy, should_stop=False)
    for k, loss in enumerate(losses):
        made.replicas.value("head.linear.bias").fill_(k)
        made.validation_loss = lambda loss=loss: torch.tensor(loss)
        made.train_losses.append(torch.zeros(len(loss)))
        made.check()
    return made.best["head.linear.bias"][:, 0].tolist(), made.trainer.should_stop


def test_stopped_replica_stays_stopped():
    losses = [[1.0, 1.0], [2.0, 0.9], [0.5, 0.8]]
    assert checked(losses, patience=1) == ([0, 2], False)
    assert checked([*losses, [0.4, 0.9]], patience=1) == ([0, 2], True)


def test_improvement_renews_patience():
    losses = [[5.0], [6.0], [4.0], [6.0], [3.0]]
    assert checked(losses, patience=2) == ([4], False)


def test_nan_is_never_best():
    best, _ = checked([[2.0], [torch.nan], [1.0]], patience=5)
    assert best == [2]


@pytest.mark.parametrize("encoder", [sim.MLP, sim.RESNET])
@pytest.mark.parametrize("at_once", [1, 3])
def test_frozen_parameters_never_move(encoder, at_once):
    template, state, patients = study(encoder)
    trained = {"head.linear.weight", "encoder.layers.1." + ("0.bias" if encoder is sim.MLP else "")}
    trained &= set(state)
    found, _ = train(template, state, patients, trained=trained, replicas_at_once=at_once)
    for name, _ in template.named_parameters():
        assert torch.equal(found[name], state[name]) == (name not in trained), name


def test_history_has_mean_losses():
    template, state, patients = study()
    still = {"_target_": "torch.optim.SGD", "lr": 1e-30}
    _, history = train(template, state, patients, optimizer=still, max_steps=25)
    assert history["replica"].to_list() == [0] * 3 + [1] * 3 + [2] * 3
    assert history["step"].to_list() == [10, 20, 25] * 3
    x, y = Batches(
        patients.x, patients.y, patients.train, patients.seeds, size=8, steps=25, chunk=25
    ).take(0, 25)
    for r, rows in enumerate(patients.validation):
        net = alone(template, state, r)
        mine = history.filter(pl.col("replica") == r)
        losses = net(x[:, r], y[:, r]).mean(1).detach()
        expected = [losses[a:b].mean().item() for a, b in [(0, 10), (10, 20), (20, 25)]]
        np.testing.assert_allclose(mine["train_loss"], expected, rtol=1e-6)
        held = torch.from_numpy(patients.x[rows]), torch.from_numpy(patients.y[rows])
        np.testing.assert_allclose(mine["validation_loss"], net(*held).mean().item(), rtol=1e-6)


def test_runs_are_bit_identical():
    given = study()
    first, history = train(*given)
    torch.manual_seed(99)  # nothing may depend on the global generator
    second, again = train(*given)
    same(first, second, rtol=0, atol=0)
    assert history.equals(again)


def test_bfloat16_stays_near_float32():
    cohort, plan = sim.cohort(120), sim.design(SIZES, 120)
    columns = (plan[name].to_list() for name in ("train", "validation", "init_seed"))
    patients = Patients(cohort.x, cohort.y, *columns)
    template, state = sim.start(cohort, patients, sim.parts())
    full, mixed = (train(template, state, patients, precision=p) for p in ("32", "bf16-mixed"))
    assert all(value.dtype == state[name].dtype for name, value in mixed[0].items())
    for loss in ("train_loss", "validation_loss"):
        apart = np.abs(full[1][loss] - mixed[1][loss])
        # bfloat16 keeps 8 bits, half a percent of each product: of a loss of 0.7 that is 0.004.
        assert 0 < apart.max() < 0.02


def test_large_cohorts_pass_in_chunks(monkeypatch):
    template, state, patients = study()
    rows = [list(range(r, 50 + 9 * r)) for r in range(3)]
    whole, answers = train(template, state, patients), outputs(template, state, patients.x, rows)
    monkeypatch.setattr(module, "chunk", lambda _: 7)
    monkeypatch.setattr(training, "chunk", lambda _: 7)
    parts, again = train(template, state, patients), outputs(template, state, patients.x, rows)
    same(parts[0], whole[0], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(parts[1]["validation_loss"], whole[1]["validation_loss"], rtol=1e-6)
    for one, two, mine in zip(answers, again, rows, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-6)
        assert one.shape == (len(mine), 1)


def test_answers_equal_each_alone():
    template, state, patients = study(sim.RESNET, task="multiclass")
    rows = [[5], [9, 3, 3, 70], [1, 2]]
    found = outputs(template, state, patients.x, rows)
    for r, mine in enumerate(rows):
        net = alone(template, state, r).eval()
        expected = net(torch.from_numpy(patients.x[mine])).detach()
        np.testing.assert_allclose(found[r], expected, rtol=1e-5, atol=1e-6)


def test_unequal_shares_are_refused(monkeypatch):
    runner = SimpleNamespace(world_size=3, global_rank=0, strategy=None)
    monkeypatch.setattr(lightning, "lightning_trainer", lambda *_, **__: runner)
    with pytest.raises(ConfigError) as caught:
        train(*study())
    expected = "batch_size 8: expected a multiple of 3, the processes that share a batch"
    assert str(caught.value) == expected


@pytest.mark.parametrize("sizes", [SIZES, (40,)], ids=["stacked", "single"])
def test_batches_in_parts_train_alike(sizes):
    """Gradients of four parts of two patients add up to those of eight: nothing but rounding."""
    whole, parts = (train(*study(sizes=sizes), accumulate=k, patience=2) for k in (1, 4))
    same(parts[0], whole[0], rtol=1e-9, atol=1e-11)
    assert_frame_equal(parts[1], whole[1], rel_tol=1e-6)


@pytest.mark.parametrize(
    ("accumulate", "world", "said"),
    [
        (3, 1, "batch_size 8: expected a multiple of trainer.accumulate 3"),
        (4, 2, "trainer.accumulate 4: expected 1 where 2 processes share every batch"),
    ],
)
def test_unequal_parts_are_refused(monkeypatch, accumulate, world, said):
    runner = SimpleNamespace(world_size=world, global_rank=0, strategy=None)
    monkeypatch.setattr(lightning, "lightning_trainer", lambda *_, **__: runner)
    with pytest.raises(ConfigError) as caught:
        train(*study(), accumulate=accumulate)
    assert str(caught.value) == said


def test_parts_of_two_cohorts_are_refused():
    template, state, patients = study()
    said = "trainer.accumulate 4: expected 1 for strategies that show both cohorts at once"
    with pytest.raises(ConfigError, match=said):
        train(template, state, replace(patients, beside=patients), accumulate=4)


@pytest.mark.slow
def test_compiled_training_is_alike():
    """torch.compile orders sums in another way."""
    pytest.importorskip("torch._inductor")
    if not shutil.which("g++"):
        pytest.skip("torch.compile needs a C++ compiler")
    plain, compiled = (train(*study(), compile=one, max_steps=30) for one in (False, True))
    same(compiled[0], plain[0], rtol=1e-6, atol=1e-8)


def test_absent_compiler_is_one_line(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ConfigError, match=r"trainer.compile: expected a C\+\+ compiler \(g\+\+\)"):
        train(*study(), compile=True)


@pytest.mark.parametrize(
    ("count", "world", "at_once", "expected"),
    [
        (5, 2, 128, [[(0, 3), (3, 5)]]),
        (5, 2, 2, [[(0, 2), (2, 3)], [(3, 4), (4, 5)]]),
        (3, 2, 1, [[(0, 1), (1, 2)], [(2, 3), (2, 3)]]),  # the last is trained twice
        (5, 1, 2, [[(0, 2)], [(2, 4)], [(4, 5)]]),
    ],
)
def test_every_replica_has_its_turn(count, world, at_once, expected):
    found = shares(count, world=world, at_once=at_once)
    assert [[(one.start, one.stop) for one in turn] for turn in found] == expected


@pytest.mark.parametrize("rank", ["LOCAL_RANK", "NODE_RANK", "RANK", "SLURM_PROCID"])
def test_only_first_process_leads(monkeypatch, rank):
    assert leads()
    monkeypatch.setenv(rank, "0")
    assert leads()
    monkeypatch.setenv(rank, "1")
    assert not leads()

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch

from medgraft.config import Strategy
from medgraft.errors import ConfigError
from medgraft.networks.model import build
from medgraft.preparation.arrays import read_json
from medgraft.training import weights
from medgraft.training.finetune import Study, finetune
from medgraft.transfer.recalibrate import intercept_and_slope

from . import simulated as sim

TRANSFER = "medgraft.transfer."


def strategy(init, trainable, recalibrate=None, **trainable_arguments):
    how = {"_target_": f"{TRANSFER}trainable.{trainable}", **trainable_arguments}
    last = {"_target_": f"{TRANSFER}recalibrate.{recalibrate}"} if recalibrate else None
    return Strategy(
        description=f"{init}, then {trainable}",
        uses_source=init != "random",
        init={"_target_": f"{TRANSFER}init.{init}"},
        trainable=how,
        readout=sim.LAST,
        recalibrate=last,
    )


STRATEGIES = {
    "scratch": strategy("random", "everything"),
    "source_only": strategy("source", "nothing"),
    "level": strategy("source", "nothing", "intercept"),
    "level_and_spread": strategy("source", "nothing", "intercept_and_slope"),
    "linear_probe": strategy("source_shared", "specific_layers"),
    "fine_tune": strategy("source", "everything"),
    "tuned_and_corrected": strategy("source", "everything", "intercept_and_slope"),
    "logistic": Strategy(
        description="logistic",
        uses_source=False,
        baseline={"_target_": f"{TRANSFER}baselines.linear.logistic_regression"},
    ),
    "trees": Strategy(
        description="trees",
        uses_source=False,
        baseline={"_target_": f"{TRANSFER}baselines.trees.gradient_boosting", "trees": 5},
    ),
}
PLAN = sim.design((12, 40, 25), 120)
EVERY = pytest.mark.parametrize("name", list(STRATEGIES))
NETWORKS = pytest.mark.parametrize("name", [n for n, s in STRATEGIES.items() if s.init])


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory):
    return sim.two_sources(tmp_path_factory.mktemp("pretrained"))


@pytest.fixture
def study(pretrained):
    return Study(
        target=sim.cohort(120),
        design=PLAN,
        parts=sim.parts(),
        pretrained=pretrained,
        config=sim.fit_config(),
        trainer=sim.trainer(max_steps=40),
    )


@pytest.fixture
def carry_out(tmp_path):
    """Run a strategy; returns weights, predictions and the folder."""

    def run(name, study, folder="out"):
        return finetuned(STRATEGIES[name], study, tmp_path / folder, name=name)

    return run


def finetuned(strategy, study, out, *, name="any"):
    finetune(name, strategy, study, out=out)
    return weights.read(out)[0], pl.read_parquet(out / "predictions.parquet"), out


@EVERY
def test_validation_then_test_rows(name, study, carry_out):
    final = PLAN.with_columns(
        pl.when(pl.col("replica") == 1).then([]).otherwise(pl.col("test")).alias("test")
    )
    _, found, _ = carry_out(name, replace(study, design=final))
    expected = [
        (r, row, part)
        for r in range(3)
        for part in ("validation", "test")
        for row in final[part][r]
    ]
    assert found.select("replica", "row", "part").rows() == expected
    assert found.columns == ["replica", "row", "part", "output_0"]
    assert found["output_0"].is_finite().all()


@NETWORKS
def test_saved_network_gives_predictions(name, study, carry_out):
    state, found, out = carry_out(name, study)
    description = read_json(out / "network.json")
    net = build(description["network"], description["schema"], seed=0).eval()
    for r in range(3):
        net.load_state_dict({key: value[r] for key, value in state.items()})
        mine = found.filter(pl.col("replica") == r)
        x = torch.from_numpy(study.target.x[mine["row"].to_numpy()])
        expected = net(x)[:, 0].detach()
        np.testing.assert_allclose(mine["output_0"], expected, rtol=1e-4, atol=1e-5)


def test_saved_baseline_gives_predictions(study, carry_out):
    state, found, _ = carry_out("logistic", study)
    for r in range(3):
        mine = found.filter(pl.col("replica") == r)
        x = study.target.x[mine["row"].to_numpy()]
        z = (x - state["input.mean"][r].numpy()) / state["input.scale"][r].numpy()
        coefficients, start = (
            state[f"baseline.{k}"][r].numpy() for k in ("coefficients", "intercepts")
        )
        expected = z.astype(float) @ coefficients[0] + start
        np.testing.assert_allclose(mine["output_0"], expected, rtol=1e-4, atol=1e-5)


def disturbed(study, replica, parts, *, measurements=False):
    """The study with other outcomes (and measurements) for these parts of one replica."""
    rows = [row for part in parts for row in study.design[part][replica]]
    x, y = study.target.x.copy(), study.target.y.copy()
    # All but one: to flip everyone would leave the prevalence of a balanced part as it was.
    y[rows[1:]] = 1 - y[rows[1:]]
    if measurements:
        x[rows] *= -3
    return replace(study, target=replace(study.target, x=x, y=y))


def equal(found, expected, replica):
    """Weights and predictions of this replica are the same bits."""
    (state, answers, *_), (other, others, *_) = found, expected
    weights_equal = all(
        torch.equal(state[key][replica].nan_to_num(7.5), value[replica].nan_to_num(7.5))
        for key, value in other.items()
        if key != "baseline.nodes"  # padded to the largest tree of all replicas
    )
    mine = pl.col("replica") == replica
    return weights_equal and answers.filter(mine).equals(others.filter(mine))


@EVERY
def test_held_out_outcomes_leave_no_trace(name, study, carry_out):
    given = STRATEGIES[name]
    trains = bool(given.trainable) and not given.trainable["_target_"].endswith("nothing")
    # A trained replica may look at its validation patients, to know when to stop.
    held = ["test"] if trains else ["validation", "test"]
    before = carry_out(name, study, "before")
    assert equal(carry_out(name, disturbed(study, 1, held), "after"), before, 1)
    seen = equal(carry_out(name, disturbed(study, 1, ["train"]), "other"), before, 1)
    assert seen == (name == "source_only")


@EVERY
def test_held_out_measurements_leave_no_trace(name, study, carry_out):
    before = carry_out(name, study, "before")
    changed = disturbed(study, 1, ["test"], measurements=True)
    after = carry_out(name, changed, "after")
    kept = before[1].filter(pl.col("part") == "validation")
    assert equal((after[0], after[1].filter(pl.col("part") == "validation")), (before[0], kept), 1)


@pytest.mark.parametrize("name", ["scratch", "logistic", "trees"])
def test_preparation_is_own_training(name, study, carry_out):
    state, _, _ = carry_out(name, study)
    for r in range(3):
        x = study.target.x[study.design["train"][r].to_list()].astype(float)
        np.testing.assert_allclose(state["input.mean"][r], np.nanmean(x, 0), rtol=1e-6)
        np.testing.assert_allclose(state["input.scale"][r], np.nanstd(x, 0), rtol=1e-6)


@pytest.mark.parametrize("name", ["source_only", "level", "linear_probe", "fine_tune"])
def test_source_seed_is_honoured(name, study, carry_out, pretrained):
    state, _, _ = carry_out(name, study)
    source, _ = weights.read(pretrained)
    kept = [key for key in source if key.startswith(("input.", "encoder."))]
    if name == "fine_tune":
        kept = ["input.mean", "input.scale"]
    if name in ("source_only", "level"):
        kept += ["head.linear.weight", "head.linear.bias"]
    for key in kept:
        assert torch.equal(state[key], source[key][[0, 1, 0]]), key
    trained = torch.equal(state["head.linear.weight"], source["head.linear.weight"][[0, 1, 0]])
    assert trained == (name in ("source_only", "level"))


@pytest.mark.parametrize(
    ("name", "part"), [("level_and_spread", "train"), ("tuned_and_corrected", "validation")]
)
def test_correction_is_fitted_there(name, part, study, carry_out):
    """On training patients, or on validation patients where the training ones were fitted."""
    state, _, out = carry_out(name, study)
    description = read_json(out / "network.json")
    net = build(description["network"], description["schema"], seed=0).eval()
    for r in range(3):
        own = {key: value[r] for key, value in state.items() if "recalibration" not in key}
        net.load_state_dict(own, strict=False)
        rows = study.design[part][r].to_list()
        raw = net(torch.from_numpy(study.target.x[rows])).detach().double().numpy()
        level, spread = intercept_and_slope(raw, study.target.y[rows], "binary")
        np.testing.assert_allclose(state["recalibration.intercept"][r], level, atol=1e-3)
        np.testing.assert_allclose(state["recalibration.slope"][r], spread, atol=1e-3)


@EVERY
def test_summary_counts_fitted_numbers(name, study, carry_out):
    _, _, out = carry_out(name, study)
    shared = (5 * 16 + 16) + (16 * 16 + 16)
    counts = {"source_only": 0, "level": 1, "level_and_spread": 2, "linear_probe": 17}
    counts |= {"scratch": shared + 17, "fine_tune": shared + 17, "logistic": 6}
    counts |= {"tuned_and_corrected": shared + 17 + 2}
    found = read_json(out / "summary.json")
    if name == "trees":
        # Median over replicas: a tree has at least a root, of seven numbers.
        assert found.pop("fitted_parameters") >= 5 * 7 + 1
    else:
        assert found.pop("fitted_parameters") == counts[name]
    given = STRATEGIES[name]
    expected = {"strategy": name, "description": given.description}
    assert found == expected | {"uses_source": given.uses_source}


@EVERY
def test_written_bytes_repeat(name, study, carry_out):
    one, two = (carry_out(name, study, folder)[2] for folder in "12")
    for path in one.iterdir():
        assert path.read_bytes() == (two / path.name).read_bytes(), path.name


def other_outcome(study):
    """A target that predicts another outcome than the source did."""
    schema = study.target.schema | {"outcome": sim.schema()["outcome"] | {"name": "death"}}
    return replace(study, target=replace(study.target, schema=schema))


@pytest.mark.parametrize("name", ["source_only", "level"])
def test_other_outcome_is_refused(name, study, carry_out):
    with pytest.raises(ConfigError) as caught:
        carry_out(name, other_outcome(study))
    assert str(caught.value) == (
        f"strategy {name} keeps the source's specific layers, but the source predicts another "
        "outcome; use a strategy that trains them, such as linear_probe or fine_tune"
    )


def test_other_outcome_gets_new_head(study, tmp_path):
    copied, _, _ = finetuned(STRATEGIES["fine_tune"], other_outcome(study), tmp_path / "copied")
    fresh = strategy("source_shared", "everything")
    expected, _, _ = finetuned(fresh, study, tmp_path / "fresh")
    assert all(torch.equal(copied[key], expected[key]) for key in expected)


@pytest.mark.parametrize("task", ["multiclass", "regression"])
@pytest.mark.parametrize("name", ["scratch", "logistic", "trees"])
def test_other_tasks_beat_constant(name, task, study, carry_out):
    """Better than the prevalence, or the mean, on test patients."""
    target = sim.cohort(400, task=task)
    given = replace(
        study,
        target=target,
        design=sim.design((200, 200), 400, held=100),
        parts=sim.parts(task),
        trainer=sim.trainer(max_steps=300, check_every=50),
    )
    _, found, _ = carry_out(name, given)
    test = found.filter(pl.col("part") == "test")
    outputs = test.select(pl.col("^output_.*$")).to_numpy()
    y = target.y[test["row"].to_numpy()]
    if task == "regression":
        assert np.mean((outputs[:, 0] - y) ** 2) < 0.85 * y.var()
    else:
        assert outputs.shape[1] == 3
        commonest = np.bincount(y.astype(int)).max() / len(y)
        assert np.mean(outputs.argmax(1) == y) > commonest + 0.15


def aligned(learn_from):
    return strategy("source", "everything").model_copy(
        update={
            "learn_from": learn_from,
            "alignment": {"_target_": f"{TRANSFER}alignment.Coral"},
        }
    )


def beside_source(study):
    plan = sim.design((80, 80), 150)
    return replace(study, source_cohort=sim.cohort(150, seed=1), source_design=plan)


@pytest.mark.parametrize(("learn_from", "sees"), [("source", False), ("both", True)])
def test_unlabelled_target_outcomes_are_unused(learn_from, sees, study, tmp_path):
    """Without the target's outcomes: no target outcome, of whomever, changes anything."""
    given = beside_source(study)
    before = finetuned(aligned(learn_from), given, tmp_path / "before")
    changed = disturbed(given, 1, ["train", "validation", "test"])
    after = finetuned(aligned(learn_from), changed, tmp_path / "after")
    assert equal(after, before, 1) != sees
    moved = disturbed(given, 1, ["train"], measurements=True)
    assert not equal(finetuned(aligned(learn_from), moved, tmp_path / "moved"), before, 1)


def test_source_shows_training_patients_only(study, tmp_path):
    """Of the source only its training patients are shown; nobody else changes a weight."""
    given = beside_source(study)
    unused = [
        row
        for row in range(150)
        if not any(row in rows for rows in given.source_design["train"].to_list())
    ]
    x = given.source_cohort.x.copy()
    x[unused] *= -3
    other = replace(given, source_cohort=replace(given.source_cohort, x=x))
    both = [
        finetuned(aligned("both"), each, tmp_path / str(i)) for i, each in enumerate((given, other))
    ]
    assert all(equal(both[0], both[1], r) for r in range(3))


def test_source_is_seen_as_the_target_is(study):
    """What only the source measured is hidden from a strategy that compares the two."""
    given = beside_source(study)
    given = replace(given, source_cohort=sim.cohort(150, seed=1, lost=2))
    shown = given.shown("any", aligned("both")).beside
    x, _ = shown.question(shown.x[:9], shown.y[:9], np.random.default_rng(0))
    assert np.isnan(x[:, 3:]).all()
    assert np.array_equal(x[:, :3], shown.x[:9, :3])
    assert [len(rows) for rows in shown.train] == [80, 80, 80]


def test_other_outcome_cannot_be_learned(study):
    given = beside_source(study)
    given = replace(given, source_cohort=sim.cohort(150, seed=1, task="regression"))
    with pytest.raises(ConfigError) as caught:
        given.shown("coral", aligned("both"))
    assert str(caught.value) == (
        "strategy coral learns from the source's outcomes, but the source has another outcome "
        "(disease, regression) than the target (disease, binary); leave it out"
    )
    assert given.shown("coral", aligned("target")).beside is not None

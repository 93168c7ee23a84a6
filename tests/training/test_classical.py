"""Classical learners on the patients of both cohorts."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from medgraft.config import Strategy
from medgraft.errors import ConfigError
from medgraft.training import weights
from medgraft.training.classical import source_weights
from medgraft.training.finetune import Study, finetune

from . import simulated as sim

BASELINES = "medgraft.transfer.baselines."
RIDGE = {"_target_": f"{BASELINES}linear.logistic_regression"}
SOURCE, PLAN = sim.cohort(150, seed=1), sim.design((80, 80), 150)
TARGET, DESIGN = sim.cohort(120), sim.design((12, 40, 25), 120)


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory):
    """A source network: not used, but what was learned from the source is looked up there."""
    out = tmp_path_factory.mktemp("pretrained")
    state = {"input.mean": torch.full((2, 5), torch.nan), "input.scale": torch.ones(2, 5)}
    weights.write(out, state, {"schema": sim.schema()})
    return out


@pytest.fixture
def study(pretrained):
    return Study(
        target=TARGET,
        design=DESIGN,
        parts=sim.parts(),
        pretrained=pretrained,
        config=sim.fit_config(),
        trainer=sim.trainer(),
        source_cohort=SOURCE,
        source_design=PLAN,
    )


def strategy(learn_from, baseline=RIDGE):
    return Strategy(
        description="pooled", uses_source=True, learn_from=learn_from, baseline=baseline
    )


def answers(study, out, learn_from="both", **given):
    finetune("pooled", strategy(learn_from, **given), study, out=out)
    return pl.read_parquet(out / "predictions.parquet")


def standardised(x, by):
    by = by.astype(float)
    return (x - by.mean(0)) / by.std(0)


def test_it_is_one_regression_on_both(study, tmp_path):
    """As scikit-learn fits it: each cohort by its own means and scales, the source weighed."""
    found = answers(study, tmp_path)
    ours = [row for part in ("train", "validation") for row in PLAN[part][0]]
    for r in (0, 2):  # of the first source network
        mine, asked = DESIGN["train"][r].to_list(), found.filter(replica=r)
        x = np.r_[standardised(SOURCE.x[ours], SOURCE.x[ours]), own(mine, mine)]
        x = np.c_[x, np.repeat([1.0, 0.0], [len(ours), len(mine)])]
        y = np.r_[SOURCE.y[ours], TARGET.y[mine]]
        counts = np.repeat([len(mine) / len(ours), 1.0], [len(ours), len(mine)])
        theirs = LogisticRegression(max_iter=2000).fit(x, y, sample_weight=counts)
        rows = np.c_[own(asked["row"], mine), np.zeros(len(asked))]
        np.testing.assert_allclose(asked["output_0"], theirs.decision_function(rows), atol=2e-3)


def own(rows, train):
    return standardised(TARGET.x[list(rows)], TARGET.x[train])


def test_source_alone_asks_no_target_outcome(study, tmp_path):
    before = answers(study, tmp_path / "a", "source")
    turned = replace(study, target=replace(TARGET, y=1 - TARGET.y))
    assert before.equals(answers(turned, tmp_path / "b", "source"))
    assert not before.equals(answers(turned, tmp_path / "c", "both"))


def test_cohort_in_other_units_changes_nothing(study, tmp_path):
    """Another platform: every measurement of the source scaled and shifted."""
    other = replace(SOURCE, x=(1000 * SOURCE.x - 7).astype(np.float32))
    before = answers(study, tmp_path / "a")
    after = answers(replace(study, source_cohort=other), tmp_path / "b")
    np.testing.assert_allclose(after["output_0"], before["output_0"], atol=1e-3)


def test_patients_not_learned_from_leave_no_trace(study, tmp_path):
    """Validation and test patients of the target, outcomes and measurements."""
    one = replace(study, design=DESIGN[:1])
    x, y = TARGET.x.copy(), TARGET.y.copy()
    held = DESIGN["test"][0].to_list()
    kept = DESIGN["validation"][0].to_list()
    x[held] *= -3
    y[held], y[kept] = 1 - y[held], 1 - y[kept]
    before = answers(one, tmp_path / "a").filter(part="validation")
    after = answers(replace(one, target=replace(TARGET, x=x, y=y)), tmp_path / "b")
    assert before.equals(after.filter(part="validation"))


def test_what_one_cohort_measures_is_left_out(study, tmp_path):
    """The last two measurements are the source's alone, or the target's alone."""
    for i, (name, cohort) in enumerate([("source_cohort", SOURCE), ("target", TARGET)]):
        both = {c: replace(v, schema=unshared(name)) for c, v in cohorts(study).items()}
        before = answers(replace(study, **both), tmp_path / f"a{i}")
        x = cohort.x.copy()
        x[:, 3:] = np.random.default_rng(0).normal(size=(len(x), 2))
        both[name] = replace(both[name], x=x)
        after = answers(replace(study, **both), tmp_path / f"b{i}")
        assert before.equals(after)
        alone = answers(replace(study, **both), tmp_path / f"c{i}", "target")
        assert not alone.equals(after)


def cohorts(study):
    return {"source_cohort": study.source_cohort, "target": study.target}


def unshared(name):
    schema = sim.schema(lost=2)
    for feature in schema["features"][3:]:
        feature["origin"] = "source_only" if name == "source_cohort" else "target_only"
    return schema


def test_larger_source_does_not_outvote_the_target():
    assert source_weights(400, 40).tolist() == [0.1] * 400 + [1.0] * 40
    assert set(source_weights(10, 40)) == {1.0}


def test_other_outcome_is_refused(study, tmp_path):
    given = replace(study, source_cohort=sim.cohort(150, seed=1, task="regression"))
    with pytest.raises(ConfigError) as caught:
        answers(given, tmp_path)
    assert str(caught.value) == (
        "strategy pooled learns from the source's outcomes, but the source has another outcome "
        "(disease, regression) than the target (disease, binary); leave it out"
    )


def test_learner_without_weights_is_refused(study, tmp_path):
    survivors = {
        "target": sim.cohort(120, task="survival"),
        "source_cohort": sim.cohort(150, seed=1, task="survival"),
    }
    cox = {"_target_": f"{BASELINES}cox.cox"}
    with pytest.raises(ConfigError) as caught:
        answers(replace(study, **survivors), tmp_path, baseline=cox)
    assert str(caught.value) == (
        "the learner Cox cannot weigh the source's patients against the target's: "
        "expected learn_from: target"
    )

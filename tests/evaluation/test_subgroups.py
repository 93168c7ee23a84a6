import dataclasses

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from medgraft.evaluation.metrics.proper import Brier
from medgraft.evaluation.metrics.ranking import Auroc
from medgraft.evaluation.subgroups import by_subgroup

from .planted import binary, make_study, result

SEX = np.where(np.arange(60) % 2 == 0, "female", "male").astype(object)


def scores(study, groups, metric, **more):
    asked = {"strategies": ["scratch"], "draws": 400, "seed": 0, **more}
    found = by_subgroup(study, groups, {metric.name: metric}, **asked)
    return {score.group: score for score in found}


def one_run(logit):
    """One run of one fold, as a model tested on everyone."""
    study = make_study({"scratch": 1.0})
    tested = result(binary(logit)[None], fold=np.zeros((1, 60), dtype=int))
    return dataclasses.replace(study, strategies={"scratch": tested})


def test_group_value_is_that_of_the_group_alone():
    logit = np.random.default_rng(0).normal(size=60) + np.repeat([0, 1.5], 30)
    study = one_run(logit)
    found = scores(study, {"sex": SEX}, Auroc())
    for label, score in found.items():
        rows = label == SEX
        assert score.value == pytest.approx(roc_auc_score(study.outcome[rows], logit[rows]))
        assert (score.rows, score.patients) == (30, 30)
        assert score.low <= score.value <= score.high


def test_unfair_model_is_found():
    """It knows men's outcome and guesses women's."""
    luck = np.random.default_rng(1).normal(size=60)
    truth = np.repeat([-1.0, 1.0], 30) * 3
    found = scores(one_run(np.where(SEX == "male", truth, 0) + luck), {"sex": SEX}, Brier())
    assert found["female"].difference == pytest.approx(-found["male"].difference)
    assert found["female"].low_difference > 0
    assert found["female"].p_holm == found["male"].p_holm == found["male"].p < 0.01


def test_equal_groups_are_rarely_told_apart():
    """At most 5 % of studies, and so in 200 of them at most 19 with probability 0.997."""
    generator = np.random.default_rng(2)
    alarms = 0
    for _ in range(200):
        study = one_run(generator.normal(size=60) + np.repeat([-0.5, 0.5], 30))
        labels = generator.permutation(SEX)
        found = scores(study, {"sex": labels}, Brier(), draws=200)
        alarms += found["male"].p_holm < 0.05
    assert alarms <= 19


def test_group_of_one_class_is_undefined():
    """Not 0.5: four patients who are all well have no AUROC, and every draw says so."""
    labels = np.where(np.arange(60) < 4, "rare", "common").astype(object)
    found = scores(make_study({"scratch": 1.0}), {"kind": labels}, Auroc())
    rare = found["rare"]
    assert (rare.rows, rare.undefined) == (4, 400)
    assert np.isnan([rare.value, rare.low, rare.difference, rare.p, rare.p_holm]).all()
    assert found["common"].value > 0.5


def test_unknown_label_is_no_group():
    labels = SEX.copy()
    labels[:10] = ""
    found = scores(make_study({"scratch": 1.0}), {"sex": labels}, Brier())
    assert {label: score.rows for label, score in found.items()} == {"female": 25, "male": 25}


def test_no_subgroups_no_scores():
    assert not scores(make_study({"scratch": 1.0}), {}, Brier())

from dataclasses import replace

import numpy as np
import pytest

from medgraft.errors import ConfigError, StageError
from medgraft.evaluation.champion import (
    choose_champion,
    overrule,
    row_losses,
    validation_losses,
)
from medgraft.evaluation.intervals import estimate

from .planted import make_study


def choose(study):
    return choose_champion(study, draws=500, seed=3)


def test_source_ships_when_it_beats_baseline():
    champion = choose(make_study({"scratch": 0.3, "tuned": 1.5}))
    assert (champion.strategy, champion.uses_source) == ("tuned", True)
    assert "tuned, which uses the source cohort, beats scratch, the best that" in champion.reason


def test_baseline_ships_when_source_does_not_beat_it():
    champion = choose(make_study({"scratch": 0.8, "tuned": 0.8}))
    assert (champion.strategy, champion.uses_source) == ("scratch", False)
    assert "does not beat scratch" in champion.reason


def test_source_that_just_leaves_chance_behind_does_not_ship():
    """p = 0.022: a 95 % interval leaves 0 out, the guard's 98 % does not; at p = 0.018 it ships."""
    for strength, p, ships in ((0.88, 0.022, "scratch"), (0.89, 0.018, "tuned")):
        study = make_study({"scratch": 0.8, "tuned": strength})
        losses = validation_losses(study, draws=500, seed=3)
        assert estimate(losses["tuned"] - losses["scratch"]).p == pytest.approx(p, abs=5e-4)
        assert choose(study).strategy == ships
    assert "(98 % CI -0.1" in choose(study).reason


def test_loss_is_believed_as_little_as_those_who_validate_a_network():
    """60 patients, 30 of them ill; 15 validate a network, so that the rarer class has 8 of them."""
    study = make_study({"scratch": 0.8, "tuned": 0.9})
    assert study.sample.fewest == 30
    loss = validation_losses(study, draws=500, seed=3)["tuned"]
    assert loss.fewest == 8


def test_simplest_of_equals_is_taken():
    strengths = {"scratch": 0.3, "large": 1.6, "small": 1.5, "tiny": 0.5}
    parameters = {"large": 500, "small": 50, "tiny": 5}
    champion = choose(make_study(strengths, parameters=parameters))
    best = {c.strategy: c.best for c in champion.candidates}
    assert champion.strategy == "small"
    assert best == {"scratch": "scratch", "large": "large", "small": "large", "tiny": "large"}
    assert [c.strategy for c in champion.candidates if c.chosen] == ["scratch", "small"]


def test_source_must_beat_best_baseline():
    strengths = {"large": 1.33, "small": 1.2, "tuned": 1.26}
    study = make_study(
        strengths, baselines=("large", "small"), parameters={"large": 900, "small": 9}
    )
    champion = choose(study)
    assert champion.strategy == "small"
    assert "does not beat large, the best that does not use it" in champion.reason
    assert "small is the simplest within one standard error of large" in champion.reason


def test_logistic_baseline_replaces_scratch():
    study = make_study(
        {"scratch": 0.8, "logistic": 0.8, "tuned": 0.8},
        baselines=("scratch", "logistic"),
        parameters={"scratch": 900, "logistic": 9},
    )
    assert choose(study).strategy == "logistic"


def test_only_transfer_strategies_still_choose():
    champion = choose(make_study({"tuned": 0.8}))
    assert champion.reason == (
        "Every strategy uses the source cohort; tuned is the best on validation patients."
    )


def test_only_baselines_still_choose():
    champion = choose(make_study({"scratch": 0.8}))
    assert champion.reason == (
        "No strategy uses the source cohort; scratch is the best on validation patients."
    )


def test_test_predictions_have_no_say():
    study = make_study({"scratch": 0.3, "tuned": 1.5})
    swapped = replace(
        study,
        strategies={
            name: replace(result, test=result.test[..., ::-1])
            for name, result in study.strategies.items()
        },
    )
    assert choose(swapped) == choose(study)


def test_row_losses_average_over_folds():
    study = make_study({"tuned": 1.0})
    result = replace(
        study.strategies["tuned"],
        validation_run=np.array([0, 0, 1]),
        validation_row=np.array([4, 4, 5]),
        validation_fold=np.array([0, 1, 0]),
        validation=np.array([[0.5, 0.5], [0.25, 0.75], [0.1, 0.9]]),
    )
    losses = row_losses(study, result)
    assert losses[0, 4] == pytest.approx((np.log(2) + np.log(4)) / 2)
    assert losses[1, 5] == pytest.approx(np.log(10))
    assert np.isfinite(losses).sum() == 2


def test_regression_loss_is_squared_error():
    study = replace(make_study({"tuned": 1.0}), task="regression")
    result = replace(study.strategies["tuned"], validation=np.full((360, 1), 0.5))
    np.testing.assert_allclose(row_losses(study, result), 0.25)


def test_no_validation_predictions_is_refused():
    study = make_study({"tuned": 1.0})
    names = ("validation_run", "validation_row", "validation_fold")
    none = {k: np.empty(0, dtype=np.int64) for k in names}
    bare = replace(study.strategies["tuned"], validation=np.empty((0, 2)), **none)
    with pytest.raises(StageError, match="no strategy has validation predictions"):
        choose(replace(study, strategies={"tuned": bare}))


def test_overruled_champion_says_so():
    study = make_study({"scratch": 2.0, "fine_tune": 0.5})
    chosen = choose_champion(study, draws=200, seed=0)
    forced = overrule(chosen, study, strategy="fine_tune", why="The registry closes.")
    assert chosen.strategy == forced.overruled == "scratch"
    assert (forced.strategy, forced.uses_source) == ("fine_tune", True)
    assert forced.reason.startswith(
        "Shipped against the guard, for this reason given: The registry closes. "
        "The guard's choice is scratch. On validation patients"
    )
    assert overrule(chosen, study, strategy="scratch", why="") == chosen
    with pytest.raises(ConfigError, match=r"evaluation\.ship: expected one of scratch, fine_tune"):
        overrule(chosen, study, strategy="l2_sp", why="So.")

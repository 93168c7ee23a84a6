from dataclasses import replace

from medgraft.evaluation.metrics.error import Rmse
from medgraft.evaluation.metrics.ranking import Auroc
from medgraft.evaluation.sentence import conclude, in_short
from medgraft.evaluation.verdict import Comparison

HELPS = Comparison(
    strategy="fine_tune",
    metric="auroc",
    value=0.981,
    difference=0.0214,
    low=0.004,
    high=0.039,
    error=0.008,
    p=0.012,
    p_holm=0.012,
    verdict="helps",
    smallest_effect=0.034,
    higher_is_better=True,
    undefined=0,
)
UNSURE = replace(HELPS, strategy="l2_sp", low=-0.01, p_holm=0.21, verdict="cannot tell")
HARMS = replace(
    HELPS, strategy="frozen", value=0.7, difference=-0.26, low=-0.3, high=-0.22,
    p_holm=0.0001, verdict="harms",
)  # fmt: skip


def say(*comparisons, metric=None, tested=1):
    return conclude(
        comparisons,
        metric or Auroc(),
        reference="scratch",
        tested=tested,
        size="60 patients, 10 training runs",
    )


def test_helping_strategy_is_named_with_numbers():
    assert say(HELPS) == (
        "Transfer learning helps: fine_tune reaches AUROC 0.981, 0.021 more than scratch "
        "(95 % CI 0.004 to 0.039, p = 0.012); 60 patients, 10 training runs."
    )


def test_undecided_study_says_what_it_could_see():
    assert say(UNSURE, tested=3) == (
        "We cannot tell whether transfer learning helps: at its best, l2_sp reaches AUROC "
        "0.981, 0.021 more than scratch (95 % CI -0.010 to 0.039, p = 0.210 after allowing for 3 "
        "comparisons); this study could have seen a difference of 0.034 or more; 60 patients, 10 "
        "training runs."
    )


def test_harm_is_stated_as_less():
    assert say(HARMS) == (
        "Transfer learning harms: even at its best, frozen reaches AUROC 0.700, 0.260 less than "
        "scratch (95 % CI 0.220 to 0.300, p < 0.001); 60 patients, 10 training runs."
    )


def test_help_wins_and_harm_is_mentioned():
    sentence = say(HARMS, UNSURE, HELPS)
    assert sentence.startswith("Transfer learning helps: fine_tune reaches")
    assert sentence.endswith("; frozen does harm; 60 patients, 10 training runs.")


def test_smaller_error_is_better():
    worse = replace(HELPS, strategy="a", higher_is_better=False, value=30.0, difference=-1000.0)
    better = replace(worse, strategy="b", value=20.0, difference=-1234.5, low=-2000.0, high=-400.0)
    assert "b reaches RMSE 20, 1234 less than scratch (95 % CI 400 to 2000" in say(
        worse, better, metric=Rmse()
    )


def test_undefined_metric_is_said_so():
    nan = float("nan")
    lost = replace(UNSURE, difference=nan, low=nan, high=nan, p=nan, p_holm=nan)
    assert "AUROC of l2_sp or of scratch is undefined" in say(lost)
    assert "fine_tune" in say(lost, replace(UNSURE, strategy="fine_tune"))


def test_identical_strategy_promises_no_effect():
    nan = float("nan")
    same = replace(UNSURE, difference=0.0, low=0.0, high=0.0, p_holm=1.0, smallest_effect=nan)
    assert say(same).endswith("(95 % CI 0.000 to 0.000, p = 1.000); 60 patients, 10 training runs.")


def test_no_transfer_strategy_is_said_so():
    assert say() == (
        "No strategy in this study uses the source cohort; 60 patients, 10 training runs."
    )


def test_short_answer_leaves_the_statistics_out():
    """Strategy, metric, by how much, in how many; nothing where no p could be had."""

    def short(*comparisons):
        return in_short(comparisons, Auroc(), reference="scratch", patients=1060)

    assert short(HARMS, HELPS) == (
        "Transfer learning helps: fine_tune reaches AUROC 0.981, 0.021 more than scratch, in 1,060 "
        "patients."
    )
    assert short(HARMS).startswith("Transfer learning harms: even at its best, frozen reaches")
    assert short() == short(replace(HELPS, p=float("nan"))) == ""

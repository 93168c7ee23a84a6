"""Kinds of outcome: what each says of its arrays."""

import numpy as np
import pytest
from scipy.special import log_softmax
from sklearn.metrics import log_loss

from medgraft.config import task_kinds
from medgraft.errors import StageError
from medgraft.tasks import task as tasks
from training.simulated import OUTCOMES, schema

ROWS = 60
KINDS = task_kinds()


def simulated(kind):
    """Outcomes, what schema.json says of them, and raw outputs."""
    stream = np.random.default_rng(0)
    outcome = schema(kind)["outcome"]
    y = np.asarray(OUTCOMES[kind](stream.normal(size=ROWS), stream), float)
    raw = np.sort(stream.normal(size=(ROWS, tasks.of(kind).outputs(outcome))), axis=1)
    return y, outcome, raw


def horizons(outcome):
    return np.asarray(outcome["horizons"], float)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_found_by_name(kind):
    """A new module of `tasks/` is a new kind: nothing else lists it."""
    assert type(tasks.of(kind)).__module__ == f"medgraft.tasks.{kind}"


def test_unknown_kind_is_refused():
    with pytest.raises(StageError, match=r"expected a task among binary, .*, got 'ordinal'"):
        tasks.of("ordinal")


@pytest.mark.parametrize("kind", KINDS)
def test_answers_have_a_column_for_every_number(kind):
    y, outcome, raw = simulated(kind)
    task = tasks.of(kind)
    said = task.probabilities(raw)
    columns = task.columns(said, outcome)
    numbers = [column for column in columns if column.dtype.is_numeric()]
    assert said.shape == (len(y), task.width(outcome)) == (len(y), len(numbers))
    assert [column.len() for column in columns] == [len(y)] * len(columns)


@pytest.mark.parametrize("kind", KINDS)
def test_better_answers_lose_less(kind):
    """A proper loss: of answers, those turned away from the truth cost more."""
    y, outcome, raw = simulated(kind)
    task = tasks.of(kind)
    towards = {
        "binary": lambda: (2 * y - 1)[:, None],
        "multiclass": lambda: 2 * np.eye(raw.shape[1])[y.astype(int)],
        "multilabel": lambda: np.where(y == 1, 1.0, -1.0),
        "regression": lambda: y[:, None],
        "survival": lambda: np.log(horizons(outcome) / np.maximum(y[:, :1], 0.1)),
    }[kind]()
    good, bad = (task.probabilities(sign * towards) for sign in (1, -1))
    if kind == "survival":  # the same curve for everyone instead: a reversed one is no curve
        bad = np.broadcast_to(good.mean(axis=0), good.shape)
    losses = [task.row_losses(y, said, horizons(outcome)) for said in (good, bad)]
    assert losses[0].shape == (len(y),)
    assert losses[0].mean() < losses[1].mean()


def test_log_loss_is_that_of_sklearn():
    y, _, raw = simulated("multiclass")
    task = tasks.of("multiclass")
    said = task.probabilities(raw)
    assert task.row_losses(y, said).mean() == pytest.approx(log_loss(y, said))
    np.testing.assert_allclose(np.log(said), log_softmax(raw, axis=1))


def test_small_probabilities_survive():
    probability = tasks.of("binary").probabilities(np.array([[-100.0], [100.0]]))
    np.testing.assert_allclose(np.log(probability[[0, 1], [1, 0]]), -100.0)


def test_labels_not_recorded_cost_nothing():
    y = np.array([[1.0, np.nan], [0.0, 1.0]])
    said = np.array([[0.5, 0.1], [0.5, 0.25]])
    expected = [np.log(2), (np.log(2) + np.log(4)) / 2]
    np.testing.assert_allclose(tasks.of("multilabel").row_losses(y, said), expected)


@pytest.mark.parametrize("kind", KINDS)
def test_parts_are_numbers_of_the_outcome(kind):
    y, outcome, _ = simulated(kind)
    parts = list(tasks.of(kind).parts("illness", y, outcome["classes"]))
    assert len(parts) == (1 if y.ndim == 1 else y.shape[1])
    for part in parts:
        assert part.y.shape == (part.rows.sum(),)
        assert not np.isnan(part.y).any()
        assert not part.classes or set(np.unique(part.y)) <= set(range(len(part.classes)))


@pytest.mark.parametrize("kind", KINDS)
def test_strata_are_as_many_as_their_names_allow(kind):
    y, outcome, _ = simulated(kind)
    found = tasks.of(kind).strata(y, outcome["classes"])
    if kind == "regression":
        assert found is None
        return
    stratum, names = found
    assert stratum.shape == (len(y),)
    assert stratum.max() < len(names)


@pytest.mark.parametrize("kind", KINDS)
def test_every_raw_output_is_about_something(kind):
    _, outcome, _ = simulated(kind)
    task = tasks.of(kind)
    about = task.about(outcome)
    assert len(about) == len(set(about)) == task.outputs(outcome)


@pytest.mark.parametrize(("unit", "said"), [("days", "death by 30 days"), ("", "death by 30")])
def test_survival_says_what_happens_by_when(unit, said):
    outcome = {"name": "death", "classes": [], "horizons": [30.0], "unit": unit}
    assert tasks.of("survival").about(outcome) == [said]


@pytest.mark.parametrize("kind", KINDS)
def test_truth_surprises_least(kind):
    """Said with certainty, the truth has a surprise of 0, and anything else one above it."""
    y, outcome, raw = simulated(kind)
    task = tasks.of(kind)
    said = task.probabilities(raw)
    if not task.one_answer:
        with pytest.raises(NotImplementedError):
            task.surprise(y, said)
        return
    truth = np.eye(task.width(outcome))[y.astype(int)] if outcome["classes"] else y[:, None]
    np.testing.assert_allclose(task.surprise(y, truth), 0)
    assert (task.surprise(y, said) > 0).all()


@pytest.mark.parametrize("kind", KINDS)
def test_quantities_are_shares_means_or_rates(kind):
    """In a cohort where all is known: cases of rows, the mean, events per time."""
    y, outcome, _ = simulated(kind)
    found = list(tasks.of(kind).quantities(y, outcome["name"], outcome["classes"], "mm"))
    ratios = [one.above.sum() / one.below.sum() for one in found]
    expected = {
        "binary": lambda: [np.mean(y == 1)],
        "multiclass": lambda: [np.mean(y == i) for i in range(len(outcome["classes"]))],
        "multilabel": lambda: np.nanmean(y, axis=0),
        "regression": lambda: [np.mean(y)],
        "survival": lambda: [y[:, 1].sum() / y[:, 0].sum()],
    }[kind]()
    np.testing.assert_allclose(ratios, expected)
    assert all(one.share == (kind not in ("regression", "survival")) for one in found)

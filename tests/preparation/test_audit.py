import json

import numpy as np
import pytest

from medgraft.cohorts.schema import Accounting, Column, Outcome
from medgraft.errors import CohortError, LeakError
from medgraft.preparation import features
from medgraft.preparation.audit import audit
from medgraft.preparation.findings import refuse_leaks
from medgraft.preparation.table import Tables

from .simulated import DISEASE, STAGE, STAY, cohort, spoil, with_column

EXTRA = Column("extra", "number")


def audited(source, target, mode):
    tables = Tables(mode)
    aligned = tables.align([source], [target])
    return audit([source, target], aligned, [*tables.findings(aligned)], tables.drift(aligned))


def findings(source, target, mode="shared"):
    return audited(source, target, mode).findings


def about(extra, outcome=DISEASE, column=EXTRA):
    """Findings when the target's extra feature is `extra(y, noise)` and the source's is noise."""
    source, target = cohort("a", outcome=outcome), cohort("b", outcome=outcome)
    noise = np.random.default_rng(5).normal(size=80)
    ordinary = np.arange(80.0) % 2 if column.kind == "category" else noise
    found = findings(
        with_column(source, column, ordinary),
        with_column(target, column, extra(target.y, noise)),
    )
    return [(f.severity, f.check) for f in found if f.severity != "note"]


LEAK = [("leak", "outcome in a feature")]


def test_outcome_copied_is_leak():
    assert about(lambda y, _: y) == LEAK
    assert about(lambda y, _: y, STAGE) == LEAK
    assert about(lambda y, _: 7 - 3 * y, STAY) == LEAK


def test_outcome_in_category_is_leak():
    column = Column("extra", "category", categories=("benign", "malignant"))
    assert about(lambda y, _: 1 - y, column=column) == LEAK


def test_outcome_by_grades_is_leak():
    assert about(lambda y, noise: np.where(y == 1, 1 + (noise > 0) + (noise > 1), 0)) == LEAK


def test_copied_outcome_with_gaps_is_leak():
    assert about(lambda y, noise: np.where(noise > 1, np.nan, y)) == LEAK


def test_telling_missingness_is_leak():
    assert ("leak", "outcome in missingness") in about(
        lambda y, noise: np.where(y == 1, np.nan, noise)
    )


def test_perfect_marker_is_warning():
    assert about(lambda y, noise: y + 0.1 * noise) == [("warning", "perfect predictor")]
    assert about(lambda y, _: np.exp(y), STAY) == [("warning", "perfect predictor")]


def test_good_marker_is_fine():
    assert about(lambda y, noise: y + noise) == []


def test_few_patients_prove_nothing():
    target = cohort("b", rows=6)
    found = findings(
        with_column(cohort("a"), EXTRA, np.random.default_rng(0).normal(size=80)),
        with_column(target, EXTRA, target.y),
    )
    assert all(finding.severity == "note" for finding in found)


@pytest.mark.parametrize("outcome", [DISEASE, STAGE, STAY], ids=lambda outcome: outcome.task)
def test_clean_cohorts_raise_nothing(outcome):
    # Every alarm has a false alarm probability below 1e-3 by its own bound, most far below.
    for seed in range(50):
        source = cohort("a", rows=150, seed=seed, outcome=outcome)
        target = cohort("b", rows=60, seed=seed, outcome=outcome)
        assert [f for f in findings(source, target) if f.severity != "note"] == []


def test_dull_features_are_told():
    target = cohort("b")
    values = target.values.copy()
    values[:, 0], values[:, 1] = np.nan, 4.0
    messages = {f.message for f in findings(cohort("a"), spoil(target, values=values))}
    assert "missing for every patient of the target: m0" in messages
    assert "the same value for every patient of the target: m1" in messages
    assert any(m.startswith("missing unequally often in source and target: m0 (") for m in messages)


def test_unmeasured_role_is_no_finding():
    found = findings(cohort("a", numbers=7), cohort("b", numbers=6), mode="masked")
    assert all(finding.severity == "note" for finding in found)


def test_absent_class_is_warning():
    target = cohort("b", outcome=STAGE)
    found = findings(cohort("a", outcome=STAGE), spoil(target, y=np.minimum(target.y, 1)))
    [finding] = [f for f in found if f.severity == "warning"]
    assert finding.message == "no patient of the target has stage=three"


def test_reader_notes_are_passed_on():
    noted = Accounting("b", "b.csv", 80, 80, 80, notes=('column m0: "0" counted as missing',))
    messages = [f.message for f in findings(cohort("a"), spoil(cohort("b"), accounting=noted))]
    assert 'b: column m0: "0" counted as missing' in messages


def test_open_accounting_is_refused():
    open_account = Accounting("b", "b.csv", 90, 80, 80, {"no outcome": 9})
    with pytest.raises(CohortError) as caught:
        findings(cohort("a"), spoil(cohort("b"), accounting=open_account))
    assert str(caught.value) == (
        "b.csv: the accounting does not close: 90 rows read, 80 used, 9 excluded, 80 in the cohort"
    )


def test_all_leaks_in_one_message():
    source, target = cohort("a"), cohort("b")
    target = with_column(spoil(target, patient=source.patient), EXTRA, target.y)
    source = with_column(source, EXTRA, np.random.default_rng(0).normal(size=80))
    with pytest.raises(LeakError) as caught:
        refuse_leaks(findings(source, target))
    lines = str(caught.value).splitlines()
    assert lines[0] == "test information would reach training:"
    assert lines[1].startswith("- 80 patient identifiers of the target also in the source")
    assert lines[2] == "- extra alone tells disease in every target row that has it"


def test_json_has_the_documented_keys():
    source, target = cohort("a"), cohort("b")
    content = json.loads(json.dumps(audited(source, target, "shared").as_json()))
    assert set(content) == {"accounting", "findings", "drift", "alignment", "shift"}
    assert set(content["findings"][0]) == {"check", "severity", "where", "count", "message"}
    assert {"feature", "standardised_difference", "ks", "p"} <= set(content["drift"][0])
    assert content["accounting"][0] == {
        "cohort": "a",
        "file": "a.csv",
        "rows_read": 82,
        "rows_used": 80,
        "patients": 80,
        "excluded": {"no outcome": 2},
    }


@pytest.mark.parametrize("seed", range(8))
def test_first_rows_decide_as_all_rows_do(monkeypatch, seed):
    """Rows looked at first never hide a leak and never make one."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, 300).astype(float)
    coarse, fine = rng.integers(0, 40, 300).astype(float), rng.normal(size=300)
    sided = np.where(y == 1, fine.round(1) + 9, fine.round(1))
    late = np.where(np.arange(300) < 290, sided, sided[::-1])
    outcome = Outcome("ill", "binary", ("no", "yes"))
    answers = []
    for first in (300, 20):
        monkeypatch.setattr(features, "FIRST", first)
        answers.append(
            [
                (features._tells_outcome(outcome, x, y, 5), features._separates(outcome, x, y, 5))
                for x in (coarse, fine, sided, late, y)
            ]
        )
    assert answers[0] == answers[1]
    assert answers[0][2] == answers[0][4] == (True, True)
    assert answers[0][0] == (False, False)


@pytest.mark.parametrize("first", [300, 20])
@pytest.mark.parametrize("classes", [("no", "yes"), ("a", "b", "c"), ()])
def test_rows_without_a_value_decide_nothing(monkeypatch, classes, first):
    """Asked about all rows, the answer is that of the rows which have the value."""
    monkeypatch.setattr(features, "FIRST", first)
    rng = np.random.default_rng(len(classes))
    y = rng.integers(0, len(classes) or 9, 300).astype(float)
    outcome = Outcome("ill", "multiclass" if classes else "regression", classes)
    gone = rng.random(300) < 0.3
    answers = []
    for whole in (
        y,
        3 * y - 1,
        np.round(y / 2),
        rng.normal(size=300) + 9 * y,
        rng.normal(size=300),
    ):
        x = np.where(gone, np.nan, whole)
        alone = [
            ask(outcome, x, y, 5) == ask(outcome, x[~gone], y[~gone], 5)
            for ask in (features._tells_outcome, features._separates)
        ]
        assert all(alone)
        answers.append(features._tells_outcome(outcome, x, y, 5))
    assert answers[0]
    assert not answers[-1]


def test_horizon_that_nobody_of_the_source_reached_is_told():
    """The target's would never be judged, and is refused (tests/hostile)."""
    outcome = Outcome("relapse", "survival", unit="days", horizons=(5, 20))
    ends = {"a": 12.0, "b": 30.0}
    source, target = (
        spoil(
            cohort(name),
            outcome=outcome,
            y=np.column_stack([np.linspace(1, end, 80), np.arange(80) % 2]),
        )
        for name, end in ends.items()
    )
    told = [f for f in findings(source, target) if f.check == "horizon beyond follow-up"]
    assert [(f.severity, f.message) for f in told] == [
        (
            "warning",
            "outcomes.relapse.horizons: got 20, expected at most 12 days, "
            "the longest follow-up of a",
        )
    ]

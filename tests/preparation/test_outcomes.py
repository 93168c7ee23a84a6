"""Splits and leaks of outcomes with several numbers a row: survival, several labels."""

from dataclasses import replace

import numpy as np
import pytest

from medgraft.cohorts.schema import Column, Outcome
from medgraft.preparation.alignment import Aligned, Feature, Table
from medgraft.preparation.features import findings
from medgraft.preparation.splits import Plan, draw

RELAPSE = Outcome("relapse", "survival", (), "months", (12.0, 24.0))
FINDINGS = Outcome("findings", "multilabel", ("fever", "cough", "rash"))
PLAN = Plan(runs=1, folds=5, validation_fraction=0.2)


def shares(y, outcome, which):
    """How often `which` holds among the test patients of every fold."""
    design = draw(np.arange(len(y)), y, outcome, PLAN).filter(use="compare")
    return [int(which[rows].sum()) for rows in design["test"].to_list()]


def test_events_are_dealt_evenly():
    stream = np.random.default_rng(0)
    y = np.stack([stream.exponential(size=103), stream.random(103) < 0.2], axis=1)
    events = shares(y, RELAPSE, y[:, 1] == 1)
    assert max(events) - min(events) <= 1


def test_rarest_label_is_dealt_evenly():
    """A label two patients have cannot be in five folds: it refuses nobody."""
    stream = np.random.default_rng(0)
    y = (stream.random((200, 3)) < [0.5, 0.15, 0.0]).astype(float)
    y[:2, 2] = 1
    y[5:9, 0] = np.nan
    cough = shares(y, FINDINGS, y[:, 1] == 1)
    assert max(cough) - min(cough) <= 2


def aligned(x, y, outcome) -> Aligned:
    n = len(x)
    names = np.array([f"p{i}" for i in range(n)], dtype=object)
    site = np.array(["here"] * n, dtype=object)
    table = Table("target", outcome, x, y, names, site, np.arange(n), {})
    features = tuple(Feature(Column(f"m{i}", "number"), "shared") for i in range(x.shape[1]))
    return Aligned(features, replace(table, role="source"), table, {"partly_measured": []}, "")


def leaks(x, y, outcome) -> list[str]:
    found = findings(aligned(x, y, outcome))
    return [f.message for f in found if (f.severity, f.where) == ("leak", "target")]


@pytest.mark.parametrize(
    ("copied", "told"), [(0, "the time of relapse"), (1, "the event of relapse")]
)
def test_time_or_event_in_a_feature_is_a_leak(copied, told):
    stream = np.random.default_rng(1)
    y = np.stack([stream.exponential(size=60), stream.random(60) < 0.4], axis=1)
    x = np.column_stack([stream.normal(size=60), 30.4 * y[:, copied]])
    assert leaks(x, y, RELAPSE) == [f"m1 alone tells {told} in every target row that has it"]


def test_label_in_a_feature_is_a_leak():
    stream = np.random.default_rng(1)
    y = (stream.random((60, 3)) < 0.4).astype(float)
    x = np.column_stack([stream.normal(size=60), 1 - y[:, 1]])
    y[::9, 1] = np.nan
    assert leaks(x, y, FINDINGS) == ["m1 alone tells cough in every target row that has it"]

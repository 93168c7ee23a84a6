"""Whole arrays at a time must say what `features` and `drift` say column by column."""

import numpy as np
import pytest

from medgraft.cohorts.identifiers import TEXT
from medgraft.cohorts.schema import Accounting, Cohort, Column, Outcome
from medgraft.preparation import drift, features, genes
from medgraft.preparation.alignment import Aligned
from medgraft.preparation.expression import Expression

ER = Outcome("er", "binary", ("negative", "positive"))


def cohort(name: str, values, ids=None, *, y=None, patient=None) -> Cohort:
    n, g = values.shape
    told = {"probes": g, "probes without a gene": 0, "samples without a row": 2}
    ids = [str(gene) for gene in range(g)] if ids is None else list(ids)
    return Cohort(
        name=name,
        columns=(Column("sample", "expression", details={"genes": ids, "told": told}),),
        values=values,
        outcome=ER,
        y=np.arange(n) % 2.0 if y is None else y,
        patient=np.array([f"{name}:{i}" for i in range(n)] if patient is None else patient, TEXT),
        subgroups={},
        accounting=Accounting(name, f"{name}.csv", n, n, n),
        source_rows=np.arange(2, n + 2),
    )


def aligned(n=40, g=12, seed=0) -> Aligned:
    rng = np.random.default_rng(seed)
    here, there = rng.normal(0, 1, (n, g)), rng.normal(0.5, 2, (n + 7, g))
    here[rng.random(here.shape) < 0.2] = np.nan
    return Expression().align([cohort("a", here)], [cohort("b", there.round(1))])


def planted() -> Aligned:
    """Genes that give the outcome away, say nothing, or are missing in one role."""
    found = aligned()
    x, z = found.source.x, found.target.x
    x[:, 0] = found.source.y * 3 + 1
    x[:, 1] = np.where(found.source.y == 1, 0.1, np.nan)
    z[:, 2] = found.target.y * 10 + np.arange(len(z)) / 100
    z[:, 3] = np.nan
    x[:, 4] = 7.0
    return found


def test_drift_equals_column_by_column():
    found = aligned()
    found.source.x[:, 5] = np.nan
    found.target.x[:, 6] = found.source.x[0, 6] = 0.0
    expected = {entry.feature: entry for entry in drift.drift(found)}
    for entry in genes.drift(found):
        other = expected[entry.feature]
        for fact in ("standardised_difference", "ks", "missing_difference"):
            assert getattr(entry, fact) == pytest.approx(getattr(other, fact), abs=1e-9), fact
        assert entry.p == pytest.approx(other.p, abs=0.03)


def test_findings_equal_column_by_column():
    found = planted()
    fewer = {(f.check, f.severity, f.where) for f in features.findings(found)}
    assert {(f.check, f.severity, f.where) for f in genes.findings(found)} == fewer
    assert ("outcome in a feature", "leak", "source") in fewer
    assert ("outcome in missingness", "leak", "source") in fewer
    assert ("perfect predictor", "warning", "target") in fewer
    assert ("missing apart", "warning", "source and target") in fewer


def test_genes_are_named_once():
    messages = [finding.message for finding in genes.findings(planted())]
    assert "1 gene (0) tell er in every source row" in messages
    assert "missing for every patient of the target: 1 gene (3)" in messages


def test_noise_is_left_alone():
    found = aligned(n=60, g=3000, seed=3)
    assert {finding.check for finding in genes.findings(found)} <= {"missing apart"}

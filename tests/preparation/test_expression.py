import numpy as np
import pytest

from medgraft.errors import CohortError
from medgraft.preparation.audit import audit
from medgraft.preparation.expression import Expression

from .test_genes import cohort

RNG = np.random.default_rng(1)
NKI = RNG.normal(size=(20, 4))
VDX = RNG.normal(size=(16, 3))
HERE, THERE = ["1", "2", "3", "4"], ["9", "3", "2"]


def test_shared_genes_meet_by_identifier():
    found = Expression().align([cohort("nki", NKI, HERE)], [cohort("vdx", VDX, THERE)])
    assert [column.name for column in found.columns] == ["2", "3"]
    np.testing.assert_array_equal(found.source.x, NKI[:, [1, 2]])
    np.testing.assert_array_equal(found.target.x, VDX[:, [2, 1]])
    assert found.line == "genes: 2 shared, 2 source only (1, 4), 1 target only (9); mode shared"
    assert found.told["shared"] == ["2", "3"]


def test_masked_genes_are_missing_elsewhere():
    found = Expression("masked").align([cohort("nki", NKI, HERE)], [cohort("vdx", VDX, THERE)])
    assert [(f.column.name, f.origin) for f in found.features] == [
        ("1", "source_only"),
        ("2", "shared"),
        ("3", "shared"),
        ("4", "source_only"),
        ("9", "target_only"),
    ]
    np.testing.assert_array_equal(found.target.x[:, [4, 2, 1]], VDX)
    assert np.isnan(found.target.x[:, [0, 3]]).all()
    assert np.isnan(found.source.x[:, 4]).all()


def test_no_shared_gene_is_refused():
    ensembl = [f"ENSG{i:011d}" for i in range(7)]
    other = cohort("vdx", RNG.normal(size=(9, 7)), ensembl)
    with pytest.raises(CohortError) as error:
        Expression("masked").align([cohort("nki", NKI, HERE)], [other])
    assert str(error.value) == (
        "no gene is measured by every cohort (nki (nki.csv) has 4: 1, 2, 3, 4; vdx (vdx.csv) has "
        "7: ENSG00000000000, ENSG00000000001, ENSG00000000002, ENSG00000000003, ENSG00000000004 "
        "and 2 more); are they "
        "named by one kind of identifier?"
    )


def test_sample_without_values_is_counted():
    empty = VDX.copy()
    empty[[2, 5]] = np.nan
    sources, targets = [cohort("nki", NKI, HERE)], [cohort("vdx", empty, THERE)]
    found = Expression().align(sources, targets)
    assert len(found.target) == 14
    entries = audit([*sources, *targets], found).accounting
    assert entries[1].excluded == {"no expression measured": 2}
    assert entries[1].rows_read == entries[1].rows_used + 2


def test_same_sample_in_both_is_a_leak():
    here, there = RNG.normal(size=(20, 30)), RNG.normal(size=(16, 30))
    there[4] = here[11]
    found = Expression().align([cohort("nki", here)], [cohort("vdx", there)])
    leaks = [f.message for f in Expression().findings(found) if f.severity == "leak"]
    assert leaks == [
        "1 target row with every value equal to a source row in 30 features measured by both "
        "(vdx line 6; nki line 13); chance would give less than one such pair in 1000 studies"
    ]


def test_probes_are_told():
    found = Expression().align([cohort("nki", NKI, HERE)], [cohort("vdx", VDX, THERE)])
    notes = [f.message for f in Expression().findings(found) if f.check == "probes and samples"]
    assert notes[0] == "nki: probes 4; samples without a row 2"


def test_table_is_not_expression():
    from dataclasses import replace

    from medgraft.cohorts.schema import Column

    table = replace(cohort("ward", VDX, THERE), columns=(Column("age", "number"),))
    with pytest.raises(CohortError) as error:
        Expression().align([cohort("nki", NKI, HERE)], [table])
    assert "- ward: column age has kind number, not expression" in str(error.value)

"""Genes, sequences, images: no patient is lost, and nothing lands in another's place."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medgraft.preparation.expression import Expression, Mode
from medgraft.preparation.image import Images
from medgraft.preparation.sequence import Sequences

from .images import cohort as film_cohort
from .images import films
from .test_genes import cohort as gene_cohort
from .test_homology import random_dna
from .test_sequence import cohort as sequence_cohort

MODES: tuple[Mode, ...] = ("shared", "masked")
GENES = [f"g{i}" for i in range(8)]
several = settings(max_examples=50, deadline=None)


@st.composite
def laboratories(draw):
    """Two or three sites with genes in an order of their own, one gene in all; the last: target."""
    made = []
    common = draw(st.sampled_from(GENES))
    for name in draw(st.sampled_from([("a", "z"), ("a", "b", "z")])):
        some = draw(st.sets(st.sampled_from(GENES)))
        genes = draw(st.permutations(sorted({common, *some})))
        samples = draw(st.integers(1, 6))
        stream = np.random.default_rng([*name.encode(), samples, len(genes)])
        made.append(gene_cohort(name, stream.normal(size=(samples, len(genes))), genes))
    return made[:-1], made[-1:]


def measured(cohort) -> list[str]:
    return cohort.columns[0].details["genes"]


def level(cohort, gene):
    """One gene in every sample; NaN where it was not measured."""
    if gene not in measured(cohort):
        return np.full(len(cohort), np.nan)
    return cohort.values[:, measured(cohort).index(gene)]


@pytest.mark.parametrize("mode", MODES)
@several
@given(roles=laboratories())
def test_values_stay_with_their_gene(mode, roles):
    aligned = Expression(mode).align(*roles)
    for table, cohorts in zip(aligned.tables, roles, strict=True):
        assert table.site.tolist() == [c.name for c in cohorts for _ in range(len(c))]
        for place, column in enumerate(aligned.columns):
            own = np.concatenate([level(cohort, column.name) for cohort in cohorts])
            np.testing.assert_array_equal(table.x[:, place], own)


@pytest.mark.parametrize("mode", MODES)
@several
@given(roles=laboratories())
def test_every_gene_is_accounted_for(mode, roles):
    """What one site alone measured is told; the shared genes are those that all measured."""
    aligned = Expression(mode).align(*roles)
    names = ("shared", "source_only", "target_only", "partly_measured")
    told = [gene for name in names for gene in aligned.told[name]]
    cohorts = [one for role in roles for one in role]
    assert sorted(told) == sorted({gene for one in cohorts for gene in measured(one)})
    everywhere = set.intersection(*(set(measured(one)) for one in cohorts))
    kept = everywhere if mode == "shared" else set(told)
    assert {column.name for column in aligned.columns} == kept


@pytest.mark.parametrize("mode", MODES)
@several
@given(roles=laboratories(), data=st.data())
def test_order_of_genes_is_irrelevant(mode, roles, data):
    """A matrix whose columns were shuffled holds the same values by gene."""
    sources, (target,) = roles
    order = data.draw(st.permutations(range(len(measured(target)))))
    details = target.columns[0].details | {"genes": [measured(target)[i] for i in order]}
    shuffled = replace(
        target,
        values=target.values[:, order],
        columns=(replace(target.columns[0], details=details),),
    )
    one, other = (Expression(mode).align(sources, [given]) for given in (target, shuffled))
    names = [[column.name for column in aligned.columns] for aligned in (one, other)]
    assert sorted(names[0]) == sorted(names[1])
    places = [names[1].index(name) for name in names[0]]
    for before, after in zip(one.tables, other.tables, strict=True):
        np.testing.assert_array_equal(before.x, after.x[:, places])


def dna(name, count):
    return sequence_cohort(name, random_dna(count, seed=name.encode()[0]))


def pictures(name, count):
    return film_cohort(name, films(count, seed=name.encode()[0]))


@pytest.mark.parametrize(
    ("modality", "made"),
    [(Sequences(), dna), (Images(), pictures)],
    ids=["sequences", "images"],
)
@settings(max_examples=20, deadline=None)
@given(sizes=st.lists(st.integers(1, 8), min_size=2, max_size=4), data=st.data())
def test_every_row_is_kept_as_it_was(modality, made, sizes, data):
    """Where nothing is a copy, whatever the sizes and however many sites are pooled."""
    cohorts = [made(name, size) for name, size in zip("mzaf", sizes, strict=False)]
    first = data.draw(st.integers(1, len(cohorts) - 1))
    roles = cohorts[:first], cohorts[first:]
    aligned = modality.align(*roles)
    for table, own in zip(aligned.tables, roles, strict=True):
        np.testing.assert_array_equal(table.x, np.concatenate([one.values for one in own]))
        assert table.x.dtype == np.uint8
        for field in ("patient", "y"):
            together = np.concatenate([getattr(one, field) for one in own])
            assert getattr(table, field).tolist() == together.tolist()
        assert table.line.tolist() == [line for one in own for line in one.source_rows]


@pytest.mark.parametrize(
    ("modality", "made"),
    [(Sequences(overlap="leave_out"), dna), (Images("leave_out"), pictures)],
    ids=["sequences", "images"],
)
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_left_out_and_kept_are_all_rows(modality, made, data):
    """Of what was copied from the target the source keeps nothing, of the rest everything."""
    source, target = made("m", 8), made("z", 5)
    copies = data.draw(st.dictionaries(st.integers(0, 7), st.integers(0, 4), max_size=7))
    values = source.values.copy()
    for row, copied in copies.items():
        values[row] = target.values[copied]
    aligned = modality.align([replace(source, values=values)], [target])
    kept = [row for row in range(8) if row not in copies]
    np.testing.assert_array_equal(aligned.source.x, values[kept])
    assert aligned.source.line.tolist() == source.source_rows[kept].tolist()
    np.testing.assert_array_equal(aligned.target.x, target.values)
    assert sum(aligned.excluded.get("m", {}).values()) == len(copies)

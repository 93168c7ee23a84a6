"""Whatever two sites measured, in whatever order: no patient is lost, no value is changed."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from medgraft.cohorts.identifiers import TEXT
from medgraft.cohorts.schema import Accounting, Cohort, Column
from medgraft.errors import CohortError
from medgraft.preparation.audit import audit
from medgraft.preparation.table import Mode, Tables, align

from .simulated import DISEASE

NUMBERS = {f"m{i}": Column(f"m{i}", "number", unit="mg/dl") for i in range(4)}
CATEGORIES = {f"c{i}": Column(f"c{i}", "category", categories=("no", "yes")) for i in range(3)}
KNOWN = NUMBERS | CATEGORIES
MODES: tuple[Mode, ...] = ("shared", "masked")
several = settings(max_examples=50, deadline=None)


def site(name, columns, patients):
    """A cohort that differs in every cell; patients may come more than once."""
    stream = np.random.default_rng([*name.encode(), len(patients)])
    rows = len(patients)
    numbers = np.array([column.kind == "number" for column in columns])
    shape = (rows, len(columns))
    values = np.where(numbers, stream.normal(size=shape), stream.integers(0, 2, shape))
    values[stream.random(shape) < 0.2] = np.nan
    patient = np.array(patients, dtype=TEXT)
    people = len(set(patients))
    return Cohort(
        name=name,
        columns=tuple(columns),
        values=values,
        outcome=DISEASE,
        y=stream.integers(0, 2, rows).astype(float),
        patient=patient,
        subgroups={},
        accounting=Accounting(name, f"{name}.csv", rows, rows, people, {}),
        source_rows=np.arange(2, rows + 2),
    )


@st.composite
def sites(draw):
    """Two or three sites, whose last is the target; one feature at least is measured by all."""
    made = []
    common = draw(st.sampled_from(sorted(KNOWN)))
    for name in draw(st.sampled_from([("a", "z"), ("a", "b", "z")])):
        some = draw(st.sets(st.sampled_from(sorted(KNOWN))))
        columns = [KNOWN[one] for one in draw(st.permutations(sorted({common, *some})))]
        patients = draw(st.lists(st.integers(0, 9).map(str), min_size=1, max_size=12))
        made.append(site(name, columns, patients))
    return made[:-1], made[-1:]


def cell(cohort, name):
    """One measurement of a cohort; NaN where it has none."""
    if name not in cohort.measured:
        return np.full(len(cohort), np.nan)
    return cohort.values[:, cohort.measured.index(name)]


@pytest.mark.parametrize("mode", MODES)
@several
@given(roles=sites())
def test_every_patient_and_value_is_kept(mode, roles):
    aligned = align(*roles, mode)
    names = [column.name for column in aligned.columns]
    for table, cohorts in zip(aligned.tables, roles, strict=True):
        for field in ("patient", "y"):
            together = np.concatenate([getattr(cohort, field) for cohort in cohorts])
            assert getattr(table, field).tolist() == together.tolist()
        assert table.line.tolist() == [i for c in cohorts for i in c.source_rows]
        assert table.site.tolist() == [c.name for c in cohorts for _ in range(len(c))]
        for place, name in enumerate(names):
            cells = np.concatenate([cell(cohort, name) for cohort in cohorts])
            np.testing.assert_array_equal(table.x[:, place], cells)


@pytest.mark.parametrize("mode", MODES)
@several
@given(roles=sites())
def test_every_feature_is_accounted_for(mode, roles):
    aligned = align(*roles, mode)
    told = [aligned.told[key] for key in ("shared", "source_only", "target_only")]
    if mode == "shared":
        told.append(aligned.told["partly_measured"])
    every = {name for cohorts in roles for cohort in cohorts for name in cohort.measured}
    assert sorted(name for names in told for name in names) == sorted(every)
    kept = every if mode == "masked" else set(aligned.told["shared"])
    assert {column.name for column in aligned.columns} == kept


@pytest.mark.parametrize("mode", MODES)
@several
@given(roles=sites(), data=st.data())
def test_rows_do_not_depend_on_other_rows(mode, roles, data):
    """So nothing of a test row can reach a training row by way of the alignment."""
    sources, (target,) = roles
    chosen = data.draw(st.sets(st.integers(0, len(target) - 1), min_size=1).map(sorted))
    fewer = replace(
        target,
        **{name: getattr(target, name)[chosen] for name in ("values", "y", "patient")},
        source_rows=target.source_rows[chosen],
    )
    all_rows, some_rows = align(sources, [target], mode), align(sources, [fewer], mode)
    assert some_rows.features == all_rows.features
    np.testing.assert_array_equal(some_rows.source.x, all_rows.source.x)
    np.testing.assert_array_equal(some_rows.target.x, all_rows.target.x[chosen])


@pytest.mark.parametrize("mode", MODES)
@several
@given(roles=sites())
def test_with_itself_is_the_identity(mode, roles):
    (one,) = roles[1]
    aligned = align([one], [replace(one, name="copy")], mode)
    order = sorted(one.measured, key=lambda name: name.startswith("c"))
    assert [column.name for column in aligned.columns] == order
    assert all(feature.origin == "shared" for feature in aligned.features)
    for table in aligned.tables:
        np.testing.assert_array_equal(table.x, one.values[:, list(map(one.measured.index, order))])


@several
@given(roles=sites(), data=st.data())
def test_other_unit_is_refused(roles, data):
    """Values are never converted: a site says its unit, and another one is told with both names."""
    sources, (target,) = roles
    (first, *_) = sources
    both = sorted({*NUMBERS} & {*first.measured} & {*target.measured})
    assume(both)
    wrong = data.draw(st.sampled_from(both))
    changed = [replace(c, unit="mmol/l") if c.name == wrong else c for c in target.columns]
    with pytest.raises(CohortError) as refused:
        align(sources, [replace(target, columns=tuple(changed))], "shared")
    assert f"{wrong}: unit is 'mg/dl' in {first.name}, 'mmol/l' in z" in str(refused.value)


@several
@given(roles=sites())
def test_left_out_and_kept_are_all_rows(roles):
    """Of the patients in both roles every source row is counted; the audit's accounting closes."""
    sources, (target,) = roles
    if all(set(source.patient) <= set(target.patient) for source in sources):
        with pytest.raises(CohortError, match="none is left"):
            Tables(overlap="leave_out").align(sources, [target])
        return
    aligned = Tables(overlap="leave_out").align(sources, [target])
    assert not set(aligned.source.patient) & set(target.patient)
    np.testing.assert_array_equal(aligned.target.patient, target.patient)
    entries = audit([*sources, target], aligned).accounting
    assert all(one.rows_read == one.rows_used + sum(one.excluded.values()) for one in entries)
    kept = [source.patient[~np.isin(source.patient, target.patient)] for source in sources]
    assert [one.rows_used for one in entries] == [*map(len, kept), len(target)]
    assert aligned.source.patient.tolist() == np.concatenate(kept).tolist()

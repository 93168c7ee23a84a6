import numpy as np
import pytest

from medgraft.cohorts.schema import Column, Outcome
from medgraft.errors import CohortError, ConfigError
from medgraft.preparation.table import Tables, align

from .simulated import STAGE, cohort, spoil

HEIGHT = Column("height", "number", unit="cm")
WEIGHT = Column("weight", "number", unit="kg")
PULSE = Column("pulse", "number", unit="1/min", may_be_missing=False)


def measured(name, *columns):
    site = cohort(name, rows=20)
    return spoil(
        site, columns=columns, values=np.arange(20.0 * len(columns)).reshape(20, len(columns))
    )


def names(aligned):
    return [column.name for column in aligned.columns]


def test_shared_keeps_common_features():
    aligned = align(
        [measured("a", HEIGHT, WEIGHT, PULSE), measured("b", PULSE, WEIGHT)],
        [measured("c", WEIGHT, PULSE)],
        "shared",
    )
    assert names(aligned) == ["weight", "pulse"]
    assert aligned.told["source_only"] == ["height"]
    assert np.isfinite(aligned.source.x).all()
    assert not aligned.columns[1].may_be_missing


def test_values_follow_their_names():
    one, two = measured("a", HEIGHT, WEIGHT), measured("b", WEIGHT, HEIGHT)
    aligned = align([one], [two], "shared")
    assert names(aligned) == ["height", "weight"]
    assert np.array_equal(aligned.source.x, one.values)
    assert np.array_equal(aligned.target.x, two.values[:, ::-1])


def test_masked_keeps_every_feature():
    aligned = align([measured("a", HEIGHT, PULSE)], [measured("b", PULSE, WEIGHT)], "masked")
    assert [(f.column.name, f.origin) for f in aligned.features] == [
        ("height", "source_only"),
        ("pulse", "shared"),
        ("weight", "target_only"),
    ]
    assert np.isnan(aligned.source.x[:, 2]).all()
    assert np.isnan(aligned.target.x[:, 0]).all()
    assert aligned.columns[0].may_be_missing


def test_partly_measured_is_named():
    sites = [measured("a", HEIGHT, PULSE), measured("b", PULSE)]
    target = [measured("c", HEIGHT, PULSE)]
    assert align(sites, target, "shared").told["partly_measured"] == ["height"]
    assert align(sites, target, "masked").told["shared"] == ["height", "pulse"]


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (Column("height", "number", unit="m"), "height: unit is 'cm' in a, 'm' in b"),
        (
            Column("height", "category", unit="cm", categories=("tall",)),
            "height: kind is 'number' in a, 'category' in b",
        ),
    ],
)
def test_conflict_names_both_sites(other, message):
    with pytest.raises(CohortError) as caught:
        align([measured("a", HEIGHT)], [measured("b", other)], "shared")
    assert message in str(caught.value)


def test_outcomes_agree_within_role():
    swapped = Outcome("disease", "binary", ("yes", "no"))
    with pytest.raises(CohortError) as caught:
        align([cohort("a"), spoil(cohort("b"), outcome=swapped)], [cohort("c")], "shared")
    assert str(caught.value) == (
        "the cohorts do not agree:\n- source outcome: a has disease (binary: no, yes), "
        "b has disease (binary: yes, no)"
    )


def test_roles_may_differ_in_outcome():
    aligned = align([cohort("a", outcome=STAGE)], [cohort("b")], "shared")
    assert aligned.source.outcome == STAGE
    assert aligned.target.outcome.name == "disease"


def test_all_problems_come_together():
    broken = spoil(cohort("a"), subgroups={"site": np.full(80, "x", dtype=object)})
    with pytest.raises(CohortError) as caught:
        align([broken], [spoil(broken, outcome=STAGE)], "shared")
    assert "a is given more than once" in str(caught.value)
    assert "subgroup site: the name is taken" in str(caught.value)


def test_nothing_in_common_is_refused():
    with pytest.raises(CohortError, match="no feature is measured by all of a, b"):
        align([measured("a", HEIGHT)], [measured("b", WEIGHT)], "shared")


def test_unknown_mode_is_refused():
    with pytest.raises(ConfigError, match="'shard': expected one of shared, masked"):
        Tables("shard")


def test_unknown_overlap_is_refused():
    with pytest.raises(ConfigError, match="'leave': expected one of refuse, leave_out"):
        Tables(overlap="leave")


def shared_patients():
    """Two source sites and a target; two patients of the first and one of the second are in it."""
    first, second, target = cohort("a", rows=20), cohort("b", rows=10), cohort("c", rows=20)
    patient = target.patient.copy()
    patient[:3] = [first.patient[4], first.patient[9], second.patient[0]]
    return first, second, spoil(target, patient=patient)


def test_overlap_is_left_out_of_source():
    first, second, target = shared_patients()
    aligned = Tables(overlap="leave_out").align([first, second], [target])
    assert aligned.excluded == {
        "a": {"patient also in the target": 2},
        "b": {"patient also in the target": 1},
    }
    assert not set(aligned.source.patient) & set(target.patient)
    assert len(aligned.source) == 27
    unchanged = align([first], [target], "shared").target.x
    assert np.array_equal(aligned.target.x, unchanged, equal_nan=True)
    kept = align([first, second], [target], "shared").source.x[[*range(4), *range(5, 9)]]
    assert np.array_equal(aligned.source.x[:8], kept, equal_nan=True)


def test_overlap_of_everybody_is_refused():
    first, _, target = shared_patients()
    with pytest.raises(CohortError) as caught:
        Tables(overlap="leave_out").align([spoil(first, patient=target.patient)], [target])
    assert str(caught.value) == "every patient of the source is in the target too: none is left"


def test_subgroup_absent_in_one_site():
    aligned = align(
        [cohort("a", rows=3), spoil(cohort("b", rows=2), subgroups={})], [cohort("c")], "shared"
    )
    assert list(aligned.source.subgroups["sex"][3:]) == ["", ""]


def test_rows_of_a_site_share_its_name():
    source, target = cohort("clinic", rows=30), cohort("hospital", rows=30)
    table = align([source], [target], "shared").source
    assert table.site.tolist() == ["clinic"] * 30
    assert len({id(name) for name in table.site}) == 1, "a text for every row"

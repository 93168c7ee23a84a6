import numpy as np
import pytest

from medgraft.cohorts.schema import Column
from medgraft.preparation import copies
from medgraft.preparation.copies import identical_rows, patient_codes, repeated_patients
from medgraft.preparation.table import align

from .simulated import cohort, spoil, with_cells


def codes_of(target):
    aligned = align([cohort("a")], [target], "shared")
    return patient_codes(aligned.target, aligned.columns)


def crossing(source, target):
    return [(f.severity, f.count) for f in identical_rows(align([source], [target], "shared"))]


def of_numbers(name, values):
    columns = tuple(Column(f"f{i}", "number") for i in range(values.shape[1]))
    return spoil(cohort(name, rows=len(values)), columns=columns, values=values)


def test_one_copied_row_is_leak():
    source, target = cohort("a"), cohort("b")
    copied = with_cells(target, 7, source.values[3])
    assert crossing(source, target) == []
    [finding] = identical_rows(align([source], [copied], "shared"))
    assert (finding.severity, finding.count) == ("leak", 1)
    assert finding.message == (
        "1 target row with every value equal to a source row in 7 features measured by both "
        "(b line 9; a line 5); chance would give less than one such pair in 1000 studies"
    )


def test_rows_looked_at_in_parts_are_the_same(monkeypatch):
    """A copy is found wherever the parts begin, and a column measured late is measured."""
    target = cohort("b", rows=40)
    copied = with_cells(target, [10, 20], target.values[[3, 11]])
    whole = codes_of(copied)[0]
    monkeypatch.setattr(copies, "SOME", 7)
    assert codes_of(copied)[0].tolist() == whole.tolist()
    late = np.full((20, 2), np.nan)
    late[15, 1] = 1.0
    assert copies._measured(late).tolist() == [False, True]


def test_copying_everybody_is_leak():
    source = cohort("a", rows=40, missing=0)
    copied = with_cells(cohort("b", rows=40), slice(None), source.values)
    assert crossing(source, copied) == [("leak", 40)]


def test_copy_found_beyond_unmeasured_features():
    source, target = cohort("a", numbers=8), cohort("b", numbers=8)
    values = target.values.copy()
    values[4] = source.values[9]
    values[:, 2] = np.nan
    assert crossing(source, spoil(target, values=values)) == [("leak", 1)]


def test_equal_answers_are_no_leak():
    stream = np.random.default_rng(1)
    answers = stream.integers(0, 2, (200, 5)).astype(float)
    columns = tuple(Column(f"q{i}", "category", categories=("no", "yes")) for i in range(5))
    a, b = (spoil(cohort(n, rows=100), columns=columns) for n in "ab")
    [(severity, _)] = crossing(spoil(a, values=answers[:100]), spoil(b, values=answers[100:]))
    assert severity == "note"


@pytest.mark.parametrize("seed", range(60))
def test_coarse_correlated_scores_are_no_leak(seed):
    # 60 studies of strangers with nine ratings that mostly follow one severity. At a true false
    # alarm rate of 1 in 1000 all of them pass with probability 0.94, and the seeds are fixed.
    stream = np.random.default_rng(seed)
    severity = stream.exponential(1.5, (260, 1))
    scores = np.clip(np.round(1 + severity + 0.5 * stream.normal(size=(260, 9))), 1, 10)
    found = crossing(of_numbers("a", scores[:200]), of_numbers("b", scores[200:]))
    assert not [grade for grade, _ in found if grade == "leak"]
    assert found


def test_rows_missing_everything_are_no_leak():
    source, target = cohort("a"), cohort("b")
    empty = np.full(7, np.nan)
    assert crossing(with_cells(source, [1, 2], empty), with_cells(target, 3, empty)) == [
        ("note", 1)
    ]


def test_shared_identifier_is_leak():
    source, target = cohort("a"), cohort("b")
    patient = target.patient.copy()
    patient[[0, 5]] = source.patient[[8, 9]]
    [finding] = repeated_patients(align([source], [spoil(target, patient=patient)], "shared"))
    assert finding.severity == "leak"
    assert "2 patient identifiers of the target also in the source" in finding.message
    assert "(a lines 10, 11; b lines 2, 7)" in finding.message
    assert "secret" not in finding.message


def test_patient_in_two_sites_stays_whole():
    one, two = cohort("b"), cohort("c")
    patient = two.patient.copy()
    patient[4] = one.patient[0]
    two = spoil(two, patient=patient, y=one.y[[1, 2, 3, 4, 0, *range(5, 80)]])
    aligned = align([cohort("a")], [one, two], "shared")
    [finding] = repeated_patients(aligned)
    assert (finding.check, finding.severity) == ("patient in two sites", "warning")
    codes, _ = patient_codes(aligned.target, aligned.columns)
    assert codes[84] == codes[0]


def test_differing_outcomes_are_told():
    target = cohort("b", visits=2)
    y = target.y.copy()
    y[0:2] = [0, 1]
    y[2:] = np.repeat(y[2::2], 2)
    [finding] = repeated_patients(align([cohort("a")], [spoil(target, y=y)], "shared"))
    assert (
        finding.message == "1 patient of the target with rows that differ in disease (b lines 2, 3)"
    )


def test_codes_number_patients_by_appearance():
    codes, findings = codes_of(cohort("b", rows=12, visits=3))
    assert codes.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]
    assert findings == []


def test_copies_become_one_patient():
    target = cohort("b", visits=2)
    # Row 3 of patient 1 is row 10 of patient 5, whose row 11 is row 20 of patient 10: one person.
    copied = with_cells(target, [10, 20], target.values[[3, 11]])
    codes, [finding] = codes_of(copied)
    assert len({codes[row] for row in (2, 3, 10, 11, 20, 21)}) == 1
    assert codes.max() == 40 - 3
    assert "4 rows of the target identical" in finding.message


def test_ordinary_twins_stay_apart():
    columns = (Column("f", "category", categories=("no", "yes")),)
    target = spoil(cohort("b"), columns=columns, values=np.arange(80.0)[:, None] % 2)
    aligned = align([spoil(target, name="a")], [target], "shared")
    codes, [finding] = patient_codes(aligned.target, aligned.columns)
    assert codes.max() == 79
    assert (finding.severity, finding.count) == ("note", 80)


@pytest.mark.parametrize(("hospital", "twins"), [("hungarian", (101, 102)), ("va", (139, 187))])
def test_heart_twins_are_one_patient(cohorts_folder, hospital, twins):
    path = cohorts_folder / "uci_heart_disease" / f"processed.{hospital}.data"
    values = np.genfromtxt(path, delimiter=",", missing_values="?")[:, :13]
    codes, [finding] = codes_of_heart(values)
    assert codes[twins[0]] == codes[twins[1]]
    assert (finding.severity, finding.count, codes.max()) == ("warning", 2, len(values) - 2)


def codes_of_heart(values):
    table = of_numbers("b", values)
    aligned = align([spoil(table, name="a")], [table], "shared")
    return patient_codes(aligned.target, aligned.columns)

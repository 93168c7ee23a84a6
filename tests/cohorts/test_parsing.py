from pathlib import Path

import pytest

from medgraft.cohorts.parsing import describe
from medgraft.errors import CohortError

from .conftest import DESCRIPTION, Write


def refusal(folder: Path) -> list[str]:
    with pytest.raises(CohortError) as error:
        describe(folder)
    return str(error.value).replace(str(folder), "clinic").splitlines()


@pytest.mark.parametrize(
    ("wrong", "right", "message"),
    [
        ("patient: id", "pateint: id", 'pateint: unknown key, did you mean "patient"?'),
        ("kind: number", "kind: nubmer", 'columns.chol: got "nubmer", expected one of '),
        ("unit: mg/dl", "units: mg/dl", 'columns.chol.units: unknown key, did you mean "unit"?'),
        ("kind: number, unit: years", "unit: years", "columns.age: needs 'kind'"),
        ("[50, 700]", "[700, 50]", "columns.chol.range: expected [lowest, highest], got [700, 50]"),
        (
            "[50, 700]",
            "[-.inf, .inf]",
            "chol.range: expected two plausible limits, got [-inf, inf]",
        ),
        ("[50, 700]", "[0, .inf]", "limits, got [0, inf]; where none is known, leave range out"),
        ("1: male", "1: female", "columns.sex: every code has the label 'female', expected two"),
        ("1: male", "1: male, '1': other", "columns.sex: 1 stands for two values, as a number and"),
        (
            "1: male}",
            "'-9.0': x}, missing_codes: [-9]",
            "-9 is both a value and a code for missing",
        ),
        ("1: male", ".nan: male", "YAML reads this as nan: put it in quotes"),
        ("1: male", f"{10**400}: male", "characters): put it in quotes"),
        ('["", "?"]', f"[0x{'7' * 5000}]", "this as a number of more than 4,300 digits: put"),
        ('["", "?"]', f"[{'7' * 5000}]", "limit (4300 digits)"),
        ('["", "?"]', "[.nan]", "missing.0: YAML reads this as nan: put it in quotes"),
        ("0: female", "no: female", "YAML reads this as False: put it in quotes"),
        ("negative: [0]", "negative: [0, 1]", "outcomes.disease: 1 belongs to more than one class"),
        ("[healthy, ill]", "[ill, ill]", "outcomes.disease: the two classes have the same label"),
        ("1: male", "'?': male", "columns.sex: '?' is both a value and a code for missing"),
        ("negative: [0]", "negative: 0", "negative: got 0, expected a list in [ ]"),
        ("negative: [0]", "negative: []", "outcomes.disease.negative: needs at least 1"),
        ("missing: never", "missing: maybe", "got 'maybe', expected 'allowed' or 'never'"),
        ("file: here.csv", "file: ../here.csv", "file '../here.csv' lies outside the cohort's"),
        ("{file: here.csv}", "{fil: here.csv}", "sites.here.file: is needed"),
        ("name: clinic", "name: clinic\nname: again", '"name" is written twice'),
        ("[sex]", "[gender]", 'subgroups: no column is called "gender"'),
        ("[sex]", "[age]", 'subgroups: "age" has kind number, expected category'),
        ("column: num", "column: age", 'outcomes.disease: column "age" is also declared under'),
        ("patient: id", "patient: name", 'patient: column "name" is also declared under columns'),
        ("here.csv", "here.csv, without: [ag]", 'nothing is called "ag", did you mean "age"?'),
        ("here.csv", "here.csv, header: [id, name]", 'header: column "sex" is declared and absent'),
        ("here.csv", "here.csv, without: [sex, chol, age]", "no number or category is left"),
    ],
)
def test_each_mistake_is_named(write: Write, wrong: str, right: str, message: str) -> None:
    assert wrong in DESCRIPTION
    found = refusal(write(DESCRIPTION.replace(wrong, right, 1)))
    assert all(line.startswith("clinic/cohort.yaml") for line in found)
    assert any(message in line for line in found), found


def test_all_mistakes_come_together(write: Write) -> None:
    text = DESCRIPTION.replace("unit: mg/dl", "units: mg/dl").replace("file: here", "fil: here")
    assert refusal(write(text)) == [
        'clinic/cohort.yaml: columns.chol.units: unknown key, did you mean "unit"?',
        "clinic/cohort.yaml: sites.here.file: is needed",
        'clinic/cohort.yaml: sites.here.fil: unknown key, did you mean "file"?',
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "clinic/cohort.yaml: the file: expected keys with values, got None"),
        ("a: [1", "clinic/cohort.yaml, line 1: expected ',' or ']', but got '<stream end>'"),
        ("outcomes: 5", "clinic/cohort.yaml: name: is needed"),
        ("columns: {age: 5}", "clinic/cohort.yaml: name: is needed"),
        ("sites: [a]\n? [1]\n: 2", "clinic/cohort.yaml, line 2: found unhashable key"),
        ("a: \x07", "clinic/cohort.yaml: not YAML: unacceptable character"),
    ],
)
def test_not_a_description(write: Write, text: str, message: str) -> None:
    assert refusal(write(text))[0].startswith(message)


def test_absent_description_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "nothing"
    assert refusal(folder) == ["clinic/cohort.yaml: there is no such file; it describes the cohort"]
    folder.write_text("a file")
    assert refusal(folder) == ["clinic/cohort.yaml: Not a directory"]

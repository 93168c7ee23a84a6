import gzip
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medgraft.cohorts.catalogue import breast, heart
from medgraft.cohorts.load import load
from medgraft.errors import CohortError

from .conftest import DESCRIPTION, ROWS, Write

HEADER, FIRST = ROWS.splitlines()[:2]


def refusal(folder: Path, site: str = "here", outcome: str = "disease") -> str:
    with pytest.raises(CohortError) as error:
        load(folder, site, outcome)
    return str(error.value).replace(str(folder), "clinic")


def row(**cells: str) -> str:
    """A table of one row: the first of ROWS with these cells replaced."""
    both = dict(zip(HEADER.split(","), FIRST.split(","), strict=True)) | cells
    return f"{HEADER}\n{','.join(both.values())}\n"


def test_cells_become_numbers(write: Write) -> None:
    cohort = load(write(), "here", "disease")
    assert cohort.measured == ("chol", "age", "sex")  # numbers before categories
    np.testing.assert_array_equal(cohort.values, [[210, 61, 0], [np.nan, 47.5, 1], [np.nan, 62, 0]])
    assert cohort.y.tolist() == [0, 1, 1]
    assert cohort.outcome.classes == ("healthy", "ill")
    assert cohort.patient.tolist() == ["A1", "A2", "A1"]
    assert cohort.subgroups["sex"].tolist() == ["female", "male", "female"]
    assert cohort.source_rows.tolist() == [2, 3, 4]


def test_every_row_is_accounted(write: Write) -> None:
    accounting = load(write(), "here", "disease").accounting
    assert (accounting.rows_read, accounting.rows_used, accounting.patients) == (4, 3, 2)
    assert accounting.excluded == {"disease not recorded": 1}
    assert accounting.notes == ('column chol: "0" counted as missing in 1 of 4 rows',)


@given(outcomes=st.lists(st.sampled_from(["0", "1", "2", "?", ""]), min_size=1, max_size=40))
@settings(max_examples=30, deadline=None)
def test_accounting_always_closes(
    tmp_path_factory: pytest.TempPathFactory, outcomes: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("closes")
    (folder / "cohort.yaml").write_text(DESCRIPTION)
    lines = [f"A{i},x,0,210,61,{num},1" for i, num in enumerate(outcomes)]
    (folder / "here.csv").write_text("\n".join([HEADER, *lines]))
    recorded = sum(num in "012" and num != "" for num in outcomes)
    if recorded == 0:
        assert 'no row records outcome "disease"' in refusal(folder)
        return
    found = load(folder, "here", "disease").accounting
    assert found.rows_used == recorded
    assert found.rows_read == len(outcomes) == found.rows_used + sum(found.excluded.values())


def test_outcome_coded_in_words_is_a_reason(write: Write) -> None:
    """Why nobody could see the outcome is counted apart, where the file says it in words."""
    described = DESCRIPTION.replace("labels: [healthy, ill]", "missing_codes: [died, 9]")
    rows = ROWS + "A4,Mx Gone,1,300,50,died,\nA5,Mx Gone,1,300,50,died,\nA6,Mx Gone,1,300,50,9,\n"
    accounting = load(write(described, rows), "here", "disease").accounting
    assert accounting.excluded == {"disease not recorded": 2, "disease not recorded: died": 2}
    assert accounting.rows_read == accounting.rows_used + 4


def test_regression_keeps_values(write: Write) -> None:
    cohort = load(write(), "here", "cost")
    assert cohort.y.tolist() == [100, 250, 10]
    assert (cohort.outcome.task, cohort.outcome.unit) == ("regression", "EUR")


def test_rows_are_patients_without_identifiers(write: Write) -> None:
    folder = write(DESCRIPTION.replace("here.csv", "here.csv, without: [id, cost]"))
    (folder / "here.csv").write_text("name,sex,chol,age,num\nx,0,99,50,1\ny,1,99,50,0\n")
    assert load(folder, "here", "disease").patient.tolist() == ["here:1", "here:2"]


def test_site_lacking_subgroup_has_blanks(write: Write) -> None:
    folder = write(DESCRIPTION.replace("here.csv", "here.csv, without: [sex]"))
    (folder / "here.csv").write_text("id,name,chol,age,num,cost\nA,x,99,50,1,1\n")
    cohort = load(folder, "here", "disease")
    assert cohort.subgroups["sex"].tolist() == [""]
    assert cohort.measured == ("chol", "age")


def test_gzip_reads_the_same(write: Write) -> None:
    plain = load(write(), "here", "disease")
    packed = write(DESCRIPTION.replace("here.csv", "here.csv.gz"))
    (packed / "here.csv.gz").write_bytes(gzip.compress(ROWS.encode()))
    np.testing.assert_array_equal(load(packed, "here", "disease").values, plain.values)


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ({"chol": "abc"}, 'column chol: got "abc", expected a number in mg/dl between 50 and 700'),
        ({"chol": "701"}, 'column chol: got "701", expected a number in mg/dl between 50 and 700'),
        ({"age": "inf"}, 'column age: got "inf", expected a number in years'),
        ({"age": "NaN"}, 'column age: got "NaN", expected a number in years'),
        ({"age": "1e999"}, 'column age: got "1e999", expected a number in years'),
        ({"sex": "2"}, 'column sex: got "2", expected one of 0, 1'),
        ({"sex": "?"}, "column sex: missing, expected one of 0, 1"),
        ({"num": "3"}, 'column num: got "3", expected one of 0, 1, 2'),
        ({"id": " "}, "column id: missing, expected a patient identifier"),
        ({"age": "x" * 99}, f'column age: got "{"x" * 40}…", expected a number in years'),
    ],
)
def test_bad_cell_is_named(write: Write, cells: dict[str, str], message: str) -> None:
    assert refusal(write(rows=row(**cells))) == f"clinic/here.csv, line 2, {message}"


@pytest.mark.parametrize("edge", ["50", "700"])
def test_range_includes_its_ends(write: Write, edge: str) -> None:
    assert load(write(rows=row(chol=edge)), "here", "disease").values[0, 0] == float(edge)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (b"", "clinic/here.csv: the file is empty"),
        (b"\n \n\n", "clinic/here.csv: the file is empty"),
        (f"{HEADER}\n", "clinic/here.csv: holds no rows"),
        (
            ROWS.encode("utf-16"),
            "clinic/here.csv: holds NUL bytes, expected UTF-8 text (is it UTF-16 or binary?)",
        ),
        (
            row(name="Müller").encode("latin-1"),
            "clinic/here.csv, line 2: not UTF-8 text; save the file as UTF-8",
        ),
        (
            ROWS.replace(",", ";"),
            "clinic/here.csv: found 1 column, expected 7: is the delimiter ';'?",
        ),
        (
            ROWS.replace(",age", ",chol", 1),
            'clinic/here.csv: column "chol" appears 2 times\n'
            'clinic/here.csv: column "age" is declared and absent',
        ),
        (
            ROWS.replace(",age", ",Age", 1),
            'clinic/here.csv: column "Age" is not declared, did you mean "age"?\n'
            'clinic/here.csv: column "age" is declared and absent',
        ),
        (
            ROWS.split("\n", 1)[1],
            "clinic/here.csv: the first line holds no declared column; is it a header?",
        ),
        (f"{HEADER}\n{FIRST},9\n", "clinic/here.csv, line 2, found 8 columns, expected 7"),
        (f"{HEADER}\nA1\n", "clinic/here.csv, line 2, found 1 column, expected 7"),
        (f'{HEADER}\n{FIRST}\n"A2,open', "clinic/here.csv, line 3: unexpected end of data"),
    ],
)
def test_bad_file_is_explained(write: Write, rows: str | bytes, message: str) -> None:
    assert refusal(write(rows=rows)) == message


def test_absent_file_and_folder(write: Write) -> None:
    folder = write()
    (folder / "here.csv").unlink()
    assert refusal(folder) == "clinic/here.csv: there is no such file"
    (folder / "here.csv").mkdir()
    assert refusal(folder) == "clinic/here.csv: is a folder, expected a file"


def test_broken_gzip_is_named(write: Write) -> None:
    folder = write(DESCRIPTION.replace("here.csv", "here.csv.gz"))
    (folder / "here.csv.gz").write_bytes(gzip.compress(ROWS.encode())[:-9])
    assert refusal(folder) == "clinic/here.csv.gz: not a whole gzip file"


def test_all_problems_come_together(write: Write) -> None:
    wrong = [FIRST.replace("210", "wrong").replace("61", "old") for _ in range(25)]
    message = refusal(write(rows="\n".join([HEADER, "short,row", *wrong]))).splitlines()
    assert message[0] == "clinic/here.csv, line 2, found 2 columns, expected 7"
    assert message[1].startswith("clinic/here.csv, line 3, column chol")
    assert message[2].startswith("clinic/here.csv, line 3, column age")
    assert len(message) == 21
    assert message[-1] == "… and 31 more"


def test_line_counts_quoted_newlines(write: Write) -> None:
    rows = f'{HEADER}\nA1,"two\nlines",0,99,50,1,1\n\nA2,x,0,99,old,1,1\n'
    assert refusal(write(rows=rows)).startswith("clinic/here.csv, line 5, column age")


def test_identifiers_never_appear(write: Write) -> None:
    """Neither a wrong cell, a ragged row, a lost header nor an open quote shows who it was."""
    tables = [
        row(chol="abc", sex="7", id=""),
        f"{ROWS}A9,Ms Secret\n",
        ROWS.split("\n", 1)[1],
        ROWS.replace(",", ";"),
        f'{HEADER}\n"Ms Secret',
        ROWS.encode("utf-16"),
    ]
    for table in tables:
        message = refusal(write(rows=table))
        assert not any(word in message for word in ("Secret", "Hidden", "A1", "A9")), message


def test_unknown_names_are_corrected(write: Write) -> None:
    folder = write()
    assert refusal(folder, site="hree") == (
        'clinic/cohort.yaml: no site is called "hree", did you mean "here"?'
    )
    assert refusal(folder, outcome="death") == (
        'clinic/cohort.yaml: no outcome is called "death"; there are: disease, cost'
    )


def test_headerless_file_with_header(write: Write) -> None:
    folder = write(DESCRIPTION.replace("here.csv", f"here.csv, header: [{HEADER}]"))
    assert refusal(folder) == (
        "clinic/here.csv: the first line names the columns; leave out `header`"
    )
    (folder / "here.csv").write_text(ROWS.split("\n", 1)[1])
    assert load(folder, "here", "disease").source_rows.tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("form", "message"),
    [
        (
            "{delimeter: ';'}",
            "medgraft.cohorts.readers.csv.read has no option "
            '"delimeter", did you mean "delimiter"?',
        ),
        (
            "{reader: no.such.thing}",
            '"no.such.thing" is not a reader: expected medgraft.cohorts.readers.*.read',
        ),
        (
            "{reader: medgraft.cohorts.readers.no.read}",
            '"medgraft.cohorts.readers.no.read" is not a reader: '
            "No module named 'medgraft.cohorts.readers.no'",
        ),
    ],
)
def test_bad_format_is_explained(write: Write, form: str, message: str) -> None:
    folder = write(DESCRIPTION.replace("here.csv", f"here.csv, format: {form}"))
    assert refusal(folder) == f"clinic/cohort.yaml: sites.here.format: {message}"


def test_numbers_parse_like_python(write: Write) -> None:
    texts = ["17.99", ".7", "1e-3", "-0.1", "0.1234567890123456789", "1001.0", "+5"]
    rows = "\n".join([HEADER, *(f"A,x,0,99,{text},0,1" for text in texts)])
    ages = load(write(rows=rows), "here", "disease").values[:, 1]
    assert ages.tolist() == [float(text) for text in texts]


def test_number_codes_match_spellings(write: Write) -> None:
    """A code written as a number matches 1, 1.0 and 01; one written as text only itself."""
    rows = f"{HEADER}\n" + "".join(f"A,x,{sex},99,50,1,1\n" for sex in ("1", "1.0", "01"))
    assert load(write(rows=rows), "here", "disease").values[:, 2].tolist() == [1, 1, 1]
    quoted = write(DESCRIPTION.replace("{0: female, 1: male}", '{"0": female, "1": male}'), rows)
    assert refusal(quoted).splitlines() == [
        'clinic/here.csv, line 3, column sex: got "1.0", expected one of 0, 1',
        'clinic/here.csv, line 4, column sex: got "01", expected one of 0, 1',
    ]


def test_published_breast_numbers_survive(tmp_path: Path) -> None:
    """Every measurement of scikit-learn's table comes back bit for bit, with its diagnosis."""
    from sklearn.datasets import load_breast_cancer

    breast.materialise(tmp_path / "breast", None)
    data = load_breast_cancer()
    seen = []
    for site in ("reference_laboratory", "clinic"):
        cohort = load(tmp_path / "breast", site, "diagnosis")
        rows = np.array([int(patient[1:]) - 1 for patient in cohort.patient])
        np.testing.assert_array_equal(cohort.values, data.data[rows, : len(cohort.columns)])
        np.testing.assert_array_equal(cohort.y, 1 - data.target[rows])
        seen += rows.tolist()
    assert sorted(seen) == list(range(569))


def test_heart_counts_match_publication(tmp_path: Path, cohorts_folder: Path) -> None:
    """Rows per grade as heart-disease.names lists them; Budapest tells only 0 from the rest."""
    heart.materialise(tmp_path / "heart", cohorts_folder)
    grades = {
        "cleveland": [164, 55, 36, 35, 13],
        "switzerland": [8, 48, 32, 30, 5],
        "long_beach": [51, 56, 41, 42, 10],
    }
    for site, counts in grades.items():
        graded = load(tmp_path / "heart", site, "severity")
        assert np.bincount(graded.y.astype(int)).tolist() == counts
        disease = load(tmp_path / "heart", site, "disease")
        assert np.bincount(disease.y.astype(int)).tolist() == [counts[0], sum(counts[1:])]
    hungary = load(tmp_path / "heart", "hungary", "disease")
    assert np.bincount(hungary.y.astype(int)).tolist() == [188, 106]
    assert refusal(tmp_path / "heart", "hungary", "severity") == (
        'clinic/cohort.yaml: site "hungary" did not record outcome "severity"'
    )


def test_heart_disguised_values_counted(tmp_path: Path, cohorts_folder: Path) -> None:
    heart.materialise(tmp_path / "heart", cohorts_folder)
    cohort = load(tmp_path / "heart", "long_beach", "disease")
    assert cohort.accounting.notes == (
        'column trestbps: "0" counted as missing in 1 of 200 rows',
        'column chol: "0" counted as missing in 49 of 200 rows',
    )
    missing = dict(zip(cohort.measured, np.isnan(cohort.values).sum(axis=0).tolist(), strict=True))
    assert (missing["chol"], missing["trestbps"], missing["ca"]) == (49 + 7, 1 + 56, 198)

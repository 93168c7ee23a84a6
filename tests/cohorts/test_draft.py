import errno
import shlex

import numpy as np
import polars as pl
import pytest

from medgraft import composition
from medgraft.cohorts.draft import draft, guess, write
from medgraft.cohorts.load import load
from medgraft.errors import CohortError


@pytest.fixture
def files(tmp_path):
    """A registry and a clinic: the clinic lacks a column and writes semicolons."""

    def rows(count: int, first: int) -> pl.DataFrame:
        number = np.arange(count) + first
        return pl.DataFrame(
            {
                "record": 40_000 + number,
                "surname": [f"Ficticia{n}" for n in number],
                "admitted": [f"19{60 + n % 40}-0{1 + n % 9}-11" for n in number],
                "age": 30 + number * 7 % 50,
                "sex": np.where(number % 3, "f", "m"),
                "ldl": np.where(number % 9, (1 + number * 3 % 41 / 10).astype(str), "NA"),
                "ward": "A",
                "died": number % 2,
            }
        )

    registry, clinic = tmp_path / "registry.csv", tmp_path / "clinic.csv"
    rows(80, 0).with_columns(crp=pl.int_range(80) * 1.5).write_csv(registry)
    rows(40, 200).write_csv(clinic, separator=";")
    return [registry, clinic]


def drafted(files, **changes):
    return draft(files, **{"outcome": "died", "patient": "record", "name": "mine"} | changes)


def test_files_are_described_so_that_they_load(files, tmp_path):
    folder = tmp_path / "mine"
    write(drafted(files), files, folder)
    registry, clinic = (load(folder, site, "died") for site in ("registry", "clinic"))
    assert [column.name for column in registry.columns] == ["age", "ldl", "crp", "sex"]
    assert [column.name for column in clinic.columns] == ["age", "ldl", "sex"]
    assert (len(registry.y), len(clinic.y)) == (80, 40)
    assert np.isnan(clinic.values[:, 1]).sum() == 4  # multiples of 9 from 200 to 239


def test_what_names_a_patient_is_never_shown(files):
    made = drafted(files)
    assert {name: made.guesses[name].entry["kind"] for name in ("surname", "admitted")} == {
        "surname": "identifier",
        "admitted": "identifier",
    }
    assert "Ficticia" not in made.yaml + made.table()
    assert "1960-" not in made.yaml + made.table()


@pytest.mark.parametrize(
    ("name", "cells", "kind"),
    [
        ("weight", [f"{40 + n}.5" for n in range(30)], "number"),
        ("grade", ["1", "2", "3"] * 10, "category"),
        ("code", [str(1000 + n) for n in range(30)], "identifier"),
        ("seen", [f"{1 + n % 28}.03.2020" for n in range(30)], "identifier"),
        ("date_of_birth", ["1", "2"] * 15, "identifier"),
        ("remarks", [f"feels better {n}" for n in range(30)], "identifier"),
        ("ward", ["A", "NA"] * 15, "ignore"),
        ("empty", ["", "NA"] * 15, "ignore"),
        ("sodium", [f"{130 + n % 20}.1" for n in range(99)] + ["high"], "ignore"),
    ],
)
def test_kinds_are_guessed(name, cells, kind):
    assert guess(name, pl.Series(cells)).entry["kind"] == kind


TWICE = [str(10115 + n // 2) for n in range(60)]  # two rows each


@pytest.mark.parametrize(
    ("name", "cells"),
    [
        *((name, TWICE) for name in ("SubjectID", "Subject ID", "USUBJID", "patientid", "id2")),
        *((name, TWICE) for name in ("ZIP code", "ZIPCode", "PLZ", "Geburtsjahr", "DOB")),
        *((name, ["Ficticia", "Nemo"] * 30) for name in ("LastName", "Last Name", "first-name")),
        ("admitted", [f"20{10 + n % 10}0{1 + n % 9}11" for n in range(60)]),
        ("dateofdeath", ["01JAN2010", "28FEB2011"] * 30),
        ("visit", ["3. Okt. 2011", "1-May-11"] * 30),
    ],
)
def test_patients_are_known_however_columns_are_written(name, cells):
    one = guess(name, pl.Series(cells))
    assert one.entry == {"kind": "identifier"}
    assert one.remark


@pytest.mark.parametrize(
    ("name", "cells", "kind"),
    [
        *((name, TWICE, "number") for name in ("platelet", "width", "lipid", "HDLCholesterol")),
        *((name, TWICE, "number") for name in ("patient_age", "weight_at_identification")),
        ("cells", [str(10_000_000 + n // 2 * 531_331) for n in range(60)], "number"),
        ("IDH1", ["wild type", "mutated"] * 30, "category"),
        ("ward", ["4 May Ward", "3 North"] * 30, "category"),
        ("dose", ["5 mg", "10 mg"] * 30, "category"),
    ],
)
def test_measurements_are_not_taken_for_patients(name, cells, kind):
    assert guess(name, pl.Series(cells)).entry["kind"] == kind


def test_sentences_are_not_written_down_as_categories():
    cells = ["fell at home, found by her sister Ficticia", "no remarks"] * 30
    one = guess("course", pl.Series(cells))
    assert one.entry == {"kind": "ignore"}
    assert "more than 40 characters: free text?" in one.remark


@pytest.mark.parametrize("first", [0, 1990, -40, 1e-6])
def test_range_holds_what_was_seen_and_more(first):
    seen = first + np.arange(30) * 0.1
    low, high = guess("x", pl.Series([repr(float(one)) for one in seen])).entry["range"]
    assert low <= seen.min()
    assert seen.max() + 1 < high < seen.max() + 2


def test_numbers_with_a_few_texts_are_counted_not_shown():
    one = guess("sodium", pl.Series([f"{130 + n % 20}.1" for n in range(99)] + ["see note"]))
    assert one.remark.startswith("numbers, but for 1 cell:")
    assert "see note" not in one.remark


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"outcome": "dead"}, 'no column is called "dead"'),
        ({"patient": "recrod"}, 'no column is called "recrod", did you mean'),
        ({"outcome": ""}, 'no column is called ""; there are: record, '),
        ({"patient": ""}, 'no column is called ""; there are: record, '),
        ({"patient": "died"}, 'column "died" cannot be both --outcome and --patient'),
        ({"outcome": "surname"}, "column surname: holds 120 different texts, expected 2 to 10"),
        ({"outcome": "ward"}, "column ward: holds 1 different texts, expected 2 to 10"),
    ],
)
def test_what_cannot_be_described_is_said(files, changes, said):
    with pytest.raises(CohortError, match=said):
        drafted(files, **changes)


def test_patient_called_row_is_refused(tmp_path):
    """`patient: row` would take every row for a patient of its own, whatever the column holds."""
    path = tmp_path / "a.csv"
    path.write_text("row,age,died\n" + "".join(f"p{n // 2},{n % 17},{n % 2}\n" for n in range(40)))
    with pytest.raises(CohortError, match='column "row" cannot tell patients apart: call it'):
        draft([path], outcome="died", patient="row", name="mine")


def test_files_of_nothing_to_learn_from_are_refused(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("who,died\n" + "".join(f"p{n},{n % 2}\n" for n in range(40)))
    with pytest.raises(CohortError, match=r"a\.csv: no column is left to learn from"):
        draft([path], outcome="died", patient="who", name="mine")


def test_site_that_names_no_patients_is_pointed_out(files):
    """Perhaps it calls the column otherwise, and one patient's rows would be several patients."""
    pl.read_csv(files[1], separator=";").rename({"record": "recordid"}).write_csv(files[1])
    lines = drafted(files).yaml.splitlines()
    place = next(n for n, line in enumerate(lines) if line.startswith('  "clinic": '))
    assert (
        lines[place - 1] == '  # No column "record": every row is taken for a patient of its own.'
    )


@pytest.mark.parametrize("name", ["cohort.yaml", "clinic.csv"])
def test_links_are_not_written_through(name, files, tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(CohortError, match=f"{name}: is there already"):
        write(drafted(files), files, folder)
    assert (folder / name).is_symlink()
    assert not (tmp_path / "elsewhere").exists()


def test_description_is_not_overwritten(files, tmp_path):
    write(drafted(files), files, tmp_path)
    before = (tmp_path / "cohort.yaml").stat().st_mtime_ns
    with pytest.raises(CohortError, match=r"cohort.yaml: is there already"):
        write(drafted(files), files, tmp_path)
    assert (tmp_path / "cohort.yaml").stat().st_mtime_ns == before


def test_files_of_others_are_not_overwritten(files, tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "clinic.csv").write_text("theirs")
    with pytest.raises(CohortError, match=r"clinic.csv: is there already"):
        write(drafted(files), files, folder)
    assert [path.name for path in folder.iterdir()] == ["clinic.csv"]
    assert (folder / "clinic.csv").read_text() == "theirs"


def test_description_that_does_not_hold_leaves_nothing(files, tmp_path):
    """Nothing to learn from: every column tells who a patient is."""
    few = [path.with_suffix(".few.csv") for path in files]
    for path, small in zip(files, few, strict=True):
        separator = ";" if path.stem == "clinic" else ","
        frame = pl.read_csv(path, separator=separator).select("record", "surname", "died")
        frame.write_csv(small)
    with pytest.raises(CohortError, match="no number or category is left to learn from"):
        write(drafted(few), few, tmp_path / "mine")
    assert not (tmp_path / "mine").exists()


@pytest.mark.parametrize("into", ["clinic.csv/mine", "x" * 300, "/proc/mine"])
def test_folder_that_cannot_be_made_is_said(into, files, tmp_path):
    with pytest.raises(CohortError, match=r"mine|xxx: cannot be written: "):
        write(drafted(files), files, tmp_path / into)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clinic.csv", "registry.csv"]


def test_full_disk_leaves_no_folder(files, tmp_path, monkeypatch):
    """Not those above it either, which were made for it."""

    def full(source, target):
        target.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("shutil.copyfile", full)
    with pytest.raises(CohortError, match="mine: cannot be written: No space left on device"):
        write(drafted(files), files, tmp_path / "new" / "mine")
    assert not (tmp_path / "new").exists()


def test_decimal_commas_are_told():
    cells = pl.Series([f"{n},5" for n in range(40)])
    assert guess("sodium", cells).remark == "decimal commas: write 1.5, not 1,5"


@pytest.mark.parametrize("wild", ["inf", "1e309", "-1e300"])
def test_numbers_that_no_network_holds_are_none(wild):
    cells = pl.Series([f"{130 + n % 20}.1" for n in range(99)] + [wild])
    assert guess("sodium", cells).remark.startswith("numbers, but for 1 cell:")


def test_outcome_of_wild_numbers_is_refused(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("age,stay\n" + "".join(f"{20 + n},{n}.5\n" for n in range(40)) + "61,inf\n")
    with pytest.raises(CohortError, match="column stay: holds 41 different texts, expected 2 to"):
        draft([path], outcome="stay", patient=None, name="mine")


def test_command_survives_a_shell(files, tmp_path):
    path = tmp_path / "east wing.csv"
    path.write_bytes(files[0].read_bytes())
    made = drafted([path, files[0]])
    command = composition.own_command(tmp_path / "my data", made.sites, made.outcome)
    program, *overrides = shlex.split(command)
    assert program == "medgraft"
    assert f"cohort.folder={tmp_path}/my data" in overrides
    assert "cohort.source=[east wing]" in overrides


@pytest.mark.parametrize("site", ["2020", "nan", "1e5", "true", "Zoë", "a,b", "a;b", "it's"])
def test_command_survives_hydra(site, tmp_path):
    """A file 2020.csv makes a site 2020, which a bare override would turn into a number."""
    command = composition.own_command(tmp_path, [site], "died")
    told = dict(one.split("=", 1) for one in shlex.split(command)[2:])
    assert composition.parsed(f"x={told['cohort.source']}").value() == [site]


def test_one_number_in_two_spellings_is_no_category(files, tmp_path):
    """Otherwise patients with 1 and those with 1.0 are told apart, or are the outcome's classes."""
    found = guess("stage", pl.Series(["1", "1.0", "2", "3"] * 20))
    assert (found.entry, found.remark) == (
        {"kind": "ignore"},
        "1 and 1.0 are one number: write them alike",
    )
    path = tmp_path / "mixed.csv"
    path.write_text("age,died\n" + "".join(f"{i},{'1' if i % 2 else '1.0'}\n" for i in range(40)))
    with pytest.raises(CohortError, match=r"column died: 1 and 1\.0 are one number, expected one"):
        draft([path], outcome="died", patient=None, name="x")


def test_nameless_column_is_refused(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("age,,died\n1,2,0\n")
    with pytest.raises(CohortError, match="line 1: column 2 has no name"):
        drafted([path])

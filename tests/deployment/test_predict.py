import gzip

import polars as pl
import pytest

from medgraft.cli import main
from medgraft.deployment.model import load
from medgraft.deployment.predict import predict
from medgraft.errors import CohortError, MedgraftError


def ask(run, source, target):
    """Exit code of the command."""
    arguments = ["--input", str(source), "--output", str(target), "--champion", str(run.champion)]
    with pytest.raises(SystemExit) as ended:
        main(["predict", *arguments])
    return ended.value.code


def answers(path):
    return pl.read_csv(path, infer_schema=False).fill_null("")


def test_file_equals_frame(any_run, tmp_path):
    target = tmp_path / "answers.csv"
    assert ask(any_run, any_run.cohort / "small.csv", target) == 0
    written = pl.read_csv(target, schema_overrides={"problem": pl.String})
    expected = load(any_run.champion).predict(any_run.raw)
    assert written.columns == ["id", *expected.columns]
    assert written["id"].to_list() == any_run.raw["id"].to_list()
    assert written.drop("id").with_columns(pl.col("problem").fill_null("")).equals(expected)


def test_every_line_has_one_answer(ward, tmp_path, capsys):
    lines = (ward.cohort / "small.csv").read_text().splitlines()[:6]
    lines[2] += ",one too many"
    lines[4] = lines[4].replace("Ms Secret", "Ms Hidden").rpartition(",")[0]
    lines[5] = "ID9,Ms Secret,old,1,0,5,ill"
    source = tmp_path / "new.csv"
    source.write_text("\n".join([*lines[:3], "", *lines[3:]]))
    assert ask(ward, source, tmp_path / "answers.csv") == 0
    assert capsys.readouterr().out == "2 patients answered, 3 refused (see column problem)\n"
    table = answers(tmp_path / "answers.csv")
    assert table["id"].to_list() == ["ID20000", "", "ID20002", "", "ID9"]
    assert table["problem"].to_list() == [
        "",
        "found 8 columns, expected 7",
        "",
        "found 6 columns, expected 7",
        'column age: got "old", expected a number in years between 0 and 110',
    ]
    assert [bool(cell) for cell in table["predicted"]] == [True, False, True, False, False]


def test_identifiers_are_never_shown(ward, tmp_path, capsys):
    raw = ward.raw.with_columns(age=pl.lit("old"))
    raw.write_csv(tmp_path / "new.csv")
    ask(ward, tmp_path / "new.csv", tmp_path / "answers.csv")
    raw.drop("age").write_csv(tmp_path / "worse.csv")
    ask(ward, tmp_path / "worse.csv", tmp_path / "none.csv")
    raw.write_csv(tmp_path / "headless.csv", include_header=False)
    ask(ward, tmp_path / "headless.csv", tmp_path / "none.csv")
    told = capsys.readouterr()
    assert "declared and absent" in told.err
    assert "is it a header?" in told.err
    shown = told.out + told.err + (tmp_path / "answers.csv").read_text()
    assert "Secret" not in shown
    assert "ID2" not in told.out + told.err


def test_packed_files_are_read_and_written(ward, tmp_path):
    plain = ward.cohort / "small.csv"
    packed = tmp_path / "new.csv.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    predict(ward.champion, plain, tmp_path / "a.csv")
    predict(ward.champion, packed, tmp_path / "b.csv.gz")
    assert (
        gzip.decompress((tmp_path / "b.csv.gz").read_bytes()) == (tmp_path / "a.csv").read_bytes()
    )


def test_repeated_patients_are_rows(ward, tmp_path):
    twice = pl.concat([ward.raw.head(1)] * 2)
    twice.write_csv(tmp_path / "new.csv")
    counts = predict(ward.champion, tmp_path / "new.csv", tmp_path / "answers.csv")
    assert counts.text() == "2 rows answered"


def test_anonymous_file_is_answered(ward, tmp_path):
    ward.raw.drop("id").write_csv(tmp_path / "new.csv")
    predict(ward.champion, tmp_path / "new.csv", tmp_path / "answers.csv")
    assert answers(tmp_path / "answers.csv").columns[0] == "predicted"


def test_typo_refuses_the_file(ward, tmp_path, capsys):
    ward.raw.rename({"lab": "labs"}).write_csv(tmp_path / "new.csv")
    target = tmp_path / "answers.csv"
    assert ask(ward, tmp_path / "new.csv", target) == 2
    told = capsys.readouterr().err
    assert (
        f'medgraft: {tmp_path}/new.csv: column "labs" is not declared, did you mean "lab"?' in told
    )
    assert not target.exists()


def test_absent_file_is_named(ward, tmp_path, capsys):
    assert ask(ward, tmp_path / "none.csv", tmp_path / "answers.csv") == 2
    assert capsys.readouterr().err == f"medgraft: {tmp_path}/none.csv: there is no such file\n"


def test_input_is_never_overwritten(ward, tmp_path):
    source = tmp_path / "new.csv"
    ward.raw.write_csv(source)
    with pytest.raises(MedgraftError, match="is the input; write the answers to another file"):
        predict(ward.champion, source, tmp_path / "." / "new.csv")
    assert source.read_text().startswith("id,name")


def test_absent_folder_is_named(ward, tmp_path):
    target = tmp_path / "no" / "answers.csv"
    with pytest.raises(MedgraftError, match=r"no/answers.csv: cannot be written: No such file"):
        predict(ward.champion, ward.cohort / "small.csv", target)


def test_refused_file_keeps_old_answers(ward, tmp_path):
    target = tmp_path / "answers.csv"
    predict(ward.champion, ward.cohort / "small.csv", target)
    before = target.read_bytes()
    (tmp_path / "new.csv").write_text("id\n1\n")
    with pytest.raises(CohortError):
        predict(ward.champion, tmp_path / "new.csv", target)
    assert target.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["answers.csv", "new.csv"]

import gzip
import os
import pty
import subprocess
import sys
from contextlib import suppress

import numpy as np
import polars as pl
import pytest

from medgraft.cli import main
from medgraft.deployment import reading
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


def test_answers_do_not_break_the_model(any_run, tmp_path, capsys):
    """Not even through a link: a model is sealed, and a file beside the others breaks the seal."""
    before = sorted(any_run.champion.rglob("*"))
    (tmp_path / "link").symlink_to(any_run.champion)
    for place in (any_run.champion, tmp_path / "link"):
        assert ask(any_run, any_run.cohort / "small.csv", place / "answers.csv") == 2
        told = capsys.readouterr().err
        assert told == (
            f"medgraft: {place / 'answers.csv'}: {any_run.champion} is a model, and sealed: "
            "expected another folder\n"
        )
    assert sorted(any_run.champion.rglob("*")) == before


def test_every_line_has_one_answer(ward, tmp_path, capsys):
    lines = (ward.cohort / "small.csv").read_text().splitlines()[:6]
    lines[2] += ",one too many"
    lines[4] = lines[4].replace("Ms Secret", "Ms Hidden").rpartition(",")[0]
    lines[5] = "ID9,Ms Secret,old,1,0,5,ill"
    source = tmp_path / "new.csv"
    source.write_text("\n".join([*lines[:3], "", *lines[3:]]))
    assert ask(ward, source, tmp_path / "answers.csv") == 0
    assert capsys.readouterr().out == (
        "5 records: 2 answered, 3 refused (see answers.problems.csv)\n"
    )
    table = answers(tmp_path / "answers.csv")
    assert table["id"].to_list() == ["ID20000", "", "ID20002", "", "ID9"]
    reasons = [
        "",
        "found 8 columns, expected 7",
        "",
        "found 6 columns, expected 7",
        'column age: got "old", expected a number in years between 0 and 110',
    ]
    assert table["problem"].to_list() == reasons
    assert [bool(cell) for cell in table["predicted"]] == [True, False, True, False, False]
    # The lines as an editor numbers them: the header is 1, and the blank line counts.
    assert answers(tmp_path / "answers.problems.csv").rows() == [
        ("3", "", reasons[1]),
        ("6", "", reasons[3]),
        ("7", "ID9", reasons[4]),
    ]


def test_old_problems_go_with_their_answers(ward, tmp_path):
    """Who sees no list may be sure that nothing was refused."""
    broken = ward.raw.with_columns(age=pl.lit("old"))
    broken.write_csv(tmp_path / "new.csv")
    told = predict(ward.champion, tmp_path / "new.csv", tmp_path / "answers.csv.gz")
    assert told.problems == "answers.problems.csv"
    assert len(answers(tmp_path / told.problems)) == 60
    told = predict(ward.champion, ward.cohort / "small.csv", tmp_path / "answers.csv.gz")
    assert told.text() == "60 records: 60 answered, 0 refused"
    assert not (tmp_path / "answers.problems.csv").exists()


@pytest.mark.parametrize("seed", range(3))
def test_nothing_is_lost(ward, tmp_path, monkeypatch, seed):
    """Answered and refused are together what was written, wherever blocks end."""
    monkeypatch.setattr(reading, "BLOCK", 5)
    draw = np.random.default_rng(seed)
    lines = (ward.cohort / "small.csv").read_text().splitlines()
    for row in draw.choice(np.arange(1, len(lines)), 20, replace=False):
        lines[row] = draw.choice(["x", lines[row] + ",9", "ID7,Ms,old,1,0,5,ill"])
    (tmp_path / "new.csv").write_text("\n".join(lines))
    told = predict(ward.champion, tmp_path / "new.csv", tmp_path / "a.csv")
    written, listed = answers(tmp_path / "a.csv"), answers(tmp_path / "a.problems.csv")
    assert (told.answered, told.refused) == (40, 20)
    assert len(written) == 60
    assert (
        written.with_row_index("line", offset=2)
        .filter(pl.col("problem") != "")
        .select(pl.col("line").cast(pl.String), "problem")
        .rows()
        == listed.select("line", "problem").rows()
    )


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


def test_records_without_an_id_of_their_own_are_told(ward, tmp_path, monkeypatch, capsys):
    """All are answered, wherever blocks end; where they stand is said, and never who they are."""
    monkeypatch.setattr(reading, "BLOCK", 5)
    ids = [f"ID{n}" for n in range(len(ward.raw))]
    ids[3], ids[17], ids[40] = "ID7", "", "ID7"
    ids[20], ids[30] = "ID50", "-9"
    ward.raw.with_columns(id=pl.Series(ids)).write_csv(tmp_path / "new.csv")
    assert ask(ward, tmp_path / "new.csv", tmp_path / "a.csv") == 0
    out, err = capsys.readouterr()
    assert out == "60 records: 60 answered, 0 refused\n"
    assert err == (
        "warning: 2 records have no id; the answers are in the order of the input\n"
        "warning: 2 ids come more than once, in lines (5, 9, 42), (22, 52); "
        "every record has its own answer\n"
    )
    assert answers(tmp_path / "a.csv")["id"].to_list() == ids
    told = predict(ward.champion, tmp_path / "new.csv", tmp_path / "b.csv")
    assert (told.nameless, told.repeated) == (2, [[5, 9, 42], [22, 52]])


def test_packed_files_are_read_and_written(ward, tmp_path):
    plain = ward.cohort / "small.csv"
    packed = tmp_path / "new.csv.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    predict(ward.champion, plain, tmp_path / "a.csv")
    predict(ward.champion, packed, tmp_path / "b.csv.gz")
    assert (
        gzip.decompress((tmp_path / "b.csv.gz").read_bytes()) == (tmp_path / "a.csv").read_bytes()
    )


def test_anonymous_file_is_answered(ward, tmp_path):
    ward.raw.drop("id").write_csv(tmp_path / "new.csv")
    predict(ward.champion, tmp_path / "new.csv", tmp_path / "answers.csv")
    assert answers(tmp_path / "answers.csv").columns[0] == "predicted"
    told = predict(ward.champion, tmp_path / "new.csv", tmp_path / "answers.csv")
    assert (told.nameless, told.repeated) == (60, [])


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


def test_broken_end_keeps_old_answers(ward, tmp_path, monkeypatch):
    """What was answered before the file turned out to be cut short is not handed over."""
    monkeypatch.setattr(reading, "BLOCK", 4)
    target = tmp_path / "answers.csv"
    target.write_text("old")
    lines = (ward.cohort / "small.csv").read_text().splitlines()
    lines[4], lines[-1] = "x", 'ID9,"open'
    (tmp_path / "new.csv").write_text("\n".join(lines))
    with pytest.raises(CohortError, match="line 61: unexpected end of data"):
        predict(ward.champion, tmp_path / "new.csv", target)
    assert target.read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["answers.csv", "new.csv"]


def test_answers_by_ending(ward, tmp_path):
    source = ward.cohort / "small.csv"
    for name in ("a.csv", "a.tsv", "a.csv.gz", "a.parquet"):
        predict(ward.champion, source, tmp_path / name)
    plain = pl.read_csv(tmp_path / "a.csv")
    assert gzip.decompress((tmp_path / "a.csv.gz").read_bytes()) == (
        (tmp_path / "a.csv").read_bytes()
    )
    assert pl.read_csv(tmp_path / "a.tsv", separator="\t").equals(plain)
    typed = pl.read_parquet(tmp_path / "a.parquet")
    assert typed["problem"].to_list() == [""] * 60
    assert typed.drop("problem").equals(plain.drop("problem"))
    with pytest.raises(MedgraftError, match=r"a.xlsx: expected a name that ends in \.csv, "):
        predict(ward.champion, source, tmp_path / "a.xlsx")


def test_answers_never_join_the_input(ward, tmp_path):
    with pytest.raises(MedgraftError, match=r"answers.csv: lies in the input"):
        predict(ward.champion, tmp_path, tmp_path / "answers.csv")
    source = tmp_path / "answers.problems.csv"
    ward.raw.write_csv(source)
    with pytest.raises(MedgraftError, match="is the input"):
        predict(ward.champion, source, tmp_path / "answers.csv")
    assert source.exists()


ASK = [sys.executable, "-m", "medgraft.cli", "predict"]


@pytest.mark.parametrize("seen", [False, True])
def test_bar_is_drawn_for_those_who_look(ward, tmp_path, seen):
    """On a terminal alone; what is redirected holds the result."""
    files = ["--input", ward.cohort / "small.csv", "--output", tmp_path / "answers.csv"]
    mine, theirs = pty.openpty()
    out = theirs if seen else subprocess.PIPE
    done = subprocess.run(
        [*ASK, *files, "--champion", ward.champion], check=True, stdout=out, stderr=theirs
    )
    os.close(theirs)
    drawn = b""
    # A terminal that nobody writes to any more ends in an error.
    with suppress(OSError):
        while part := os.read(mine, 4096):
            drawn += part
    told = b"60 records: 60 answered, 0 refused"
    assert (b"60/" in drawn, b"\x1b[" in drawn) == (seen, seen)
    assert told in (drawn if seen else done.stdout)


MEASURED = """
import resource, sys
from pathlib import Path
from medgraft.deployment.predict import predict
told = predict(*map(Path, sys.argv[1:]))
print(told.answered, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_memory_does_not_grow_with_the_file(ward, tmp_path, ending):
    """Ten times the records; held at once they would take some hundred MB more."""
    peaks = []
    for times in (500, 5000):
        raw = pl.concat([ward.raw] * times)
        source = tmp_path / f"new.{ending}"
        raw.write_csv(source) if ending == "csv" else raw.write_parquet(source)
        command = [sys.executable, "-c", MEASURED, ward.champion, source, tmp_path / f"a.{ending}"]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        answered, peak = map(int, done.stdout.split())
        assert answered == 60 * times
        peaks.append(peak / 1024)
    assert peaks[1] - peaks[0] < 100

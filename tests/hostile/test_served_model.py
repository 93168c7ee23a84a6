"""Damaged models and malformed files of new patients: `medgraft predict` says what is wrong."""

import json
import shutil

import polars as pl
import pytest

from deployment.simulated import run_pipeline
from medgraft.cli import main
from medgraft.deployment.model import load
from medgraft.errors import StageError


@pytest.fixture(scope="module")
def ward(tmp_path_factory):
    """A binary outcome; the champion is a network."""
    return run_pipeline(tmp_path_factory.mktemp("ward"), "binary", "network")


@pytest.fixture
def place(ward, tmp_path):
    """A champion and a file of new patients, to be spoilt."""
    shutil.copytree(ward.champion, tmp_path / "champion")
    ward.raw.head(5).write_csv(tmp_path / "new.csv")
    return tmp_path


def refusal(place, capsys, name: str = "new.csv") -> str:
    """What the user reads; nothing was written."""
    paths = {"--input": name, "--output": "out.csv", "--champion": "champion"}
    before = sorted(path.name for path in place.iterdir())
    given = [part for key, path in paths.items() for part in (key, str(place / path))]
    with pytest.raises(SystemExit) as ended:
        main(["predict", *given])
    told = capsys.readouterr()
    assert ended.value.code == 2
    assert told.err.startswith("medgraft: ")
    assert "Traceback" not in told.err
    assert "Secret" not in told.err
    assert sorted(path.name for path in place.iterdir()) == before
    return told.err


FILES = ("weights.safetensors", "network.json", "cohort.yaml", "champion.json", "serve.py")
FILES += ("answers.json", "novelty.safetensors")


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("how", ["flipped", "truncated", "emptied", "absent", "folder"])
def test_damaged_model_is_refused(place, capsys, name, how):
    path = place / "champion" / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.unlink()
    if how == "folder":
        path.mkdir()
    elif how != "absent":
        path.write_bytes({"flipped": data, "truncated": data[:-7], "emptied": b""}[how])
    expected = f"{name}: is absent" if how in ("absent", "folder") else f"{name}: damaged or chang"
    assert expected in refusal(place, capsys)


def test_every_flipped_byte_is_found(place):
    """Each byte of the list of sums, and every 50th of the other files."""
    for path in (place / "champion").iterdir():
        sound = path.read_bytes()
        for at in range(0, len(sound), 1 if path.name == "SHA256SUMS" else 50):
            path.write_bytes(sound[:at] + bytes([sound[at] ^ 4]) + sound[at + 1 :])
            with pytest.raises(StageError):
                load(place / "champion")
        path.write_bytes(sound)
    assert load(place / "champion")


def test_added_file_is_refused(place, capsys):
    (place / "champion" / "more.py").write_text("import os\n")
    assert "more.py: not sealed" in refusal(place, capsys)


def test_no_model_is_explained(place, capsys):
    shutil.rmtree(place / "champion")
    assert "SHA256SUMS not found: run the stage that writes it first" in refusal(place, capsys)


NEW = {
    "empty": (b"", "new.csv: the file is empty"),
    "binary": (bytes(range(1, 256)), "new.csv, line 2: not UTF-8 text"),
    "NUL bytes": (b"id,age\0", "holds NUL bytes"),
    "semicolons": (b"id;age;lab;sex;extra\nA;1;1;1;1\n", "is the delimiter ';'?"),
    "no column known": (b"a,b\n1,2\n", "the first line holds no declared column"),
    "column absent": (b"id,age,lab,sex\nA,1,1,1\n", 'column "extra" is declared and absent'),
    "column twice": (b"age,age,lab,sex,extra\n1,1,1,1,1\n", 'column "age" appears 2 times'),
}


@pytest.mark.parametrize("name", NEW)
def test_malformed_file_is_refused(place, capsys, name):
    data, said = NEW[name]
    (place / "new.csv").write_bytes(data)
    assert said in refusal(place, capsys)


def test_folder_is_no_table(place, capsys):
    (place / "folder").mkdir()
    assert "folder: holds files, which would be images" in refusal(place, capsys, "folder")


PLACES = {
    "file for a folder": ("file/out", "cannot be written: Not a directory"),
    "folder": ("folder", "is a folder, expected the name of a file"),
    "nothing": ("", "is a folder, expected the name of a file"),
    "absent folder": ("absent/out", "cannot be written: No such file or directory"),
    "links in a circle": ("circle", None),
    "no files there": ("/proc/out", "cannot be written: No such file or directory"),
    "too long": ("x" * 300, "the path is too long for this file system"),
}


@pytest.mark.parametrize("name", PLACES)
@pytest.mark.parametrize(
    ("command", "ending"),
    [
        (["predict"], ".csv"),
        (["explain"], ".parquet"),
        (["explain", "--figure", "why.svg"], ".csv"),
        (["onnx"], ".onnx"),
    ],
)
def test_place_that_cannot_be_written_is_said(place, capsys, monkeypatch, name, command, ending):
    """Or, a link that leads nowhere, is replaced by the answers; never a part of them."""
    monkeypatch.chdir(place)
    (place / f"folder{ending}").mkdir()
    (place / "file").write_text("no folder")
    (place / f"circle{ending}").symlink_to(f"circle{ending}")
    before = sorted(path.name for path in place.iterdir())
    where, said = PLACES[name]
    told = ["--output", where and where + ending, "--champion", "champion"]
    told += [] if "onnx" in command else ["--input", "new.csv"]
    if "--figure" in command:
        (place / "new.csv").write_text("".join((place / "new.csv").open().readlines()[:2]))
    with pytest.raises(SystemExit) as ended:
        main([*command, *told])
    err = capsys.readouterr().err
    if said is None:
        assert ended.value.code == 0
        assert (place / f"circle{ending}").is_file()
        return
    assert ended.value.code == 2
    assert err.startswith("medgraft: ")
    assert err.count("\n") == 1
    assert sorted(path.name for path in place.iterdir()) == before
    assert "onnx" in command or said in err


def test_problems_go_beside_the_answers_or_none(place, capsys):
    """A folder stands where refused records would be listed."""
    (place / "out.problems.csv").mkdir()
    assert "out.problems.csv: is a folder" in refusal(place, capsys)


NAMES = ["=HYPERLINK(1)", "+49 170 1", "@SUM(A1)", "-1", "plain"]


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_names_like_formulas_are_copied_and_told(place, capsys, ending):
    """A changed identifier could not be joined; -1 is a number, whoever reads it."""
    new = pl.read_csv(place / "new.csv", infer_schema=False).with_columns(id=pl.Series(NAMES))
    new.write_csv(place / "new.csv")
    for command in ("predict", "explain"):
        paths = {"--input": "new.csv", "--output": f"out{ending}", "--champion": "champion"}
        given = [part for key, path in paths.items() for part in (key, str(place / path))]
        with pytest.raises(SystemExit) as ended:
            main([command, *given])
        assert ended.value.code == 0
        read = pl.read_parquet if ending == ".parquet" else pl.read_csv
        assert read(place / f"out{ending}")["id"].cast(pl.String).to_list() == NAMES
        assert capsys.readouterr().out.splitlines()[1:] == [
            "warning: 3 names begin like a formula (=, +, -, @); names are written as they came: "
            "import that column into a spreadsheet as text"
        ]


def test_answers_are_private(place):
    """Whoever else works on the machine cannot read who was predicted what."""
    given = ["--input", "new.csv", "--output", "out.csv", "--champion", "champion"]
    paths = [part if part.startswith("--") else str(place / part) for part in given]
    with pytest.raises(SystemExit):
        main(["predict", *paths])
    assert (place / "out.csv").stat().st_mode & 0o777 == 0o600


def test_no_loading_path_unpickles(place, monkeypatch):
    """A pickle in the place of any file of the model is never executed."""
    evil = b"cposix\nsystem\n(S'touch canary'\ntR."
    monkeypatch.chdir(place)
    for path in (place / "champion").iterdir():
        sound = path.read_bytes()
        path.write_bytes(evil)
        with pytest.raises(StageError):
            load(place / "champion")
        path.write_bytes(sound)
    assert not (place / "canary").exists()
    assert json.loads((place / "champion" / "champion.json").read_text())

"""The same records answered alike, whatever file they come in; a file that is not as it should be
is refused in one line."""

import gzip

import numpy as np
import polars as pl
import pytest

from cohorts.images.simulated import png, shades
from medgraft.cli import main
from medgraft.deployment import reading
from medgraft.deployment.predict import predict

from . import made

LETTERS = np.random.default_rng(4).choice(list("ACGT"), (30, 8))
SITES = ["".join(letters) for letters in LETTERS]
FILMS = np.stack([shades(seed=seed) for seed in range(9)])


@pytest.fixture(scope="module")
def splice(tmp_path_factory):
    """A champion of sequences whose patients have names."""
    tokens = np.zeros((1, 8), np.uint8)
    folder = tmp_path_factory.mktemp("splice") / "champion"
    return made.champion(folder, made.SEQUENCE, tokens, patient="who")


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    """A champion of images; every film is a patient."""
    folder = tmp_path_factory.mktemp("films") / "champion"
    return made.champion(folder, made.IMAGE, FILMS[:, None])


@pytest.fixture
def answers(tmp_path):
    """Calls `predict`; returns what it wrote."""

    def _answers(champion, source, name="answers.parquet"):
        predict(champion, source, tmp_path / name)
        return pl.read_parquet(tmp_path / name)

    return _answers


def test_tables_are_answered_alike(ward, answers, tmp_path):
    raw = ward.raw
    typed = raw.with_columns(
        pl.col("age", "extra").cast(pl.Float64),
        pl.col("sex").cast(pl.Int8),
        pl.col("lab").replace({"?": None, "0": None, "": None}).cast(pl.Float32),
    )
    raw.write_csv(tmp_path / "a.csv")
    raw.write_csv(tmp_path / "b.tsv", separator="\t")
    (tmp_path / "c.tsv.gz").write_bytes(gzip.compress((tmp_path / "b.tsv").read_bytes()))
    raw.write_parquet(tmp_path / "d.parquet")
    typed.write_parquet(tmp_path / "e.parquet", row_group_size=7)
    first, *others = (answers(ward.champion, path) for path in sorted(tmp_path.glob("?.*")))
    assert (len(first), len(others)) == (60, 4)
    assert first["problem"].to_list() == [""] * 60
    for other in others:
        assert other.equals(first)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("form", [">{0} of a ward\n{1}\n", "@{0}\n{1}\n+\nIIIIIIII\n"])
def test_sequences_are_answered_alike(splice, answers, tmp_path, form, packed):
    names = [f"s{i}" for i in range(len(SITES))]
    pl.DataFrame({"who": names, "site": SITES}).write_csv(tmp_path / "new.csv")
    text = "".join(form.format(*pair) for pair in zip(names, SITES, strict=True)).encode()
    source = tmp_path / ("new.FASTA.gz" if packed else "new.fq")
    source.write_bytes(gzip.compress(text) if packed else text)
    expected = answers(splice, tmp_path / "new.csv")
    assert expected["probability_yes"].n_unique() == len(SITES)
    assert answers(splice, source).equals(expected)


def test_sequence_that_does_not_fit_is_told_apart(splice, tmp_path):
    (tmp_path / "new.fasta").write_text(">s1\nACGTACGT\n>s2\n>s3\nACGJACGT\n>s1\nACGTACGT\n")
    counts = predict(splice, tmp_path / "new.fasta", tmp_path / "a.csv")
    assert (counts.answered, counts.refused) == (2, 2)
    listed = pl.read_csv(tmp_path / "a.problems.csv").rows()
    assert listed == [
        (3, None, "the record is empty, expected a sequence"),
        (4, "s3", 'column site: got "J" at position 4, expected dna letters ACGT'),
    ]


def test_images_are_answered_alike(films, answers, tmp_path):
    folder = tmp_path / "films"
    (folder / "late").mkdir(parents=True)
    names = [f"{i}.png" if i < 5 else f"late/{i}.png" for i in range(len(FILMS))]
    for name, film in zip(names, FILMS, strict=True):
        (folder / name).write_bytes(png(film))
    (folder / ".DS_Store").write_bytes(b"x")
    pl.DataFrame({"film": names}).write_csv(folder / "list.csv")
    np.savez(tmp_path / "some.npz", new=FILMS[:4], newer=FILMS[4:])
    listed = answers(films, folder / "list.csv")
    (folder / "list.csv").unlink()
    found, packed = answers(films, folder), answers(films, tmp_path / "some.npz")
    assert listed["probability_yes"].n_unique() == len(FILMS)
    assert found["record"].to_list() == names
    assert packed["record"][5] == "some.npz#newer/1"
    for other in (found, packed):
        assert other.drop("record").equals(listed)


def test_foreign_files_in_a_folder_are_counted(films, tmp_path):
    """A note and a folder that is no image; a link out of the folder is not followed."""
    folder = tmp_path / "films"
    folder.mkdir()
    (folder / "a.png").write_bytes(png(FILMS[0]))
    (folder / "b.txt").write_text("seen twice")
    (tmp_path / "c.png").write_bytes(png(FILMS[1]))
    (folder / "c.png").symlink_to(tmp_path / "c.png")
    (folder / "d.png").write_bytes(png(FILMS[1])[:60])
    counts = predict(films, folder, tmp_path / "a.csv")
    assert (counts.answered, counts.refused) == (1, 3)
    listed = pl.read_csv(tmp_path / "a.problems.csv")
    assert listed["record"].to_list() == ["b.txt", "c.png", "d.png"]
    assert listed["line"].to_list() == [2, 3, 4]
    assert "is not a PNG, JPEG or DICOM image" in listed["problem"][0]
    assert "is a link to outside the cohort's folder" in listed["problem"][1]


@pytest.mark.parametrize("kind", ["text", "parquet", "fasta", "folder", "npz"])
def test_blocks_change_nothing(kind, ward, splice, films, answers, tmp_path, monkeypatch):
    champion = {"text": ward.champion, "parquet": ward.champion, "fasta": splice}.get(kind, films)
    source = tmp_path / f"new.{kind}"
    if kind == "fasta":
        source.write_text("".join(f">s{i}\n{site}\n" for i, site in enumerate(SITES)))
    elif kind == "npz":
        np.savez(source, one=FILMS[:5], two=FILMS[5:])
    elif kind == "folder":
        source.mkdir()
        for i, film in enumerate(FILMS):
            (source / f"{i}.png").write_bytes(png(film))
    else:
        getattr(ward.raw, {"text": "write_csv"}.get(kind, "write_parquet"))(source)
    together = answers(champion, source)
    monkeypatch.setattr(reading, "BLOCK", 4)
    blocks = answers(champion, source)
    asked = reading.incoming(reading_records(champion), source)
    assert max(len(table.lines) for table in asked.blocks) == 4
    numbers = pl.selectors.float()
    assert blocks.select(~numbers).equals(together.select(~numbers))
    np.testing.assert_allclose(blocks.select(numbers), together.select(numbers), atol=1e-6)


def reading_records(champion):
    from medgraft.deployment.records import records_of

    return records_of(champion)


def test_large_records_come_in_small_blocks(films, ward, tmp_path, monkeypatch):
    """As many numbers at a time, however many a record has."""
    assert reading.at_once(reading_records(ward.champion)) == reading.BLOCK
    monkeypatch.setattr(reading, "NUMBERS", 48 * 5)
    assert reading.at_once(reading_records(films)) == 5


CUT = gzip.compress(b"age,lab,sex,extra\n" + b"50,100,1,2\n" * 9999)[:-9]
HELD = "this model takes age, lab, sex, extra, in delimited text or .parquet"


@pytest.mark.parametrize(
    ("name", "data", "told"),
    [
        ("new.fasta", b">s\nACGT\n", "new.fasta: holds sequences; " + HELD),
        ("new.npz", b"", "new.npz: holds images; " + HELD),
        ("", b"", ": holds files, which would be images; " + HELD),
        ("new.parquet", b"PAR1 no", "new.parquet: not a whole parquet table ("),
        ("new.csv.gz", CUT, "new.csv.gz: not a whole gzip file"),
        ("new.csv", b"\x89PNG\r\n\x00\x1a\n", "new.csv: holds NUL bytes, expected UTF-8 text"),
        ("new.csv", b"age,lab,sex,extra\n1,2,\xff,4\n", "new.csv, line 2: not UTF-8 text"),
        ("new.csv", b'age,lab,sex,extra\n1,2,"3,4\n', "new.csv, line 2: unexpected end of data"),
        ("new.csv", b"", "new.csv: the file is empty"),
    ],
)
def test_other_files_are_refused_in_one_line(name, data, told, ward, tmp_path, capsys):
    (tmp_path / "in").mkdir()
    source = tmp_path / "in" / name
    if name:
        source.write_bytes(data)
    arguments = ["--input", str(source), "--champion", str(ward.champion)]
    with pytest.raises(SystemExit) as ended:
        main(["predict", *arguments, "--output", str(tmp_path / "answers.csv")])
    err = capsys.readouterr().err
    assert (ended.value.code, err.count("\n")) == (2, 1)
    assert err.startswith(f"medgraft: {tmp_path}/in{'/' if name else ''}{told}")
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


@pytest.mark.parametrize(
    ("name", "data", "told"),
    [
        ("new.fasta", b"ACGT\n", "in/new.fasta: begins with neither"),
        ("new.fastq", b"@s\nACGT\n+\nII\n", "in/new.fastq, line 4: not a whole FASTQ file: "),
        ("new.fasta.gz", b">s\nACGT\n", "in/new.fasta.gz: not a whole gzip file"),
    ],
)
def test_damaged_sequences_are_refused(name, data, told, splice, tmp_path, capsys):
    source = tmp_path / "in" / name
    source.parent.mkdir()
    source.write_bytes(data)
    arguments = ["--input", str(source), "--champion", str(splice)]
    with pytest.raises(SystemExit) as ended:
        main(["predict", *arguments, "--output", str(tmp_path / "answers.csv")])
    err = capsys.readouterr().err
    assert (ended.value.code, err.count("\n")) == (2, 1)
    assert err.startswith(f"medgraft: {tmp_path}/{told}")


def test_archives_that_hold_no_images_are_refused(films, tmp_path, capsys):
    (tmp_path / "in").mkdir()
    np.savez(tmp_path / "in" / "a.npz", y=np.zeros(3))
    (tmp_path / "in" / "b.npz").write_bytes(b"PK")
    (tmp_path / "in" / "none").mkdir()
    said = []
    for name in ("a.npz", "b.npz", "none"):
        arguments = ["--input", str(tmp_path / "in" / name), "--champion", str(films)]
        with pytest.raises(SystemExit):
            main(["predict", *arguments, "--output", str(tmp_path / "answers.csv")])
        said.append(capsys.readouterr().err.removeprefix(f"medgraft: {tmp_path}/in/"))
    assert said == [
        "a.npz: expected an array of images [n, height, width] or [n, height, width, channels], "
        "found y\n",
        "b.npz: not a whole npz file (File is not a zip file): cut short?\n",
        "none: holds no files, expected images\n",
    ]


def test_parquet_columns_must_hold_one_value(ward, tmp_path, capsys):
    ward.raw.with_columns(age=pl.lit([1, 2])).write_parquet(tmp_path / "new.parquet")
    arguments = ["--input", str(tmp_path / "new.parquet"), "--champion", str(ward.champion)]
    with pytest.raises(SystemExit):
        main(["predict", *arguments, "--output", str(tmp_path / "answers.csv")])
    assert capsys.readouterr().err == (
        f'medgraft: {tmp_path}/new.parquet: column "age" holds List, expected one value\n'
    )

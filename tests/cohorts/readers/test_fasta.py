import gzip
import re
from codecs import BOM_UTF8

import pytest

from medgraft.cohorts.load import load
from medgraft.cohorts.readers.fasta import read
from medgraft.errors import CohortError

FASTA = ">s1 first\nACG\nT\n>s2\nTTGA\n\n>s3\nGGGG\n"
LABELS = "id,ill\ns3,1\ns1,0\ns2,1\n"
DESCRIPTION = """\
name: sequences
format: {reader: medgraft.cohorts.readers.fasta.read, labels: labels.csv}
outcomes:
  ill: {column: ill, task: binary, negative: [0], positive: [1]}
columns:
  sequence: {kind: sequence, alphabet: dna, length: 4}
sites:
  here: {file: here.fasta}
"""


@pytest.fixture
def folder(tmp_path):
    """A cohort of three records; `refusal` writes other files over them."""
    (tmp_path / "cohort.yaml").write_text(DESCRIPTION)
    (tmp_path / "here.fasta").write_text(FASTA)
    (tmp_path / "labels.csv").write_text(LABELS)
    return tmp_path


def refusal(folder, **files) -> str:
    for name, text in files.items():
        (folder / f"{name}.{'csv' if name == 'labels' else 'fasta'}").write_text(text)
    with pytest.raises(CohortError) as error:
        load(folder, "here", "ill")
    return str(error.value).replace(f"{folder}/", "")


def test_records_find_their_labels(folder):
    cohort = load(folder, "here", "ill")
    assert cohort.values.tolist() == [[0, 1, 2, 3], [3, 3, 2, 0], [2, 2, 2, 2]]
    assert cohort.y.tolist() == [0, 1, 1]
    assert cohort.source_rows.tolist() == [1, 4, 7]


@pytest.mark.parametrize("crlf", [False, True])
def test_zipped_equals_plain(folder, crlf):
    text = FASTA.replace("\n", "\r\n") if crlf else FASTA
    (folder / "here.fasta.gz").write_bytes(gzip.compress(text.encode()))
    plain, zipped = (
        read(folder / name, expected=["id", "sequence"]) for name in ("here.fasta", "here.fasta.gz")
    )
    assert plain.cells.equals(zipped.cells)
    assert plain.lines.tolist() == zipped.lines.tolist()


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\n \t"])
def test_lines_count_however_they_end(tmp_path, end):
    (tmp_path / "here.fasta").write_bytes(end.join(["", ">s1", "AC", "GT", ">s2", "TT"]).encode())
    table = read(tmp_path / "here.fasta", expected=["id", "sequence"])
    assert table.cells["sequence"].to_list() == ["ACGT", "TT"]
    assert table.lines.tolist() == [2, 5]


@pytest.mark.parametrize("name", ["here.fastq", "here.fastq.gz"])
def test_fastq_is_read_alike(folder, name):
    text = b"@s1 first\nACGT\n+\nIIII\n@s2\nTTGA\n+\n@@@@\n"
    (folder / name).write_bytes(gzip.compress(text) if name.endswith("gz") else text)
    found = read(folder / name, expected=["id", "sequence"])
    assert found.cells.rows() == [("s1", "ACGT"), ("s2", "TTGA")]
    assert found.lines.tolist() == [1, 5]


@pytest.mark.parametrize("name", ["here.fasta", "here.fasta.gz"])
def test_mark_before_utf8_is_passed_over(folder, name):
    """Some editors write it; a line keeps its number."""
    text = BOM_UTF8 + FASTA.encode()
    (folder / name).write_bytes(gzip.compress(text) if name.endswith("gz") else text)
    found = read(folder / name, expected=["id", "sequence"])
    (folder / name).write_bytes(gzip.compress(text[3:]) if name.endswith("gz") else text[3:])
    plain = read(folder / name, expected=["id", "sequence"])
    assert found.cells.equals(plain.cells)
    assert found.lines.tolist() == plain.lines.tolist()


def test_empty_record_is_told(folder):
    assert refusal(folder, here=">s1\nACGT\n>s2\n>s3\nGGGG\n") == (
        "here.fasta, line 3, the record is empty, expected a sequence"
    )


def test_all_empty_records_are_counted(folder):
    names = [f"s{i}" for i in range(1, 31)]
    labels = "id,ill\n" + "".join(f"{name},1\n" for name in names)
    found = refusal(folder, here="".join(f">{name}\n\n" for name in names), labels=labels)
    assert found.splitlines()[-1] == "… and 10 more"


def test_foreign_letter_tells_line(folder):
    assert refusal(folder, here=FASTA.replace("TTGA", "TTJA")) == (
        'here.fasta, line 4, column sequence: got "J" at position 3, expected dna letters ACGT'
    )


def test_label_without_record_is_told(folder):
    assert refusal(folder, labels=LABELS + "s9,0\n") == (
        "labels.csv, line 5, the record has a label, and none of its name is in here.fasta"
    )


def test_record_without_label_is_told(folder):
    assert refusal(folder, labels=LABELS.replace("s1,0\n", "")) == (
        "here.fasta, line 1, the record has no label in labels.csv"
    )


def test_repeated_names_are_refused(folder):
    assert refusal(folder, here=FASTA + ">s1\nACGT\n") == (
        "here.fasta, line 9, the record comes a second time"
    )
    assert refusal(folder, here=FASTA, labels=LABELS + "s1,1\n") == (
        "labels.csv, line 5, the record is labelled a second time"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", 'begins with neither ">" (FASTA) nor "@" (FASTQ)'),
        ("ACGT\n>s1\nACGT\n", 'begins with neither ">" (FASTA) nor "@" (FASTQ)'),
        ("@s1\nACGT\n+\nIII\n", "here.fasta, line 4: not a whole FASTQ file: length of sequence"),
        ("@s1\nACGT\n+s2\nIIII\n", "line 3: not a whole FASTQ file: sequence descriptions don't m"),
        ("@s1\nACGT\n", "not a whole FASTQ file: premature end of file"),
        ("@s1\nACGT\n+\nIIII\ns2\n", "not a whole FASTQ file: "),
    ],
)
def test_other_formats_are_refused(folder, text, message):
    said = refusal(folder, here=text)
    assert message in said
    assert not {"s1", "s2"} & set(re.findall(r"\w+", said)), "a name may be a patient's"


def test_absent_column_is_named(folder):
    with pytest.raises(CohortError) as error:
        read(folder / "here.fasta", expected=["sequence", "age"])
    assert str(error.value) == f'{folder}/here.fasta: column "age" is declared and absent'

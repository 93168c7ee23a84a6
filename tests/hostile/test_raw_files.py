"""Malformed raw files and descriptions: one message that says what, where and what was expected."""

# ruff: noqa: E501  (a case reads best on one line)

import gzip
import io
import os
import re
import tarfile
import zipfile

import numpy as np
import polars as pl
import pytest

from cohorts.images.simulated import dicom, png, shades
from medgraft.cohorts import files
from medgraft.stages.preprocess import preprocess
from medgraft.stages.run import run

from .cohorts import (
    Edit,
    absent,
    alter,
    archive,
    archives_project,
    both,
    cell,
    every,
    folder,
    link,
    project,
    put,
    rows,
    scans_project,
    swap,
)
from .typed import ANNDATA, MATRICES, PARQUETS, SURVIVAL, WORDS, anndata, followed, parquets, pipe

SITES = ("big", "small")
HEAD = "id,name,age,crp,lab,sex,ill\n"
ROW = "small-0,Eve Canary 0,50,1,1,0,0\n"
Cases = dict[str, tuple[Edit, str]]


def zipped(name: str) -> bytes:
    array = io.BytesIO()
    np.save(array, np.zeros(3, np.uint8))
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archived:
        archived.writestr(name, array.getvalue())
    return data.getvalue()


def tar(name: str) -> bytes:
    """An archive whose member leads out."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archived:
        archived.addfile(tarfile.TarInfo(name))
        link_out = tarfile.TarInfo("link")
        link_out.type, link_out.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archived.addfile(link_out)
    return data.getvalue()


TABLES: Cases = {
    # The file
    "absent": (absent("small.csv"), "small.csv: there is no such file"),
    "folder": (folder("small.csv"), "small.csv: is a folder, expected a file"),
    "pipe": (
        both(absent("small.csv"), lambda at: os.mkfifo(at / "small.csv")),
        "small.csv: is a device or a pipe, expected a file",
    ),
    "empty": (put("small.csv", ""), "small.csv: the file is empty"),
    "blank lines": (put("small.csv", "\n \n\n"), "small.csv: the file is empty"),
    "header only": (put("small.csv", HEAD), "small.csv: holds no rows"),
    "NUL bytes": (put("small.csv", HEAD + "a\0b"), "small.csv: holds NUL bytes, expected UTF-8"),
    "utf-16": (put("small.csv", rows("small").encode("utf-16")), "is it UTF-16 or binary?"),
    "latin-1": (
        put("small.csv", (HEAD + ROW).replace("Eve", "Zoë").encode("latin-1")),
        "small.csv, line 2: not UTF-8 text; save the file as UTF-8",
    ),
    "binary": (put("small.csv", bytes(range(1, 256)) * 9), "small.csv, line 2: not UTF-8 text"),
    "two BOMs": (
        alter("small.csv", lambda data: b"\xef\xbb\xbf\xef\xbb\xbf" + data),
        'column "\\ufeffid" is not declared',
    ),
    "escape in a name": (
        alter("small.csv", lambda data: data.replace(b"crp", b"\x1b[2J\x1b]0;crp\x07")),
        r'column "\x1b[2J\x1b]0;crp\x07" is not declared',
    ),
    "escape in a cell": (cell(3, "crp", "\x1b[31m9\u202e8"), r'got "\x1b[31m9\u202e8", exp'),
    "line end in a cell": (
        cell(3, "crp", '"9\npreprocess: all is well"'), r'got "9\npreprocess: all is well", '
    ),
    "link to outside": (
        link("small.csv", "/etc/hostname"),
        "small.csv: is a link to outside the cohort's folder",
    ),
    "link in a circle": (link("small.csv", "small.csv"), "'small.csv': cannot be the name of a file"),
    "truncated gzip": (
        both(swap("cohort.yaml", "small.csv", "small.csv.gz"),
             put("small.csv.gz", gzip.compress(rows("small").encode())[:-20])),
        "small.csv.gz: not a whole gzip file",
    ),
    "gzip by name only": (
        both(swap("cohort.yaml", "small.csv", "small.csv.gz"), put("small.csv.gz", rows("small"))),
        "small.csv.gz: not a whole gzip file",
    ),
    "gzip bomb": (
        both(swap("cohort.yaml", "small.csv", "small.csv.gz"),
             put("small.csv.gz", gzip.compress(bytes(5_000_000)))),
        "bytes unpack to more than",
    ),
    "tar": (put("small.csv", tar("../../evil.csv")), "small.csv: holds NUL bytes, expected UTF-8"),
    "packed tar": (
        both(swap("cohort.yaml", "small.csv", "small.csv.gz"),
             put("small.csv.gz", gzip.compress(tar("../../evil.csv")))),
        "small.csv.gz: holds NUL bytes, expected UTF-8",
    ),
    "zip": (put("small.csv", zipped("../../evil.csv")), "small.csv: holds NUL bytes, expected"),
    # The shape
    "sep= for Excel": (
        alter("small.csv", lambda data: b"sep=,\r\n" + data),
        "small.csv, line 1: sep=, is for Excel; remove the line",
    ),
    "semicolons": (
        alter("small.csv", lambda data: data.replace(b",", b";")),
        "small.csv: found 1 column, expected 7: is the delimiter ';'?",
    ),
    "tabs": (
        alter("small.csv", lambda data: data.replace(b",", b"\t")), "is the delimiter '\\t'?"
    ),
    "no header": (
        put("small.csv", ROW * 9),
        "small.csv: the first line holds no declared column; is it a header?",
    ),
    "ragged row": (
        put("small.csv", HEAD + ROW + "small-1,x,3\n"), "line 3, found 3 columns, expected 7"
    ),
    "long row": (
        put("small.csv", HEAD + ROW[:-1] + ",9\n"), "line 2, found 8 columns, expected 7"
    ),
    "open quote": (put("small.csv", HEAD + ROW + '"small'), "line 3: unexpected end of data"),
    "stray quote": (put("small.csv", HEAD + 'a,"b"c,1,1,1,0,0\n'), "small.csv, line 2: ',' expected after"),
    "duplicated column": (
        swap("small.csv", "crp", "age"), 'small.csv: column "age" appears 2 times'
    ),
    "column missing": (swap("small.csv", "lab", "lap"), 'column "lab" is declared and absent'),
    "column misspelt": (
        swap("small.csv", "lab", "labb"), 'column "labb" is not declared, did you mean "lab"?'
    ),
    "10^5 columns": (
        put("small.csv", ",".join(f"c{i}" for i in range(100_000)) + ",id\n" + "0," * 100_000),
        "more columns like these",
    ),
    "huge column name": (swap("small.csv", "lab", "x" * 50_000), f'column "{"x" * 80}…"'),
    "huge cell": (cell(2, "name", "x" * 200_000), "line 2: field larger than field limit"),
    # The cells
    "word for number": (
        cell(3, "age", "old"),
        'small.csv, line 3, column age: got "old", expected a number in years between 0 and 110',
    ),
    "infinity": (cell(3, "lab", "inf"), 'line 3, column lab: got "inf", expected a number'),
    "not a number": (cell(3, "lab", "NaN"), 'line 3, column lab: got "NaN", expected a number'),
    "1e309": (cell(3, "lab", "1e309"), 'line 3, column lab: got "1e309", expected a number'),
    "beyond float32": (cell(3, "lab", "1e39"), 'line 3, column lab: got "1e39", expected a number'),
    "hexadecimal": (cell(3, "lab", "0x1F"), 'got "0x1F", expected a number'),
    "date for number": (cell(3, "lab", "2020-01-31"), 'got "2020-01-31", expected a number'),
    "thousands": (cell(3, "lab", "1 234"), 'got "1 234", expected a number'),
    "decimal comma": (cell(3, "lab", '"1,5"'), 'got "1,5", expected a number'),
    "number and unit": (cell(3, "crp", "12 mg/l"), 'got "12 mg/l", expected a number in mg/l'),
    "swapped units": (
        every("crp", lambda i: f"{5000 + i}"),
        'column crp: got "5000", expected a number in mg/l between 0 and 500',
    ),
    "arabic digits": (cell(3, "lab", "١٢"), 'got "١٢", expected a number'),
    "unknown category": (cell(3, "sex", "2"), 'column sex: got "2", expected one of 0, 1'),
    "mixed types": (every("sex", lambda i: "female" if i % 3 else "0"), 'got "female"'),
    "huge category": (every("sex", lambda i: f"code{i}"), "… and 4 more"),
    "no patient": (cell(3, "id", ""), "line 3, column id: missing, expected a patient identifier"),
    # The outcome and the patients
    "label missing": (every("ill", ""), 'small.csv: no row records outcome "ill"'),
    "label unknown": (cell(3, "ill", "perhaps"), 'got "perhaps", expected one of 0, 1'),
    "label constant": (every("ill", "1"), "small has only patients with ill=1"),
    "one positive": (every("ill", lambda i: str(int(i == 0))), "small has 1 patient with ill=1; 2 folds need at least 4"),
    "one patient": (put("small.csv", HEAD + ROW), "small has only patients with ill=0"),
    "two patients": (put("small.csv", HEAD + ROW + ROW.replace("small-0", "small-1")), "small has only patients with ill=0"),
    "one person many rows": (every("id", "small-0"), "small has only patients with ill=0"),
    "all missing": (
        both(every("age", ""), every("crp", ""), every("lab", ""), every("sex", "")), "small.csv: every measurement is missing in all 24 rows"
    ),
    "label constant in source": (every("ill", "1", "big.csv"), "big has only patients with ill=1"),
    "patient in both": (
        every("id", lambda i: f"big-{i}"), "24 patient identifiers of the target also in the source"
    ),
    "zero-width space in an identifier": (
        cell(3, "id", "big-\u200b7"),
        "2 rows with patient identifiers that look like another's and are not the same text (big line 9; small line 3)",
    ),
    "accent written in two ways": (
        both(cell(3, "id", "Zoë Canary"), cell(9, "id", "Zoe\u0308 Canary")), "(small lines 3, 9): they differ in blanks"
    ),
    "blank that does not break": (
        both(cell(3, "id", "Eve Canary"), cell(5, "id", "Eve\u00a0Canary")), "(small lines 3, 5): they differ in blanks"
    ),
    "outcome in a column": (
        both(*(every("lab", lambda i: str(i // 2 % 2), f"{site}.csv") for site in SITES)),
        "lab alone tells ill in every target row that has it",
    ),
}  # fmt: skip


DESCRIPTIONS: Cases = {
    "absent": (absent("cohort.yaml"), "cohort.yaml: there is no such file"),
    "folder": (folder("cohort.yaml"), "cohort.yaml: Is a directory"),
    "empty": (put("cohort.yaml", ""), "cohort.yaml: the file: expected keys with values, got None"),
    "a list": (put("cohort.yaml", "- 1\n"), "the file: expected keys with values, got [1]"),
    "not yaml": (put("cohort.yaml", "name: [1"), "cohort.yaml, line "),
    "a tab": (put("cohort.yaml", "name:\n\tx: 1"), "cohort.yaml, line 2"),
    "NUL bytes": (put("cohort.yaml", "name: \0"), "cohort.yaml: not YAML"),
    "latin-1": (put("cohort.yaml", "name: Zoë".encode("latin-1")), "cohort.yaml: not UTF-8 text"),
    "nested deep": (put("cohort.yaml", "[" * 20_000), "cohort.yaml: nested too deep"),
    "alias bomb": (
        put("cohort.yaml", "a0: &a0 [x]\n" + "".join(
            f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12))),
        "its aliases (*) stand for more than",
    ),
    "holds itself": (put("cohort.yaml", "name: &a [*a]\n"), "its aliases (*) stand for more than"),
    "python object": (
        put("cohort.yaml", "name: !!python/object/apply:os.system ['touch canary']\n"),
        "cohort.yaml, line 1: could not determine a constructor",
    ),
    "key twice": (swap("cohort.yaml", "  lab:", "  crp:"), '"crp" is written twice'),
    "unknown key": (
        swap("cohort.yaml", "patient: id", "patients: id"),
        'patients: unknown key, did you mean "patient"?',
    ),
    "unknown kind": (
        swap("cohort.yaml", "kind: category", "kind: categorical"), 'did you mean "category"?'
    ),
    "unquoted no": (swap("cohort.yaml", "{0: female, 1: male}", "{no: a, yes: b}"), "in quotes"),
    "range reversed": (
        swap("cohort.yaml", "[0, 110]", "[110, 0]"), "expected [lowest, highest], got [110, 0]"
    ),
    "range not a number": (swap("cohort.yaml", "[0, 110]", "[.nan, 1]"), "columns.age.range"),
    "classes overlap": (swap("cohort.yaml", "positive: [1]", "positive: [0]"), "outcomes.ill"),
    "file outside": (
        swap("cohort.yaml", "file: small.csv", "file: ../small.csv"),
        "lies outside the cohort's folder",
    ),
    "file absolute": (
        swap("cohort.yaml", "file: small.csv", "file: /etc/passwd"),
        "lies outside the cohort's folder",
    ),
    "file with NUL": (
        swap("cohort.yaml", "file: small.csv", 'file: "small\\0.csv"'),
        "cannot be the name of a file",
    ),
    "foreign reader": (
        swap("cohort.yaml", "file: small.csv", "file: small.csv, format: {reader: os.system}"),
        '"os.system" is not a reader: expected medgraft.cohorts.readers.*.read',
    ),
    "borrowed reader": (
        swap("cohort.yaml", "file: small.csv",
             "file: small.csv, format: {reader: medgraft.cohorts.readers.csv.Path}"),
        '"medgraft.cohorts.readers.csv.Path" is not a reader: expected medgraft.cohorts.readers.*.read',
    ),
    "private reader": (
        swap("cohort.yaml", "file: small.csv",
             "file: small.csv, format: {reader: medgraft.cohorts.readers.fasta._records}"),
        "is not a reader: expected medgraft.cohorts.readers.*.read",
    ),
    "unknown option": (
        swap("cohort.yaml", "file: small.csv", "file: small.csv, format: {delimeter: ;}"),
        'did you mean "delimiter"?',
    ),
    "bad delimiter": (
        swap("cohort.yaml", "file: small.csv", "file: small.csv, format: {delimiter: 7}"),
        "sites.small.format.delimiter: got 7, expected a text",
    ),
    "outcome measured": (
        swap("cohort.yaml", "  name: {", "  ill: {"), 'column "ill" is also declared under columns'
    ),
    "no columns": (
        put("cohort.yaml", "name: x\noutcomes: {}\ncolumns: {}\nsites: {}\n"), "needs at least 1"
    ),
    "site unknown": (
        swap("cohort.yaml", "  small:", "  smal:"), 'no site is called "small", did you mean "smal"'
    ),
}  # fmt: skip

DNA = ">small0\n" + "ACGT" * 7 + "AC\n"
SEQUENCES: Cases = {
    "empty": (put("small.fasta", ""), "begins with neither"),
    "no header": (put("small.fasta", "ACGT\n"), 'begins with neither ">" (FASTA) nor "@" (FASTQ)'),
    "protein in DNA": (swap("small.fasta", ">small1\n", ">small1\nMKLV\n"), 'line 3, column'),
    "twice": (alter("small.fasta", lambda d: d + DNA.encode()), 'the record comes a second'),
    "empty record": (alter("small.fasta", lambda d: d + b">x\n"), 'the record is empty'),
    "too short": (swap("small.fasta", ">small1\n", ">y\nACGT\n>small1\n"), "line 3, the record has no label in"),
    "no label": (alter("small.csv", lambda d: d.replace(b"small3,1\n", b"")), "has no label in"),
    "label of nobody": (alter("small.csv", lambda d: d + b"nobody,1\n"), "none of its name is in"),
    "labelled twice": (alter("small.csv", lambda d: d + b"small3,0\n"), "labelled a second time"),
    "labels outside": (
        swap("cohort.yaml", "labels: small.csv", "labels: ../../x.csv"),
        "../../x.csv: lies outside the cohort's folder",
    ),
    "labels by link": (
        link("small.csv", "/etc/hostname"), "small.csv: is a link to outside the cohort's folder"
    ),
    "truncated fastq": (put("small.fasta", "@small0\nACGT\n+\nII"), "not a whole FASTQ file"),
    "NUL bytes": (alter("small.fasta", lambda d: d.replace(b"A", b"\0", 1)), "got \"\\x00\" at"),
    "binary": (put("small.fasta", b">\xff\xfe\n\x80\n"), "small.fasta"),
    "U and T": (swap("small.fasta", ">small1\n", ">small1\nUT"), "got 32 letters, expected 30"),
    "mark before UTF-8, no header": (put("small.fasta", b"\xef\xbb\xbfACGT\n"), "begins with neither"),
    "labels not a name": (
        swap("cohort.yaml", "labels: small.csv", "labels: 7"), "labels: got 7, expected a text"
    ),
}  # fmt: skip

OBJECTS = np.array([{"a": 1}] * 24, dtype=object)[:, None]
ARCHIVES: Cases = {
    "empty": (put("small.npz", b""), "small.npz: not a whole npz file"),
    "truncated": (alter("small.npz", lambda d: d[: len(d) // 2]), "not a whole npz file"),
    "damaged member": (alter("small.npz", lambda d: d[:200] + b"\xff" * 99 + d[299:]), "small.npz"),
    "an npy": (put("small.npz", b"\x93NUMPY\x01\0"), "small.npz: not a whole npz file"),
    "pickled labels": (
        put("small.npz", archive("small", train_labels=OBJECTS)),
        "Object arrays cannot be loaded when allow_pickle=False",
    ),
    "no images": (put("small.npz", archive("small", train_images=None)), "expected arrays train_"),
    "no labels": (put("small.npz", archive("small", train_labels=None)), "without train_labels"),
    "fewer labels": (
        put("small.npz", archive("small", train_labels=np.zeros(3, np.uint8))),
        "24 train_images, 3 train_labels",
    ),
    "label a scalar": (put("small.npz", archive("small", train_labels=np.array(1))), "small.npz"),
    "images a scalar": (put("small.npz", archive("small", train_images=np.array(1))), "small.npz"),
    "float images": (
        put("small.npz", archive("small", train_images=np.zeros((24, 8, 6)))), "expected uint8"
    ),
    "other size": (
        put("small.npz", archive("small", train_images=np.zeros((24, 9, 9), np.uint8))),
        "is 9 × 9 pixels (width × height), expected 6 × 8",
    ),
    "colour": (
        put("small.npz", archive("small", train_images=np.zeros((24, 8, 6, 3), np.uint8))),
        "has 3 channels, expected 1",
    ),
    "label NaN": (
        put("small.npz", archive("small", train_labels=np.full(24, np.nan))), 'got "nan"'
    ),
    "claims too much": (
        lambda at: (at / "small.npz").write_bytes(absurd()), "small.npz: not a whole npz file"
    ),
    "path traversal": (
        lambda at: (at / "small.npz").write_bytes(zipped("../../evil.npy")), "expected arrays"
    ),
    "unknown part": (
        put("small.npz", archive("small", valid_images=np.zeros((5, 8, 6), np.uint8))),
        'small.npz: holds "valid_images", expected images and labels of train, val or test',
    ),
    "labels of nobody": (
        put("small.npz", archive("small", val_labels=np.zeros((5, 1), np.uint8))),
        "small.npz: holds val_labels without val_images",
    ),
    "nobody": (
        put("small.npz", archive("small", train_images=np.zeros((0, 8, 6), np.uint8),
                                 train_labels=np.zeros((0, 1), np.uint8))),
        "small.npz: holds no rows",
    ),
    "folder": (folder("small.npz"), "small.npz: is a folder, expected a file"),
    "pipe": (pipe("small.npz"), "small.npz: is a device or a pipe, expected a file"),
    "absent": (absent("small.npz"), "small.npz: there is no such file"),
}  # fmt: skip


def absurd() -> bytes:
    """A header that claims 10^15 images."""
    header = io.BytesIO()
    shape = {"descr": "|u1", "fortran_order": False, "shape": (10**15, 8, 6)}
    np.lib.format.write_array_header_1_0(header, shape)
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archived:
        for part in ("images", "labels"):
            archived.writestr(f"train_{part}.npy", header.getvalue() + bytes(100))
    return data.getvalue()


FILMS: Cases = {
    "absent": (absent("small1.png"), 'line 3, column film: the image cannot be read'),
    "empty": (put("small1.png", b""), 'the image is not a PNG, JPEG or DICOM image'),
    "text": (put("small1.png", "hello"), 'the image is not a PNG, JPEG or DICOM image'),
    "truncated": (alter("small1.png", lambda d: d[:50]), 'the image is damaged or cut short'),
    "other size": (put("small1.png", png(shades(9, 9))), "is 9 × 9 pixels"),
    "colour": (put("small1.png", png(shades(channels=3))), "is 8-bit colour, expected 8-bit grey"),
    "folder": (folder("small1.png"), 'the image cannot be read'),
    "pipe": (
        both(absent("small1.png"), lambda at: os.mkfifo(at / "small1.png")), "cannot be read"
    ),
    "outside": (
        swap("small.csv", "small1.png", "../params.yaml"), "lies outside the cohort's folder"
    ),
    "absolute": (swap("small.csv", "small1.png", "/etc/passwd"), "lies outside the cohort's"),
    "link to outside": (
        link("small1.png", "/etc/passwd"), 'the image is a link to outside the cohort'
    ),
    "not base64": (swap("small.csv", "small1.png", "data:image/png;base64!AAA"), "cannot be read"),
    "svg": (put("small1.png", "<svg/>"), "is not a PNG, JPEG or DICOM image"),
    "no such archive": (swap("small.csv", "small1.png", "x.npz#a/0"), "there is no such file"),
    "missing": (swap("small.csv", "small1.png", '""'), "column film: missing, expected an image"),
}  # fmt: skip


def scan(**tags) -> Edit:
    """One film with these tags."""
    return lambda at: (at / "small1.dcm").write_bytes(
        dicom(shades().astype(np.int16), PatientID="X", **tags)
    )


def tag(**tags) -> Edit:
    """One film with a patient's name where its first tag has a value."""
    name, value = next(iter(tags.items()))
    written = value if isinstance(value, str) else "12345678901"
    return both(
        scan(**tags | {name: written}),
        alter("small1.dcm", lambda data: data.replace(written.encode(), b"Canary^Eve1")),
    )


SCANS: Cases = {
    "absent": (absent("small1.dcm"), 'line 3, column film: the image cannot be read'),
    "truncated": (alter("small1.dcm", lambda d: d[:-30]), 'the image is a damaged DICOM file'),
    "only a preamble": (put("small1.dcm", bytes(128) + b"DICM"), 'the image is a'),
    "no patient": (
        put("small1.dcm", dicom(shades().astype(np.int16), PatientID="")),
        "line 3, column who: missing, expected a patient identifier",
    ),
    "frames": (put("small1.dcm", dicom(np.zeros((2, 8, 6)), PatientID="X")), "holds 2 frames"),
    "no pixels": (put("small1.dcm", dicom(None, PatientID="X")), "a DICOM file without pixels"),
    "name for a slope": (tag(RescaleSlope=1, RescaleIntercept=0), "has a RescaleSlope that is no finite"),
    "name for a window": (tag(WindowCenter=1, WindowWidth=1), "has a WindowCenter that is no finite"),
    "name for a kind": (
        tag(PhotometricInterpretation="MONOCHROME9"), "has an unknown PhotometricInterpretation, expected"
    ),
    "name for a modality": (
        put("small1.dcm", dicom(None, PatientID="X", Modality="CANARY")), "(modality unknown)"
    ),
    "slope 0": (
        scan(RescaleSlope="0", RescaleIntercept="0"), "has a RescaleSlope or RescaleIntercept that leaves no"
    ),
    "intercept beyond": (
        scan(RescaleSlope="1", RescaleIntercept="1e39"), "has a RescaleSlope or RescaleIntercept that leaves"
    ),
    "window nan": (scan(WindowCenter="nan", WindowWidth="9"), "has a WindowCenter that is no finite"),
    "window negative": (scan(WindowCenter="9", WindowWidth="-9"), "has a WindowWidth that is not above 0"),
    "outside": (swap("small.csv", "small1.dcm", "../../x.dcm"), "lies outside the cohort's folder"),
    "image column misnamed": (
        swap("cohort.yaml", "image: film", "image: flim"), 'did you mean "film"?'
    ),
}  # fmt: skip


def cells_anndata(at) -> None:
    (at / "small_matrix.h5ad").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))


def named(data: bytes) -> bytes:
    """The matrix with a column of patients' names."""
    header, *lines = data.splitlines()
    return b"\n".join([header + b",name", *(line + b",Eve Canary" for line in lines), b""])


PARQUET = io.BytesIO()
pl.DataFrame({"sample": ["small0"], "1": [1.0]}).write_parquet(PARQUET)
MATRIX = "small_matrix"
GENES: Cases = {
    "absent": (absent("small_matrix.csv"), "small_matrix.csv: there is no such file"),
    "empty": (put("small_matrix.csv", ""), "small_matrix.csv: holds no matrix: 0 lines"),
    "header only": (put("small_matrix.csv", "sample,1\n"), "holds no matrix: 1 lines"),
    "blank first line": (alter("small_matrix.csv", lambda d: b"\n" + d), "small_matrix.csv"),
    "ragged": (alter("small_matrix.csv", lambda d: d + b"x,1\n"), "line 26: expected 6 columns, got 2"),
    "NUL bytes": (alter("small_matrix.csv", lambda d: d + b"\0"), "holds NUL bytes"),
    "utf-16": (alter("small_matrix.csv", lambda d: d.decode().encode("utf-16")), "not UTF-8 text"),
    "word": (
        alter("small_matrix.csv", lambda d: d.replace(b"small1,", b"small1,x", 1)), 'gene 1: got "x'
    ),
    "infinite": (
        swap("small_matrix.csv", "small1,", "small1,inf,1,1,1,1\nother,"),
        'got "inf", expected a logarithm',
    ),
    "sample absent": (
        swap("small_matrix.csv", "small7,", "smal7,"),
        'column sample: no such sample in big_matrix.csv or small_matrix.csv',
    ),
    "sample twice": (swap("small_matrix.csv", "small7,", "small6,"), "small_matrix.csv: rows 7 and 8 (without the header) have one name"),
    "gene without a name": (swap("small_matrix.csv", "1,2,3", "1,,3"), "small_matrix.csv: column 2 (without the header) has no name"),
    "comma at the end": (
        alter("small_matrix.csv", lambda d: d.replace(b"\n", b",\n")),
        "small_matrix.csv: column 6 (without the header) has no name",
    ),
    "sample without a name": (swap("small_matrix.csv", "small7,", " ,"), "small_matrix.csv: row 8 (without the header) has no name"),
    "gene twice": (swap("small_matrix.csv", "1,2,3", "1,1,3"), "small_matrix.csv: columns 1 and 2 (without the header) have one name"),
    "outside": (
        swap("cohort.yaml", "small_matrix.csv", "../x.csv"), "lies outside the cohort's folder"
    ),
    "other ending": (swap("cohort.yaml", "small_matrix.csv", "m.xlsx"), "m.xlsx: there is no"),
    "truncated parquet": (
        both(swap("cohort.yaml", "small_matrix.csv", "m.parquet"),
             put("m.parquet", PARQUET.getvalue()[:-9])),
        "m.parquet: not a whole parquet table",
    ),
    "damaged h5ad": (
        both(swap("cohort.yaml", "small_matrix.csv", "small_matrix.h5ad"), cells_anndata),
        "small_matrix.h5ad: ",
    ),
    "open quote": (alter("small_matrix.csv", lambda d: d + b'"x,1,2,3,4,5'), "small_matrix.csv"),
    "names": (alter("small_matrix.csv", named), f"small_matrix.csv: {WORDS}"),
    "negative counts": (
        alter("cohort.yaml", lambda d: d.replace(b"values: log", b"values: counts")),
        "expected a count of at least 0",
    ),
}  # fmt: skip

KINDS = {
    "table": (project, TABLES),
    "description": (project, DESCRIPTIONS),
    "sequence": (lambda at: project(at, "sequence"), SEQUENCES),
    "npz": (archives_project, ARCHIVES),
    "image": (lambda at: project(at, "image"), FILMS),
    "dicom": (scans_project, SCANS),
    "expression": (lambda at: project(at, "expression"), GENES | MATRICES),
    "parquet": (parquets, PARQUETS),
    "survival": (followed, SURVIVAL),
    "anndata": (anndata, ANNDATA),
}
NEEDED = {"dicom": "pydicom", "anndata": "h5py"}
ALL = [(kind, name) for kind, (_, cases) in KINDS.items() for name in cases]


@pytest.mark.parametrize(("kind", "name"), ALL, ids=[f"{kind}-{name}" for kind, name in ALL])
def test_malformed_input_is_refused(kind, name, tmp_path, monkeypatch, capfd, recwarn):
    """Exit code 2, the message expected, nothing written, nobody named, no word beside it."""
    if kind in NEEDED:
        pytest.importorskip(NEEDED[kind])
    make, cases = KINDS[kind]
    spoil, said = cases[name]
    place = make(tmp_path / "project")
    spoil(place / "clinic")
    monkeypatch.chdir(place)
    monkeypatch.setattr(files, "MOST_BYTES", 1_000_000)
    recwarn.clear()  # what writing a malformed file warned of
    with pytest.raises(SystemExit) as ended:
        run(preprocess, name="preprocess")
    told = capfd.readouterr()
    shown = [one for one in recwarn if issubclass(one.category, UserWarning | RuntimeWarning)]
    assert not [str(one.message) for one in shown]
    assert ended.value.code == 2
    assert said in told.err
    assert told.err.startswith("preprocess: ")
    assert told.err.count("\n") <= 22
    assert told.err.replace("\n", "").isprintable()
    assert "Traceback" not in told.err
    assert told.out == ""
    assert "Canary" not in told.err
    assert not re.search(r"small\d", told.err), "a record's name may be a patient's"
    assert not list((place / "work").rglob("*"))
    assert not (place / "canary").exists()


def test_corpus_is_large():
    assert len(ALL) >= 80

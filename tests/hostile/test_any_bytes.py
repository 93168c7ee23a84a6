"""Whatever bytes a file holds, each reader reads it or refuses it in our words."""

import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cohorts.images.simulated import dicom, shades
from medgraft.cohorts import anndata, matrices
from medgraft.cohorts.images import archives, pictures
from medgraft.cohorts.images import dicom as dicoms
from medgraft.cohorts.readers import csv, fasta
from medgraft.errors import CohortError

WORDS = st.sampled_from([b">", b"@", b"+", b"\n", b"\r", b",", b'"', b"\0", b"id", b"1e309", b"PK"])
TEXTS = st.lists(WORDS | st.binary(max_size=6), max_size=30).map(b"".join)
MAGIC = st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", bytes(128) + b"DICM"])


def refusal(call, *arguments) -> str | None:
    """What was said where the input was refused; anything else that is raised fails the test."""
    try:
        call(*arguments)
    except (CohortError, pictures.UnreadableImageError) as error:
        return str(error)
    return None


def opened(path: Path) -> None:
    with archives.opened(path) as archive:
        assert all(archive[name] is not None for name in archive.files)


READERS = {
    "table.csv": lambda path: csv.read(path, expected=["id"]),
    "records.fasta": lambda path: fasta.read(path, expected=["sequence"]),
    "matrix.csv": lambda path: matrices.read(path, wanted=["a"], missing=()),
    "matrix.parquet": lambda path: matrices.read(path, wanted=["a"], missing=()),
    "images.npz": opened,
}


@pytest.mark.parametrize("name", READERS)
@settings(max_examples=60, deadline=None)
@given(data=TEXTS)
def test_any_bytes_are_read_or_refused(name, data):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(data)
        assert name in (refusal(READERS[name], path) or name)


@settings(max_examples=60, deadline=None)
@given(magic=MAGIC, data=TEXTS)
def test_any_picture_is_read_or_refused(magic, data):
    assert refusal(lambda: pictures.loaded(pictures.picture(magic + data))) != ""


@st.composite
def spoilt(draw, data: bytes) -> bytes:
    """A sound file with some of its bytes replaced, left out or repeated, perhaps cut short."""
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, len(data)))
        gone = draw(st.integers(0, 8))
        data = data[:place] + draw(st.binary(max_size=8)) + data[place + gone :]
    return data[: draw(st.integers(0, len(data)))] if draw(st.booleans()) else data


@cache
def sound_scan() -> bytes:
    pytest.importorskip("pydicom")
    return dicom(shades().astype(np.int16), RescaleSlope=2, RescaleIntercept=-9, WindowCenter=1)


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_any_spoilt_scan_is_read_or_refused(data):
    file = data.draw(spoilt(sound_scan()))
    told = refusal(lambda: dicoms.picture(file))
    assert told != ""
    assert dicoms.patient(file) is not None


@cache
def sound_anndata() -> bytes:
    h5py = pytest.importorskip("h5py")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.h5ad"
        with h5py.File(path, "w") as file:
            for name in ("obs", "var"):
                group = file.create_group(name)
                group.attrs["_index"] = "names"
                group["names"] = ["a", "b", "c"]
            file["X"] = np.arange(9.0).reshape(3, 3)
        return path.read_bytes()


@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_any_spoilt_anndata_is_read_or_refused(data):
    """A few, as a process of its own reads each first; benchmarks/fuzz.py has more."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.h5ad"
        path.write_bytes(data.draw(spoilt(sound_anndata())))
        assert "x.h5ad" in (refusal(anndata.read, path) or "x.h5ad")


NAMES = st.text("abcXYZ019_.-", min_size=1, max_size=12)
RECORDS = st.dictionaries(NAMES, st.text("ACGTN", min_size=1, max_size=90), min_size=1, max_size=9)


@settings(max_examples=60, deadline=None)
@given(records=RECORDS, width=st.integers(1, 100), end=st.sampled_from(["\n", "\r\n"]))
def test_fasta_gives_back_what_was_written(records, width, end):
    """However lines are broken; each record is named by the line it begins on."""
    lines, starts = [], []
    for name, letters in records.items():
        starts.append(len(lines) + 1)
        lines += [f">{name} of somebody"]
        lines += [letters[at : at + width] for at in range(0, len(letters), width)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "records.fasta"
        path.write_bytes(end.join([*lines, ""]).encode())
        table = fasta.read(path, expected=["id", "sequence"])
    assert dict(zip(table.cells["id"], table.cells["sequence"], strict=True)) == records
    assert table.lines.tolist() == starts
    assert not table.problems


@settings(max_examples=40, deadline=None)
@given(
    values=st.lists(
        st.lists(st.floats(-1e6, 1e6, allow_subnormal=False), min_size=3, max_size=3),
        min_size=1,
        max_size=6,
    ),
    turned=st.booleans(),
)
def test_matrix_gives_back_what_was_written(values, turned):
    """Samples as rows or as columns, whichever side the table of patients speaks of."""
    samples, genes = [f"s{i}" for i in range(len(values))], ["g1", "g2", "g3"]
    rows, columns = (genes, samples) if turned else (samples, genes)
    cells = np.array(values).T if turned else np.array(values)
    text = ",".join(["", *columns]) + "\n"
    text += "".join(
        ",".join([name, *map(repr, map(float, row))]) + "\n"
        for name, row in zip(rows, cells, strict=True)
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "matrix.csv"
        path.write_text(text)
        matrix = matrices.read(path, wanted=samples, missing=())
    assert matrix.samples.tolist() == samples
    assert matrix.probes.tolist() == genes
    np.testing.assert_array_equal(matrix.values, np.array(values))

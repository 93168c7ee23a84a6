import gzip
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from medgraft.cohorts import matrices
from medgraft.errors import CohortError

TEXT = "sample,g1,g2,g3\ns1,1,2.5,\ns2,-1e-3,NA,9\n"
VALUES = [[1, 2.5, np.nan], [-1e-3, np.nan, np.nan]]  # 9 is a code for missing


def read(path: Path, wanted=("s1", "s2")):
    return matrices.read(path, wanted=wanted, missing=("", 9))


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return path


def written(folder: Path, name: str) -> Path:
    """The same matrix in every format."""
    if name.endswith(".parquet"):
        frame = pl.read_csv(TEXT.encode(), null_values="NA")
        frame.write_parquet(folder / name)
        return folder / name
    text = TEXT.replace(",", "\t") if ".tsv" in name else TEXT
    if "genes_in_rows" in name:
        text = "\n".join(
            ",".join(row) for row in zip(*(x.split(",") for x in text.split()), strict=True)
        )
    if "without_corner" in name:
        text = text.removeprefix("sample,")
    return write(folder, name, text)


@pytest.mark.parametrize(
    "name",
    ["x.csv", "x.csv.gz", "x.tsv", "x.parquet", "genes_in_rows.csv", "without_corner.csv"],
)
def test_every_format_reads_alike(name, tmp_path):
    found = read(written(tmp_path, name))
    assert found.samples.tolist() == ["s1", "s2"]
    assert found.probes.tolist() == ["g1", "g2", "g3"]
    np.testing.assert_array_equal(found.values, VALUES)
    assert found.foreign == {}


@pytest.mark.parametrize("stored", ["dense", "csr_matrix", "csc_matrix"])
def test_anndata_layout_is_read(stored, tmp_path):
    h5py = pytest.importorskip("h5py")
    from scipy import sparse

    counts = np.array([[0, 3, 0], [5, 0, 1]], np.float32)
    with h5py.File(tmp_path / "x.h5ad", "w") as file:
        for name, ids in (("obs", ["s1", "s2"]), ("var", ["g1", "g2", "g3"])):
            group = file.create_group(name)
            group.attrs["_index"] = "_index"
            group["_index"] = ids
        if stored == "dense":
            file["X"] = counts
        else:
            matrix = getattr(sparse, stored)(counts)
            group = file.create_group("X")
            group.attrs["encoding-type"] = stored
            for part in ("data", "indices", "indptr"):
                group[part] = getattr(matrix, part)
    found = read(tmp_path / "x.h5ad")
    np.testing.assert_array_equal(found.values, counts)
    assert (found.samples.tolist(), found.probes.tolist()) == (["s1", "s2"], ["g1", "g2", "g3"])


def test_absent_reader_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)
    path = write(tmp_path, "x.h5ad", "")
    with pytest.raises(CohortError) as error:
        read(path)
    assert str(error.value) == f"{path}: reading .h5ad needs h5py: pip install 'medgraft[h5ad]'"


def test_cell_that_is_no_number_is_kept(tmp_path):
    path = write(tmp_path, "x.csv", "sample,g1,g2\ns1,1,high\ns2,inf,2\n")
    found = read(path)
    assert found.foreign == {(0, 1): "high", (1, 0): "inf"}
    np.testing.assert_array_equal(found.values, [[1, np.nan], [np.nan, 2]])
    turned = read(path, wanted=["g1", "g2"])
    assert turned.foreign == {(1, 0): "high", (0, 1): "inf"}


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("x.csv", "sample,g1,g2\ns1,1,2\ns2,1\n", ", line 3: expected 3 columns, got 2"),
        ("x.csv", "sample,g1,g2,g3\ns1,1\n", ", line 2: expected 4 columns, got 2"),
        ("x.csv", "sample;g1\ns1;1\n", ": found 1 column, expected ids and numbers between ','"),
        ("x.csv", "sample,g1\n", ": holds no matrix: 1 lines"),
        (
            "x.csv",
            "sample,g1\nx,0\ns1,1\ns1,2\n",
            ": rows 2 and 3",
        ),
        ("x.csv", "sample,g,g,h,h\ns1,1,2,3,4\n", ': "g" stands in it twice and 1 more'),
        ("x.xls", "", ": got a file *.xls, expected one of .csv, .tsv, .txt, .parquet, .h5ad"),
        ("x.parquet", "sample", ": not a whole parquet table"),
        ("x.h5ad", "sample", ": not an AnnData file"),
    ],
)
def test_unreadable_matrix_is_refused(name, text, told, tmp_path):
    if name == "x.h5ad":
        pytest.importorskip("h5py")
    path = write(tmp_path, name, text)
    with pytest.raises(CohortError) as error:
        read(path)
    assert str(error.value).split(" (")[0] == f"{path}{told}"


def test_truncated_gzip_is_refused(tmp_path):
    path = tmp_path / "x.csv.gz"
    path.write_bytes(gzip.compress(TEXT.encode())[:-9])
    with pytest.raises(CohortError) as error:
        read(path)
    assert str(error.value) == f"{path}: not a whole gzip file"


def test_absent_matrix_is_named(tmp_path):
    with pytest.raises(CohortError) as error:
        read(tmp_path / "x.csv")
    assert str(error.value) == f"{tmp_path / 'x.csv'}: there is no such file"


def test_path_is_no_pattern(tmp_path):
    folder = tmp_path / "trial [1] *"
    folder.mkdir()
    for name in ("m*.parquet", "m2.parquet", "m[1].parquet"):
        written(folder, name)
    for name in ("m*.parquet", "m[1].parquet"):
        np.testing.assert_array_equal(read(folder / name).values, VALUES)


@pytest.mark.parametrize(
    "kind", [pl.List(pl.Float64), pl.Struct({"Eve": pl.Float64}), pl.Binary, pl.Date, pl.Boolean]
)
def test_column_of_no_numbers_is_named_by_its_place(kind, tmp_path):
    """Its name may be a patient's, as columns may be samples."""
    frame = pl.DataFrame(
        {"sample": ["s1"], "Eve": [None]}, schema={"sample": pl.String, "Eve": kind}
    )
    frame.write_parquet(tmp_path / "x.parquet")
    with pytest.raises(CohortError) as error:
        read(tmp_path / "x.parquet")
    told = f"{tmp_path / 'x.parquet'}: column 2 holds {kind.base_type()}, expected numbers"
    assert str(error.value) == told


@pytest.mark.parametrize(
    "text",
    [
        "sample,g1,name,note\ns1,1,Eve Canary,a\ns2,2,Ada,NA\n",
        "gene,s1,s2\ng1,1,2\nname,Eve Canary,Ada\nnote,a,NA\n",
    ],
)
def test_words_are_refused_once_and_not_repeated(text, tmp_path):
    path = write(tmp_path, "x.csv", text)
    with pytest.raises(CohortError) as error:
        read(path)
    assert str(error.value) == (
        f'{path}: no value of "name" (nor of 1 more) is a number; expected samples and genes '
        "alone: take it out of the file"
    )

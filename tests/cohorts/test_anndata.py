import os
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse as sp

from medgraft.cohorts import anndata, files
from medgraft.errors import CohortError

h5py = pytest.importorskip("h5py", reason="needs h5py: pip install 'medgraft[h5ad]'")

COUNTS = np.array([[0, 3, 0], [5, 0, 1]], np.float32)


@pytest.fixture
def place(tmp_path):
    """Two samples and three genes; tests replace X."""
    with h5py.File(tmp_path / "x.h5ad", "w") as file:
        for name, ids in (("obs", ["s1", "s2"]), ("var", ["g1", "g2", "g3"])):
            group = file.create_group(name)
            group.attrs["_index"] = "_index"
            group["_index"] = ids
    return tmp_path / "x.h5ad"


def sparse(place, kind="csr_matrix", **changes):
    """COUNTS as AnnData stores it by rows, with some of its parts replaced."""
    parts = {"data": [3.0, 5, 1], "indices": [1, 0, 2], "indptr": [0, 1, 3]} | changes
    with h5py.File(place, "a") as file:
        group = file.create_group("X")
        group.attrs["encoding-type"] = kind
        for name, values in parts.items():
            group[name] = values


def refused(place) -> str:
    with pytest.raises(CohortError) as caught:
        anndata.read(place)
    return str(caught.value).removeprefix(f"{place}: not an AnnData file ")


@pytest.mark.parametrize("fault", ["os.kill(os.getpid(), signal.SIGSEGV)", "while True: pass"])
def test_library_that_fails_takes_nobody_along(place, monkeypatch, fault):
    """Another process has read the file before; it has a library of that name that does this."""
    library = place.with_name("h5py.py")
    library.write_text(f"import os, signal\ndef File(path):\n    {fault}\n")
    paths = [str(library.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    monkeypatch.setattr(anndata, "SECONDS", 2)
    assert refused(place) == "(HDF5 crashes over it, or never ends)"


def test_sparse_rows_are_written_out(place):
    sparse(place)
    samples, genes, values = anndata.read(place)
    assert (samples.tolist(), genes.tolist()) == (["s1", "s2"], ["g1", "g2", "g3"])
    np.testing.assert_array_equal(values, COUNTS)


NUMBERS = ["f4", "f8", "i2", "i4", "i8", "u1", "u4"]
NAMES = st.text("abcXYZ019_.-é", min_size=1, max_size=9)


@settings(max_examples=100, deadline=None)
@given(
    samples=st.lists(NAMES, min_size=1, max_size=5, unique=True),
    genes=st.lists(NAMES, min_size=1, max_size=6, unique=True),
    layout=st.sampled_from(["array", "csr_matrix", "csc_matrix"]),
    kind=st.sampled_from(NUMBERS),
    pointers=st.sampled_from(["i4", "i8"]),
    packed=st.booleans(),
    data=st.data(),
)
def test_any_matrix_comes_back_as_it_was_written(
    samples, genes, layout, kind, pointers, packed, data
):
    """Every value with its sample and gene, in the file's order, whatever its layout and type."""
    cells = len(samples) * len(genes)
    numbers = st.lists(st.integers(0, 99) | st.just(0), min_size=cells, max_size=cells)
    values = np.array(data.draw(numbers)).reshape(len(samples), len(genes)).astype(kind)
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(anndata, "_try_apart", lambda _: None)  # a process each takes too long
        path = Path(folder) / "x.h5ad"
        with h5py.File(path, "w") as file:
            for name, ids in (("obs", samples), ("var", genes)):
                group = file.create_group(name)
                group.attrs["_index"] = "names"
                group["names"] = ids
            store(file, values, layout, pointers, compression="gzip" if packed else None)
        found = anndata.read(path)
    assert (found[0].tolist(), found[1].tolist()) == (samples, genes)
    np.testing.assert_array_equal(found[2], values)


def store(file, values, layout, pointers, **options):
    """X as AnnData writes it, sparse by scipy."""
    if layout == "array":
        file.create_dataset("X", data=values, chunks=values.shape, **options)
        return
    matrix = {"csr_matrix": sp.csr_array, "csc_matrix": sp.csc_array}[layout](values)
    group = file.create_group("X")
    group.attrs.update({"encoding-type": layout, "shape": values.shape})
    group["data"] = matrix.data
    group["indices"] = matrix.indices.astype(pointers)
    group["indptr"] = matrix.indptr.astype(pointers)


@pytest.mark.parametrize(
    "changes",
    [
        {"indices": [1, 0, 10**6]},
        {"indices": [1, 0, -1]},
        {"indices": [1, 0]},
        {"indptr": [0, 10**6, 3]},
        {"indptr": [0, 10**6, 0]},
        {"indptr": [0, 3, 1]},
        {"indptr": [-2, 1, 3]},
        {"indptr": [0, 3]},
        {"data": [[3.0], [5], [1]]},
        {"kind": "csc_matrix"},
    ],
    ids=str,
)
def test_pointers_that_lead_out_are_refused(changes, place):
    """scipy would write outside its memory, or give one patient the value of another."""
    sparse(place, **changes)
    assert refused(place) == "(X: data, indices and indptr do not fit each other, obs and var)"


def test_second_value_for_a_cell_is_refused(place):
    sparse(place, indices=[1, 2, 2])
    assert refused(place) == "(X holds two values for one sample and gene)"


@pytest.mark.parametrize(
    ("values", "told"),
    [
        (COUNTS.T, "(X has shape [3, 2], expected [2, 3] as obs and var say)"),
        (COUNTS[None], "(X has shape [1, 2, 3], expected [2, 3] as obs and var say)"),
        (COUNTS.ravel(), "(X has shape [6], expected [2, 3] as obs and var say)"),
        (COUNTS.astype(complex), "(/X holds complex128, expected numbers)"),
        (COUNTS.astype("S9"), "(/X holds bytes72, expected numbers)"),
        (np.zeros((2, 3), [("Eve", "f4")]), "(/X holds void32, expected numbers)"),
    ],
)
def test_no_other_form_becomes_numbers(values, told, place):
    with h5py.File(place, "a") as file:
        file["X"] = values
    assert refused(place) == told


def test_claims_are_refused_before_they_are_read(place):
    with h5py.File(place, "a") as file:
        file.create_dataset("X", (10**7, 10**7), "f4", chunks=(100, 100))
    assert refused(place) == "(/X would unpack to 372529 GiB; refused)"


def test_sparse_bomb_is_not_written_out(place, monkeypatch):
    monkeypatch.setattr(files, "MOST_BYTES", 40)
    monkeypatch.setattr(files, "MOST_TIMES", 0)
    sparse(place)
    assert refused(place) == "(X would unpack to 0 GiB; refused)"


def outside(place) -> str:
    with h5py.File(place.with_name("other.h5"), "w") as other:
        other["X"] = COUNTS
    return str(place.with_name("other.h5"))


def external(file, place):
    file["X"] = h5py.ExternalLink(outside(place), "X")


def circle(file, place):
    file["X"] = h5py.SoftLink("/X")


def stored_outside(file, place):
    file.create_dataset("X", (2, 3), "f4", external=[(outside(place), 0, h5py.h5f.UNLIMITED)])


def virtual(file, place):
    layout = h5py.VirtualLayout((2, 3), "f4")
    layout[:] = h5py.VirtualSource(outside(place), "X", (2, 3))
    file.create_virtual_dataset("X", layout)


@pytest.mark.parametrize("lead", [external, circle, stored_outside, virtual])
def test_nothing_leads_out_of_the_file(lead, place):
    with h5py.File(place, "a") as file:
        lead(file, place)
    assert refused(place).endswith("expected data in the file itself)")
    assert "other.h5" not in refused(place)


def test_ids_lie_in_their_group(place):
    with h5py.File(place, "a") as file:
        file["X"] = COUNTS
        file["obs"].attrs["_index"] = "../var/_index"
    assert refused(place) == "(/obs/../var/_index is a link, expected data in the file itself)"

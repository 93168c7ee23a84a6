import os

import numpy as np
import pytest

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

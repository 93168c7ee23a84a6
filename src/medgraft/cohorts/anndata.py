"""AnnData files (`.h5ad`): one number per sample and gene, all of it in the file itself.

The layout on disk: https://anndata.readthedocs.io/en/latest/fileformat-prose.html. What a file
claims is compared with what belongs together before any of its numbers is read, and another process
reads it first: over some damaged files HDF5's library crashes or never ends.
"""

import resource
import subprocess  # nosec B404
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medgraft.cohorts import files
from medgraft.errors import CohortError

# Of processor time, which a busy machine does not use up; a sound file stays far below.
SECONDS, BYTES_A_SECOND = 5, 1_000_000
Objects = NDArray[np.object_]
Numbers = NDArray[np.float64]
Shape = tuple[int, int]

REAL, WHOLE = "iuf", "iu"  # numpy's kinds: real numbers, whole numbers
# h5py raises nearly every kind over a damaged file.
DAMAGED = (
    *(OSError, LookupError, ValueError, TypeError, AttributeError),
    *(RuntimeError, MemoryError, OverflowError),
)


def read(path: Path) -> tuple[Objects, Objects, Numbers]:
    """The ids in `obs` [n], those in `var` [m], and `X` float64 [n, m].

    Raises:
        CohortError: h5py is not installed, or the file is not AnnData, links to what is not in it,
            or claims to hold absurdly much.
    """
    _try_apart(path)
    return _read(path)


def _try_apart(path: Path) -> None:
    """Read it where a crash or an endless loop ends a process that nobody needs."""
    seconds = SECONDS + path.stat().st_size // BYTES_A_SECOND
    command = [sys.executable, "-m", __spec__.name, str(path), str(seconds)]
    done = subprocess.run(command, capture_output=True, check=False)  # nosec B603
    if done.returncode < 0:  # ended by a signal: the fault's, or that of the limit
        raise CohortError(f"{path}: not an AnnData file (HDF5 crashes over it, or never ends)")


def _read(path: Path) -> tuple[Objects, Objects, Numbers]:
    with _opened(path) as file:
        samples, genes = (_ids(_own(file, name)) for name in ("obs", "var"))
        return samples, genes, _numbers(_own(file, "X"), (len(samples), len(genes)))


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        import h5py
    except ImportError:
        raise CohortError(
            f"{path}: reading .h5ad needs h5py: pip install 'medgraft[h5ad]'"
        ) from None
    try:
        with h5py.File(path) as file:
            yield file
    except DAMAGED as error:
        why = next(iter(str(error).splitlines()), type(error).__name__)
        raise CohortError(f"{path}: not an AnnData file ({why})") from None


def _own(group: Any, name: str) -> Any:
    """What a group holds under a name, if it lies in this file: a link may lead to any other."""
    from h5py import Dataset, HardLink

    place = f"{group.name.rstrip('/')}/{name}"
    if "/" in name or not isinstance(group.get(name, getlink=True), HardLink | None):
        raise ValueError(f"{place} is a link, expected data in the file itself")
    item = group[name]
    if isinstance(item, Dataset):
        if item.external or item.is_virtual:
            raise ValueError(f"{place} lies in another file, expected data in the file itself")
        _refuse_bomb(group, place, prod(item.shape) * item.dtype.itemsize)
    return item


def _refuse_bomb(group: Any, place: str, claimed: int) -> None:
    """As for other packed files: HDF5 stores what is empty or repeated in no space."""
    most = max(files.MOST_BYTES, files.MOST_TIMES * Path(group.file.filename).stat().st_size)
    if claimed > most:
        raise ValueError(f"{place} would unpack to {claimed / 2**30:.0f} GiB; refused")


def _ids(group: Any) -> Objects:
    name = group.attrs["_index"]
    if not isinstance(name, str):
        raise ValueError(f"{group.name}: _index is no text, expected the name of the ids")
    ids = _own(group, name)
    ids = _own(ids, "values") if hasattr(ids, "keys") else ids  # text that may be missing
    if len(ids.shape) != 1:
        raise ValueError(f"{ids.name} has shape {list(ids.shape)}, expected a list of ids")
    return np.array(ids.asstr()[:].tolist(), dtype=object)


def _numbers(stored: Any, shape: Shape) -> Numbers:
    kind = stored.attrs.get("encoding-type", "array")
    if kind in ("csr_matrix", "csc_matrix"):
        return _dense(stored, shape, by_column=kind == "csc_matrix")
    if stored.shape != shape:
        raise ValueError(_shaped("X", stored.shape, shape))
    return np.asarray(_array(stored, REAL), dtype=np.float64)


def _shaped(name: str, found: Any, shape: Shape) -> str:
    return f"{name} has shape {[int(n) for n in found]}, expected {list(shape)} as obs and var say"


def _array(stored: Any, kinds: str) -> NDArray[Any]:
    """All of a dataset; complex numbers, text and records would become numbers, or none."""
    if stored.dtype.kind not in kinds:
        expected = "numbers" if kinds == REAL else "whole numbers"
        raise ValueError(f"{stored.name} holds {stored.dtype.name}, expected {expected}")
    return np.asarray(stored[:])


def _dense(group: Any, shape: Shape, *, by_column: bool) -> Numbers:
    """A sparse matrix written out.

    scipy looks at neither the places nor the pointers of an empty matrix, and writes where they
    point: outside its memory, or at another patient (from the end, where they are negative).
    """
    from scipy.sparse import csc_array, csr_array

    if (claimed := tuple(group.attrs.get("shape", shape))) != shape:
        raise ValueError(_shaped("X", claimed, shape))
    _refuse_bomb(group, "X", prod(shape) * 8)
    data = _array(_own(group, "data"), REAL)
    indices, indptr = (_array(_own(group, name), WHOLE) for name in ("indices", "indptr"))
    lines, places = reversed(shape) if by_column else shape
    sound = (
        data.shape == indices.shape == (len(data),)
        and indptr.shape == (lines + 1,)
        and (indptr[0], indptr[-1]) == (0, len(data))
        and (indptr[1:] >= indptr[:-1]).all()
        and ((indices >= 0) & (indices < places)).all()
    )
    if not sound:
        raise ValueError("X: data, indices and indptr do not fit each other, obs and var")
    matrix = (csc_array if by_column else csr_array)((data, indices, indptr), shape=shape)
    matrix.sum_duplicates()
    if matrix.nnz != len(data):
        raise ValueError("X holds two values for one sample and gene")
    return np.asarray(matrix.toarray(), dtype=np.float64)


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CPU, (int(sys.argv[2]),) * 2)
    _read(Path(sys.argv[1]))

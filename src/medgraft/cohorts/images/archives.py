"""Images in one `.npz`: opened whole or refused, never executed."""

import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.lib.npyio import NpzFile
from numpy.typing import NDArray

from medgraft.cohorts import files
from medgraft.errors import CohortError

# An archive may unpack to this many bytes, or to this many times its own size: more is an attack.
MOST_BYTES = 4 * 2**30
MOST_TIMES = 100
DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    tokenize.TokenError,  # numpy reads the header of an array as Python's literals
    SyntaxError,
    LookupError,
    EOFError,
    TypeError,
    ValueError,
    OverflowError,
    RuntimeError,  # zipfile: encrypted; NotImplementedError: packed in an unknown way
    MemoryError,
    OSError,
)


@contextmanager
def opened(path: Path) -> Iterator[NpzFile]:
    """The archive at `path`.

    Raises:
        CohortError: it is not there, is not a whole npz, or unpacks to an absurd size; also where
            an array is damaged that is read inside the block.
    """
    with files.opened(path):  # that it is there, and a file
        pass
    try:
        _refuse_bomb(path)
        with np.load(path, allow_pickle=False) as archive:
            yield archive
    except DAMAGED as error:
        why = getattr(error, "strerror", None) or error  # without the path, which stands before
        raise CohortError(f"{path}: not a whole npz file ({why}): cut short?") from None


def names(archive: NpzFile) -> str:
    """The arrays there are, for a message."""
    return ", ".join(archive.files) or "none"


def shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Shape of every array, without unpacking any."""
    found = {}
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            with archive.open(name) as member:
                version = np.lib.format.read_magic(member)
                header = np.lib.format.read_array_header_1_0
                if version != (1, 0):
                    header = np.lib.format.read_array_header_2_0
                found[name.removesuffix(".npy")] = header(member)[0]
    return found


def channels_first(images: NDArray) -> NDArray:
    """MedMNIST's [n, h, w] or [n, h, w, c] as [n, c, h, w]."""
    return images[:, None] if images.ndim == 3 else np.moveaxis(images, -1, 1)


def _refuse_bomb(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        unpacked = sum(member.file_size for member in archive.infolist())
    if unpacked > max(MOST_BYTES, MOST_TIMES * path.stat().st_size):
        raise CohortError(f"{path}: would unpack to {unpacked / 2**30:.0f} GiB; refused")

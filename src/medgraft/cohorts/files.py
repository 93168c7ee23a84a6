"""The files a cohort names: regular files inside its folder, unpacked to a sane size."""

import gzip
import io
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from medgraft.errors import CohortError

# A gzip file may unpack to this many bytes, or to this many times its own size: more is an attack.
MOST_BYTES = 2 * 2**30
MOST_TIMES = 100
CHUNK = 2**20
# DVC may place a link to its cache, where a file is named by the md5 of what it holds.
CACHED = re.compile(r"/files/md5/[0-9a-f]{2}/[0-9a-f]{30}")


def inside(folder: Path, name: str) -> Path:
    """The path of a file that a cohort names, links followed.

    Raises:
        CohortError: it lies outside the cohort's folder, or is no name of a file.
    """
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts:
        raise CohortError(f"{name}: lies outside the cohort's folder")
    whole = folder / path
    try:
        real = whole.resolve()
    except (OSError, ValueError, RuntimeError):  # a NUL byte, a name too long, links in a circle
        raise CohortError(f"{name[:60]!r}: cannot be the name of a file") from None
    if not real.is_relative_to(folder.resolve()) and not CACHED.search(real.as_posix()):
        raise CohortError(f"{name}: is a link to outside the cohort's folder")
    return whole


@contextmanager
def opened(path: Path) -> Iterator[io.BufferedReader]:
    """What is in a file, to be read from its beginning; unpacked where it ends in `.gz`.

    Raises:
        CohortError: it is not there, is no regular file, cannot be read, or unpacks to an absurd
            size; the last two also while it is read inside the block.
    """
    try:
        if path.is_dir():
            raise CohortError(f"{path}: is a folder, expected a file")
        if path.exists() and not path.is_file():
            raise CohortError(f"{path}: is a device or a pipe, expected a file")
        with path.open("rb") as file:
            yield io.BufferedReader(_Unpacked(path, file), CHUNK) if path.suffix == ".gz" else file
    except FileNotFoundError:
        raise CohortError(f"{path}: there is no such file") from None
    except (gzip.BadGzipFile, EOFError, zlib.error):
        raise CohortError(f"{path}: not a whole gzip file") from None
    except OSError as error:
        raise CohortError(f"{path}: cannot be read: {error.strerror}") from None


def content(path: Path) -> bytes:
    """All that is in a file; see `opened`."""
    with opened(path) as file:
        return file.read()


class _Unpacked(io.RawIOBase):
    """What a gzip file holds; refused once it is absurdly much."""

    def __init__(self, path: Path, packed: BinaryIO) -> None:
        super().__init__()
        self.path, self.size, self.given = path, path.stat().st_size, 0
        self.file = gzip.GzipFile(fileobj=packed)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        count = self.file.readinto(buffer)
        self.given += count
        most = max(MOST_BYTES, MOST_TIMES * self.size)
        if self.given > most:
            raise CohortError(
                f"{self.path}: {self.size} bytes unpack to more than {most / 2**30:.1f} GiB; "
                "refused"
            )
        return count

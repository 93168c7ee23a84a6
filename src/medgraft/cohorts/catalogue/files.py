"""Getting known files onto disk: whole, checked against a pinned sha256, or not at all."""

import hashlib
import http.client
import tempfile
import urllib.request
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

from medgraft.errors import CohortError

TIMEOUT = 60  # seconds without an answer


def obtain(
    url: str,
    *,
    sha256: str,
    mirror: Path | None,
    kept_as: str,
    unpack: Callable[[bytes], bytes] = bytes,
) -> bytes:
    """The bytes of a published file, from `mirror / kept_as` if given, else from the network.

    Where the file is packed, `unpack` gives what is pinned.

    Raises:
        CohortError: the file is not there, cannot be fetched or unpacked, or is not the one that
            was pinned.
    """
    packed = _download(url, kept_as) if mirror is None else _copy(mirror / kept_as)
    where = url if mirror is None else str(mirror / kept_as)
    try:
        data = unpack(packed)
    except (OSError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise CohortError(f"{where}: cannot be unpacked: {error}") from None
    verify(data, sha256, where=where)
    return data


def verify(data: bytes, sha256: str, *, where: str) -> None:
    """Raise CohortError unless `data` has this sha256 (hexadecimal)."""
    found = hashlib.sha256(data).hexdigest()
    if found != sha256:
        raise CohortError(
            f"{where}: has sha256 {found}, expected {sha256}: cut short, or not the same file"
        )


def write(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write a new folder at once: it appears complete or not at all.

    An equal folder is left as it is, an empty one filled.

    Raises:
        CohortError: the folder exists and holds something else, or cannot be written.
    """
    if folder.exists() and not _is_empty(folder):
        _require_equal(folder, files)
        return
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".unfinished-") as temporary:
            staged = Path(temporary) / folder.name
            staged.mkdir()
            for name, data in files.items():
                (staged / name).write_bytes(data)
            staged.rename(folder)
    except OSError as error:
        raise CohortError(f"{folder}: cannot be written: {error.strerror}") from None


def _is_empty(folder: Path) -> bool:
    return folder.is_dir() and not any(folder.iterdir())


def _require_equal(folder: Path, files: Mapping[str, bytes]) -> None:
    different = [
        name
        for name, data in files.items()
        if not (folder / name).is_file() or (folder / name).read_bytes() != data
    ]
    if different:
        raise CohortError(
            f"{folder}: exists and differs in {', '.join(different)}; move it away to write it anew"
        )


def _copy(path: Path) -> bytes:
    if path.exists() and not path.is_file():
        raise CohortError(f"{path}: is no file; expected one in the mirror")
    try:
        return path.read_bytes()
    except OSError as error:
        raise CohortError(f"{path}: cannot be read from the mirror: {error.strerror}") from None


def _download(url: str, kept_as: str) -> bytes:
    try:
        # The addresses are the catalogue's own, and what comes is checked against its sha256.
        with urllib.request.urlopen(url, timeout=TIMEOUT) as answer:  # nosec B310
            data: bytes = answer.read()
            return data
    except (OSError, http.client.HTTPException) as error:
        raise CohortError(
            f"{url}: could not be fetched ({error}); "
            f"without a network, give a folder that holds {kept_as} with --mirror"
        ) from None

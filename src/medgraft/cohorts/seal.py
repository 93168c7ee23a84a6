"""Are the raw data still the bytes that were sealed with `dvc add`? Answered without importing DVC.

DVC names a folder by the md5 of its manifest: the JSON list of every file's md5 and relative path,
sorted by path. The manifest itself is kept in DVC's cache under that name. Files that a
`.dvcignore` leaves out of a seal are not understood here: they count as added.
"""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from medgraft.errors import SealError

Manifest = Mapping[str, str]
SHOWN = 20
DESCRIPTION = "cohort.yaml"


@dataclass(frozen=True)
class Changes:
    """What differs from the seal: paths relative to the folder, sorted.

    `known` is False where something differs but the sealed manifest is not at hand, so that
    nobody can say what.
    """

    changed: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    known: bool = True

    def __bool__(self) -> bool:
        return bool(self.changed or self.added or self.removed or not self.known)


def check(data: Path, seal: Path) -> None:
    """Do nothing if `data` holds exactly the bytes that `seal` (data.dvc) names.

    Raises:
        SealError: they differ, or either is absent or unreadable; says which of the files that a
            `cohort.yaml` names, how many others, and the way out.
    """
    found = changes(data, seal)
    if found:
        raise SealError(_message(data, seal, found))


def changes(data: Path, seal: Path) -> Changes:
    """What differs between the folder `data` and the bytes that `seal` (data.dvc) names.

    Raises:
        SealError: the folder or the seal is absent, or the seal is not one of DVC 3 for a folder.
    """
    sealed = _sealed_md5(data, seal)
    if not data.is_dir():
        raise SealError(f"{data}: the folder is absent; `dvc checkout {seal}` restores it")
    present = _manifest(data)
    if _md5_of(present) == sealed:
        return Changes()
    before = _cached(seal, sealed)
    if before is None:
        return Changes(known=False)
    return Changes(
        changed=_sorted(p for p in present.keys() & before.keys() if present[p] != before[p]),
        added=_sorted(present.keys() - before.keys()),
        removed=_sorted(before.keys() - present.keys()),
    )


def folder_md5(folder: Path) -> str:
    """What DVC names a folder by, without its ending `.dir`."""
    return _md5_of(_manifest(folder))


def _sorted(paths: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(paths))


def _message(data: Path, seal: Path, found: Changes) -> str:
    described = _described(data)
    lines = [
        f"{told}: {what} since it was sealed"
        for what in ("changed", "added", "removed")
        for told in _told(data, getattr(found, what), described)
    ]
    if not found.known:
        lines = [f"{data}: not the bytes that {seal} names; which files differ is not known here"]
    if len(lines) > SHOWN:
        lines = [*lines[:SHOWN], f"… and {len(lines) - SHOWN} more"]
    way_out = f"`dvc checkout {seal}` restores what was sealed, `dvc add {data}` seals this instead"
    return "\n".join([*lines, way_out])


def _described(data: Path) -> set[str]:
    """The words of all the cohorts' descriptions, the names of files among them."""
    files = (path for path in data.rglob(DESCRIPTION) if path.is_file())
    texts = (path.read_text(errors="replace") for path in files)
    return {DESCRIPTION, *(word for text in texts for word in re.findall(r"[\w.-]+", text))}


def _told(data: Path, paths: Sequence[str], described: set[str]) -> Iterator[str]:
    """Files that a description names, and how many others: their names may be patients'."""
    own = [PurePosixPath(path) for path in paths]
    yield from (str(data / path) for path in own if path.name in described)
    others = Counter(path.parts[:-1][:1] for path in own if path.name not in described)
    for folder, count in others.items():
        files = "1 file" if count == 1 else f"{count} files"
        yield f"{data.joinpath(*folder)}: {files} that no {DESCRIPTION} names"


def _sealed_md5(data: Path, seal: Path) -> str:
    """The md5 of the manifest, without DVC's ending `.dir`."""
    try:
        entry = yaml.safe_load(seal.read_text(encoding="utf-8"))["outs"][0]
        md5, method = str(entry["md5"]), entry.get("hash")
    except FileNotFoundError:
        raise SealError(f"{seal}: is absent; `dvc add {data}` seals the raw data") from None
    except (
        OSError,
        UnicodeDecodeError,
        yaml.YAMLError,
        LookupError,
        TypeError,
        AttributeError,
        RecursionError,
    ):
        raise SealError(f"{seal}: not a seal written by `dvc add {data}`") from None
    if method != "md5" or not md5.endswith(".dir"):
        raise SealError(f"{seal}: not the seal of a folder by DVC 3; `dvc add {data}` writes one")
    return md5.removesuffix(".dir")


def _manifest(folder: Path) -> Manifest:
    paths = (path for path in folder.rglob("*") if path.is_file())
    try:
        return {path.relative_to(folder).as_posix(): _md5(path) for path in paths}
    except OSError as error:
        raise SealError(f"{folder}: a file in it cannot be read: {error.strerror}") from None


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, _new_md5).hexdigest()


def _new_md5() -> Any:
    return hashlib.md5(usedforsecurity=False)


def _md5_of(manifest: Manifest) -> str:
    entries = [{"md5": md5, "relpath": path} for path, md5 in sorted(manifest.items())]
    digest = _new_md5()
    digest.update(json.dumps(entries, sort_keys=True).encode())
    return str(digest.hexdigest())


def _cached(seal: Path, md5: str) -> Manifest | None:
    """The sealed manifest from DVC's cache beside the seal, if it is there and whole."""
    for root in seal.absolute().parents:
        kept = root / ".dvc" / "cache" / "files" / "md5" / md5[:2] / f"{md5[2:]}.dir"
        if kept.is_file():
            try:
                manifest = {
                    entry["relpath"]: entry["md5"] for entry in json.loads(kept.read_text())
                }
            except (OSError, ValueError, LookupError, TypeError):
                return None
            return manifest if _md5_of(manifest) == md5 else None
    return None

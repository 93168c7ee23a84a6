"""Raw data: obtained, checked against their seal, sealed."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from functools import partial
from pathlib import Path

import yaml

from medgraft import composition, config
from medgraft.cohorts import seal
from medgraft.cohorts.seal import Changes
from medgraft.construct import construct
from medgraft.errors import MedgraftError, SealError


def materialise(root: Path, *, mirror: Path | None) -> None:
    """Put the configured cohort's raw files in place and let no changed byte pass.

    A folder that is not there yet is made from its catalogue entry, checked against pinned hashes,
    and sealed. What is sealed already must be what was sealed.

    Raises:
        CohortError: a file cannot be had, or is not the one that was pinned.
        SealError: sealed raw data have changed.
    """
    cohort = config.read_params(root)["cohort"]
    folder, data, sealed = root / cohort["folder"], root / "data", root / "data.dvc"
    sealable = data in folder.parents
    if cohort["origin"] and not (sealable and folder.exists()):
        construct(cohort["origin"], folder=folder, mirror=mirror)
    if not folder.is_dir():
        raise SealError(f"{folder}: the folder is absent; cohort.folder must name your raw files")
    if not sealable:
        return  # a folder elsewhere: DVC hashes it as the dependency it is
    if not sealed.is_file():
        add(root)
        return
    changes = seal.changes(data, sealed)
    if not changes.known:
        changes = beyond_default(root, mirror) or changes
    if not changes:
        fill_cache(root, sealed)
        return
    inside = [name for name in changes.added if folder in (data / name).parents]
    if not changes.known or (*changes.added, *changes.removed, *changes.changed) != (*inside,):
        seal.check(data, sealed)
    add(root)
    print(f"sealed {len(inside)} new files of {cohort['folder']} in data.dvc")


def beyond_default(root: Path, mirror: Path | None) -> Changes | None:
    """What a fresh clone adds to its seal, if the seal names the default cohort alone.

    Only DVC's cache knows what is in a seal, and a clone has none. Without this, whoever starts
    with another cohort would be refused because the sealed one is not there.
    """
    cohort = composition.compose(root, [])["cohort"]
    if not cohort["origin"]:
        return None
    make = partial(construct, cohort["origin"], mirror=mirror)
    data, default = root / "data", root / cohort["folder"]
    with tempfile.TemporaryDirectory() as alone:
        make(folder=Path(alone) / cohort["folder"])
        if seal.changes(Path(alone) / "data", root / "data.dvc"):
            return None
    make(folder=default)  # an equal folder is left as it is, another one refused
    others = [path for path in data.rglob("*") if path.is_file() and default not in path.parents]
    return seal.Changes(added=tuple(sorted(path.relative_to(data).as_posix() for path in others)))


def fill_cache(root: Path, sealed: Path) -> None:
    """Put unchanged data into DVC's cache where a fresh clone has none."""
    md5 = yaml.safe_load(sealed.read_text())["outs"][0]["md5"]
    if not (root / ".dvc/cache/files/md5" / md5[:2] / md5[2:]).exists():
        add(root)


def add(root: Path) -> None:
    """Seal the raw data as they are."""
    if dvc(root, "add", "--quiet", "data"):
        raise SealError("DVC could not seal data/; it has said why")


def dvc(root: Path, *arguments: str) -> int:
    """Run DVC in this process: a second interpreter would cost as long as a no-op repro."""
    from dvc.cli import main as dvc_main

    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    if not shutil.which("python"):
        raise MedgraftError("no `python` on the PATH for DVC's stages")
    before = Path.cwd()
    os.chdir(root)
    try:
        return int(dvc_main(list(arguments)))
    finally:
        os.chdir(before)

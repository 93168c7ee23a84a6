"""Raw data: obtained, checked against their seal, sealed."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import psutil
import yaml
from filelock import FileLock, Timeout

from medgraft import composition, config
from medgraft.cohorts import seal
from medgraft.cohorts.seal import Changes
from medgraft.construct import construct
from medgraft.errors import MedgraftError, Preempted, SealError

# The seal as it was, while a new one is written.
KEPT = Path(".dvc") / "tmp" / "medgraft.data.dvc"


def materialise(root: Path, *, mirror: Path | None) -> None:
    """Put the configured cohort's raw files in place and let no changed byte pass.

    A folder that is not there yet is made from its catalogue entry, checked against pinned hashes,
    and sealed; one that is there and not sealed must equal it. What is sealed already must be what
    was sealed.

    Raises:
        ConfigError: ``params.yaml`` is no configuration.
        CohortError: a file cannot be had, or is not the one that was pinned.
        SealError: sealed raw data have changed.
    """
    cohort = config.validate(config.read_params(root)).cohort
    folder, data, sealed = root / cohort.folder, root / "data", root / "data.dvc"
    sealable, found = data in folder.parents, folder.exists()

    def make() -> None:
        if cohort.origin:
            construct(cohort.origin, folder=folder, mirror=mirror)

    if not (sealable and found):
        make()
    if not folder.is_dir():
        raise SealError(f"{folder}: the folder is absent; cohort.folder must name your raw files")
    if not sealable:
        return  # a folder elsewhere: DVC hashes it as the dependency it is
    if not sealed.is_file():
        if found:
            make()
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
    if found:
        make()
    add(root)
    print(f"sealed {len(inside)} new files of {cohort.folder} in data.dvc")


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
    with sealing(root):
        if dvc(root, "add", "--quiet", "data"):
            raise SealError("DVC could not seal data/; it has said why")


@contextmanager
def sealing(root: Path) -> Iterator[None]:
    """Keep the seal until a new one is complete: DVC writes ``data.dvc`` in place.

    Whatever ends that, there is the old one again.
    """
    sealed, kept = root / "data.dvc", root / KEPT
    kept.parent.mkdir(parents=True, exist_ok=True)
    fresh = kept.with_suffix(".new")
    fresh.write_bytes(sealed.read_bytes() if sealed.is_file() else b"")
    fresh.replace(kept)
    try:
        yield
    except BaseException:
        unsealed(root)
        raise
    kept.unlink()


def unsealed(root: Path) -> None:
    """Return to the seal there was before a sealing that was killed; data are compared with it."""
    sealed, kept = root / "data.dvc", root / KEPT
    if not kept.is_file():
        return
    if kept.stat().st_size:
        kept.replace(sealed)
    else:
        sealed.unlink(missing_ok=True)
        kept.unlink()


def locks(path: Path) -> bool:
    """Whether DVC can read this ``dvc.lock``."""
    from dvc.schema import COMPILED_LOCKFILE_SCHEMA
    from voluptuous import Invalid

    try:
        COMPILED_LOCKFILE_SCHEMA(yaml.safe_load(path.read_text()))
    except (Invalid, yaml.YAMLError, UnicodeDecodeError):
        return False
    return True


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


@contextmanager
def alone(root: Path) -> Iterator[None]:
    """Hold the checkout for one `medgraft repro`; the lock goes with the process that holds it.

    Raises:
        MedgraftError: another one is running.
    """
    place = root / ".dvc" / "tmp"
    place.mkdir(parents=True, exist_ok=True)
    lock, holder = FileLock(place / "medgraft.lock", timeout=0), place / "medgraft.pid"
    try:
        lock.acquire()
    except Timeout:
        pid = holder.read_text().strip() if holder.is_file() else "unknown"
        raise MedgraftError(
            f"another `medgraft repro` (process {pid}) is running in {root}; wait for its end"
        ) from None
    try:
        holder.write_text(f"{os.getpid()}\n")
        yield
    finally:
        lock.release()


@contextmanager
def passing_on_sigterm() -> Iterator[list[int]]:
    """Hand SIGTERM to the stage that runs, which saves its state; the list tells whether it came.

    A batch system may tell only the process it started.
    """
    told: list[int] = []

    def pass_on(number: int, _: object) -> None:
        told.append(number)
        stages = psutil.Process().children(recursive=True)
        if not stages:
            raise Preempted("ended by SIGTERM between two stages; the same command goes on")
        for stage in stages:
            with suppress(psutil.NoSuchProcess):
                stage.terminate()

    before = signal.signal(signal.SIGTERM, pass_on)
    try:
        yield told
    finally:
        signal.signal(signal.SIGTERM, before)

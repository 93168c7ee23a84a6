"""Is this installation sound? Every check says what it found and, if it is not, what to do."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TypeAlias

from medgraft import composition
from medgraft.cohorts import seal
from medgraft.cohorts.parsing import NAME, describe
from medgraft.config import project_root, read_params, validate
from medgraft.errors import ConfigError, MedgraftError

ROOM = 5 * 2**30  # bytes on disk that the default experiment and its cache fit into many times
PINNED = re.compile(r"^([A-Za-z0-9._-]+)==([^;\s]+)")
# A wrong version of these changes results or breaks the pipeline; others are their affair.
OURS = ("dvc", "hydra-core", "mlflow", "numpy", "polars", "pytorch-lightning", "scipy", "torch")


@dataclass(frozen=True)
class Check:
    """What was looked at, what was found, and what to do; nothing to do where it is sound."""

    name: str
    found: str
    remedy: str = ""

    def line(self) -> str:
        """`ok` or `!!`, the finding, and the remedy below it."""
        first = f"{'!!' if self.remedy else 'ok'}  {self.name}: {self.found}"
        return f"{first}\n    -> {self.remedy}" if self.remedy else first


def examine(start: Path) -> list[Check]:
    """Look at everything a run needs, in the project that `start` lies in; nothing is changed."""
    try:
        root = project_root(start)
    except ConfigError as outside:
        told = f"left out (commit, configuration, raw data): {outside}"
        return [check for look in ANYWHERE for check in look(start)] + [Check("project", told)]
    return [check for look in ANYWHERE + IN_PROJECT for check in look(root)]


def python(root: Path) -> Iterator[Check]:
    """The interpreter."""
    del root
    found = ".".join(map(str, sys.version_info[:3]))
    old = sys.version_info < (3, 11)
    yield Check("Python", found, "install Python 3.11 or later" if old else "")


def packages(root: Path) -> Iterator[Check]:
    """The versions that results were locked with; outside a project, whether there is any."""
    path = root / "constraints.txt"
    lines = path.read_text().splitlines() if path.is_file() else []
    pinned = {m[1].lower(): m[2] for line in lines if (m := PINNED.match(line))}
    for name in OURS:
        try:
            found = version(name)
        except PackageNotFoundError:
            found = ""
        # A build for another device is the same release: 2.13.0+cu126.
        same = found and found.split("+")[0] == pinned.get(name, found.split("+")[0])
        wanted = f"pip install {name}"
        if name in pinned:
            exact = f"pip install -c constraints.txt '{name}=={pinned[name]}'"
            wanted = f"results were made with another one: {exact}"
        yield Check(name, found or "not installed", "" if same else wanted)


def programs(root: Path) -> Iterator[Check]:
    """Git, which every clone needs and DVC's experiments commit to."""
    del root
    git = shutil.which("git")
    remedy = "" if git else "install git: a result names the commit it came from"
    yield Check("git", git or "not installed", remedy)


def commit(root: Path) -> Iterator[Check]:
    """The commit that results will name."""
    git = shutil.which("git")
    if not git:
        return  # told above
    inside = subprocess.run(
        [git, "rev-parse", "--short", "HEAD"], cwd=root, capture_output=True, text=True, check=False
    )  # nosec B603
    found = inside.stdout.strip()
    remedy = "" if found else "git init && git commit: a result names the commit it came from"
    yield Check("commit", found or "none", remedy)


def machine(root: Path) -> Iterator[Check]:
    """Room on disk, cores and accelerators."""
    free = shutil.disk_usage(root).free
    low = f"make at least {ROOM / 2**30:.0f} GiB free, or move the project"
    yield Check("disk", f"{free / 2**30:.0f} GiB free", low if free < ROOM else "")
    may = os.access(root, os.W_OK)
    yield Check("folder", str(root), "" if may else "it cannot be written: move the project")
    devices = []
    with suppress(ImportError):  # told above
        import torch

        devices = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    yield Check("cores", f"{cores}; GPUs: {', '.join(devices) or 'none (none is needed)'}")


def configuration(root: Path) -> Iterator[Check]:
    """What `conf/` and the remembered overrides compose to."""
    try:
        params = composition.compose(root, None)
        validate(params)
    except MedgraftError as error:
        yield Check("configuration", str(error).split("\n")[0], "medgraft compose --defaults")
        return
    yield Check("configuration", f"cohort {params['cohort']['folder']}")


def data(root: Path) -> Iterator[Check]:
    """Raw files against their seal."""
    if not (root / "params.yaml").is_file() or not (root / "data").is_dir():
        yield Check("raw data", "not fetched yet (medgraft repro does)")
        return
    try:
        folder = read_params(root)["cohort"]["folder"]
        seal.check(root / "data", root / "data.dvc")
    except MedgraftError as error:
        remedy = first_run(root) or "see README, Your own cohorts"
        yield Check("raw data", str(error).split("\n")[0], remedy)
        return
    yield Check("raw data", f"{folder}, as sealed in data.dvc")


def first_run(root: Path) -> str:
    """The command that seals a described folder and runs on it, as `init-cohort` prints it.

    Empty where it is not such a folder alone that differs from the seal.
    """
    with suppress(MedgraftError):
        found = seal.changes(root / "data", root / "data.dvc")
        default = root / composition.compose(root, [])["cohort"]["folder"]
        # A fresh clone does not know what is in its seal: that of the default cohort.
        fresh = [
            path.parent
            for path in sorted((root / "data").glob(f"*/{NAME}"))
            if str(path.relative_to(root / "data")) in found.added
            or (not found.known and path.parent != default)
        ]
        if len(fresh) == 1 and not (found.changed or found.removed):
            described = describe(fresh[0])
            outcome = next(iter(described.outcomes))
            return composition.own_command(
                fresh[0].relative_to(root), tuple(described.sites), outcome
            )
    return ""


Look: TypeAlias = Callable[[Path], Iterator[Check]]
ANYWHERE: tuple[Look, ...] = (python, packages, programs, machine)
IN_PROJECT: tuple[Look, ...] = (commit, configuration, data)

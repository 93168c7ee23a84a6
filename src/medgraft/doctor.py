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

from medgraft import composition
from medgraft.cohorts import seal
from medgraft.config import read_params, validate
from medgraft.errors import MedgraftError

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


def examine(root: Path) -> list[Check]:
    """Look at everything a run needs; nothing is changed."""
    return [check for look in LOOKS for check in look(root)]


def python(root: Path) -> Iterator[Check]:
    """The interpreter."""
    del root
    found = ".".join(map(str, sys.version_info[:3]))
    old = sys.version_info < (3, 11)
    yield Check("Python", found, "install Python 3.11 or later" if old else "")


def packages(root: Path) -> Iterator[Check]:
    """The versions that results were locked with."""
    path = root / "constraints.txt"
    lines = path.read_text().splitlines() if path.is_file() else []
    pinned = {m[1].lower(): m[2] for line in lines if (m := PINNED.match(line))}
    for name in OURS:
        try:
            found = version(name)
        except PackageNotFoundError:
            found = "not installed"
        # A build for another device is the same release: 2.13.0+cu126.
        same = found.split("+")[0] == pinned.get(name, found)
        wanted = f"pip install -c constraints.txt '{name}=={pinned.get(name)}'"
        yield Check(name, found, "" if same else f"results were made with another one: {wanted}")


def programs(root: Path) -> Iterator[Check]:
    """Git, which every clone needs and DVC's experiments commit to."""
    git = shutil.which("git")
    if not git:
        yield Check("git", "not installed", "install git: a result names the commit it came from")
        return
    inside = subprocess.run(
        [git, "rev-parse", "--short", "HEAD"], cwd=root, capture_output=True, text=True, check=False
    )  # nosec B603
    commit = inside.stdout.strip()
    remedy = "" if commit else "git init && git commit: a result names the commit it came from"
    yield Check("git", f"at commit {commit}" if commit else "no commit", remedy)


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
        yield Check("raw data", str(error).split("\n")[0], "see README, Your own cohorts")
        return
    yield Check("raw data", f"{folder}, as sealed in data.dvc")


LOOKS: tuple[Callable[[Path], Iterator[Check]], ...] = (
    python, packages, programs, machine, configuration, data,
)  # fmt: skip

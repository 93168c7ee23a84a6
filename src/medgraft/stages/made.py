"""Which MLflow run made which result: kept beside the store, for all experiments of a project."""

from __future__ import annotations

import hashlib
import json
import os
import platform
from pathlib import Path

import yaml

from medgraft.config import project_root, write_if_changed


def home() -> Path:
    """The user's own project; another folder than the root where DVC works in a copy.

    `dvc exp run --queue` and `--temp` run in ``.dvc/tmp`` of the project, a folder that is removed
    afterwards, and name the project in DVC_ROOT. An outer pipeline may have set that one too.
    """
    root = project_root()
    project = Path(os.environ.get("DVC_ROOT", root)).resolve()
    return project if (project / ".dvc" / "tmp").resolve() in root.parents else root


def writer() -> str:
    """This project on this machine, without telling either name."""
    return hashlib.sha256(f"{platform.node()}:{home()}".encode()).hexdigest()[:12]


def located(uri: str, folder: Path) -> str:
    """The tracking address with the path of a database seen from ``folder``."""
    scheme, found, path = uri.partition("sqlite:///")
    return f"{scheme}{found}{folder / path}" if found else uri


def results(lock: Path) -> dict[str, str]:
    """For each stage, a name of what it last wrote, from ``dvc.lock``; empty without one."""
    if not lock.is_file():
        return {}
    stages = yaml.safe_load(lock.read_text())["stages"]
    return {
        stage: f"{stage} {_md5(json.dumps(entry['outs']).encode())}"
        for stage, entry in stages.items()
        if "outs" in entry
    }


def read(path: Path) -> dict[str, str]:
    """Run ids by the names of `results`."""
    return json.loads(path.read_text()) if path.is_file() else {}


def remember(path: Path, made: dict[str, str]) -> None:
    """Add run ids; what was made before keeps the run that made it first."""
    write_if_changed(path, json.dumps(made | read(path), indent=2) + "\n")


def _md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()

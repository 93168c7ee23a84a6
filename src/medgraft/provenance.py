"""Where a result comes from: code, data, design, configuration, in words that identify them."""

from __future__ import annotations

import hashlib
import shlex
import subprocess
from importlib.metadata import version
from pathlib import Path

import yaml

from medgraft.composition import asked
from medgraft.config import project_root, read_params
from medgraft.errors import ConfigError

# What a run writes itself: without them a fresh clone is changed by running it. What they hold is
# told by the command.
WRITTEN = ("dvc.lock", "params.yaml", "conf/chosen.yaml")


def provenance(prepared: Path) -> dict[str, str]:
    """Commit, command and what `made` tells; what cannot be known is said to be unknown.

    prepared: `work/prepared`.
    """
    commit = git("rev-parse", "--verify", "--quiet", "HEAD")
    changed = git(
        "status", "--porcelain", "--untracked-files=no", ".", *map(":!{}".format, WRITTEN)
    )
    return {
        "git_commit": commit or "unknown (not a git checkout)",
        "git_dirty": str(bool(changed)).lower() if commit else "unknown",
        "reproduce": command(commit),
        "configuration": hashed(Path("params.yaml")),
        **made(prepared),
    }


def made(prepared: Path) -> dict[str, str]:
    """What every result depends on, wherever and from whichever commit it was made."""
    root = project_root()
    folder = read_params(root)["cohort"]["folder"]
    return {
        "data": raw_data(root, folder) or "unknown (dvc.lock does not name it)",
        "design": hashed(prepared / "design.parquet"),
        "versions": ", ".join(f"{name} {version(name)}" for name in ("medgraft", "torch", "numpy")),
    }


def command(commit: str) -> str:
    """What makes the same result in a clone that has the same raw data."""
    root = project_root()
    try:
        overrides = asked(root, read_params(root))
    except ConfigError:
        return "unknown (params.yaml holds what no overrides of conf/config.yaml say)"
    told = shlex.join(["medgraft", "repro", *(overrides or ["--defaults"])])
    return f"git checkout {commit} && {told}" if commit else told


def git(*arguments: str) -> str:
    """What git answers; empty where there is no git or no repository."""
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return done.stdout.strip()


def hashed(path: Path) -> str:
    """A file's MD5, as DVC would say it."""
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


def raw_data(root: Path, folder: str) -> str:
    """DVC's hash of the raw files that were prepared; empty where ``dvc.lock`` has none."""
    lock = root / "dvc.lock"
    stages = yaml.safe_load(lock.read_text(encoding="utf-8"))["stages"] if lock.is_file() else {}
    read = stages.get("preprocess", {}).get("deps", [])
    return next((str(one["md5"]) for one in read if one["path"] == folder), "")

"""Where a result comes from: code, data and design, in words that identify them."""

from __future__ import annotations

import hashlib
import subprocess
from importlib.metadata import version
from pathlib import Path

import yaml

from medgraft.stages.run import PREPARED


def provenance() -> dict[str, str]:
    """Commit, sealed data, design and versions; what cannot be known is said to be unknown."""
    commit = git("rev-parse", "--verify", "--quiet", "HEAD")
    return {
        "git_commit": commit or "unknown (not a git checkout)",
        "git_dirty": str(bool(git("status", "--porcelain", "--untracked-files=no"))).lower(),
        "data": sealed(Path("data.dvc")),
        "design": hashlib.md5(
            (PREPARED / "design.parquet").read_bytes(), usedforsecurity=False
        ).hexdigest(),
        "versions": ", ".join(f"{name} {version(name)}" for name in ("medgraft", "torch", "numpy")),
    }


def git(*arguments: str) -> str:
    """What git answers; empty where there is no git or no repository."""
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return done.stdout.strip()


def sealed(seal: Path) -> str:
    """The hash DVC sealed the raw data with."""
    if not seal.is_file():
        return "unknown (no data.dvc)"
    return str(yaml.safe_load(seal.read_text())["outs"][0]["md5"])

"""What a killed run left half-written, put right before the next one."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

from medgraft import raw_data
from medgraft.stages.run import WORK

# How folders are called that are renamed once they are complete: `tempfile` adds eight characters.
# Beside raw data may lie what is somebody's own.
UNFINISHED = {
    "data": re.compile(r"\.unfinished-[a-z0-9_]{8}"),
    WORK.name: re.compile(r"\.(unfinished-|.+\.)[a-z0-9_]{8}"),
}


def recover(root: Path) -> None:
    """Remove what would stop DVC, or pass for somebody's data; only for whom the checkout is held.

    A ``dvc.lock`` that is cut goes: DVC finds the results it spoke of in its cache.
    """
    lock, claims = root / "dvc.lock", root / ".dvc" / "tmp" / "rwlock"
    if lock.is_file() and not raw_data.locks(lock):
        print("dvc.lock cannot be read and is made anew: a run was killed while it was written")
        lock.unlink()
    if claims.is_file():
        drop_dead(claims)
    raw_data.unsealed(root)
    for folder, name in UNFINISHED.items():
        hidden = [path for path in (root / folder).rglob(".*") if path.is_dir()]
        for path in hidden:
            if name.fullmatch(path.name):
                shutil.rmtree(path, ignore_errors=True)


def drop_dead(claims: Path) -> None:
    """Keep those of DVC's claims on files whose process still runs.

    DVC itself drops those of processes that are gone, but takes whoever has the number now for
    their owner: a container gives the same numbers out at every start.
    """
    try:
        found = json.loads(claims.read_text())
    except ValueError:
        found = {}
    write = {path: one for path, one in found.get("write", {}).items() if holds(one, claims)}
    readers = {
        path: [one for one in several if holds(one, claims)]
        for path, several in found.get("read", {}).items()
    }
    read = {path: several for path, several in readers.items() if several}
    if write or read:
        claims.write_text(json.dumps({"write": write, "read": read}))
    else:
        claims.unlink()


def holds(claim: Mapping[str, Any], claims: Path) -> bool:
    """Whether the process of that number was there when the claim was written."""
    try:
        return bool(psutil.Process(claim["pid"]).create_time() <= claims.stat().st_mtime)
    except psutil.Error:
        return False

"""What an experiment of DVC changed becomes the project's own choice."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from medgraft import composition, config
from medgraft.cohorts import seal


def keep(root: Path, composed: dict[str, Any]) -> dict[str, Any]:
    """The configuration to go on with: what ``conf/`` composes to, or an experiment's in its place.

    `dvc exp run -S` and `dvc exp apply` change ``params.yaml`` and leave ``conf/`` alone. What they
    changed is written into ``conf/chosen.yaml``: composing again would silently undo it.

    Raises:
        ConfigError: what the experiment changed cannot be written there.
    """
    path = root / "params.yaml"
    if not path.is_file() or not from_experiment(root, composed):
        return composed
    params = config.read_params(root)
    changed = composition.adopt(root, params)
    print(f"kept from the experiment, in conf/chosen.yaml: {' '.join(changed)}")
    return params


def from_experiment(root: Path, composed: Mapping[str, Any]) -> bool:
    """Whether DVC has run compose on this very ``conf/`` and yet got this ``params.yaml``."""
    if config.read_params(root) == composed or not (root / "dvc.lock").is_file():
        return False
    stage = yaml.safe_load((root / "dvc.lock").read_text())["stages"].get("compose", {})
    hashes = {one["path"]: one["md5"] for part in ("deps", "outs") for one in stage.get(part, [])}
    return hashes.get("conf") == f"{seal.folder_md5(root / 'conf')}.dir" and (
        hashes.get("params.yaml")
        == hashlib.md5((root / "params.yaml").read_bytes(), usedforsecurity=False).hexdigest()
    )

"""conf/ -> params.yaml."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from medgraft import config
from medgraft.composition import compose as compose_conf
from medgraft.stages.run import FINETUNED, run


def compose() -> None:
    """Compose ``params.yaml``; inside a DVC experiment DVC has done so, and it is only checked."""
    root = config.project_root()
    composed = "DVC_EXP_NAME" in os.environ
    params = config.read_params(root) if composed else compose_conf(root)
    config.settle(root, params, trusted=not composed)
    prune(root / FINETUNED, set(params["strategies"]))


def prune(folder: Path, strategies: set[str]) -> None:
    """Remove results of strategies no longer chosen; DVC's cache keeps them."""
    for path in folder.glob("*"):
        if path.is_dir() and path.name not in strategies:
            shutil.rmtree(path)


if __name__ == "__main__":
    run(compose, name="compose")

"""work/ -> MLflow: the whole pipeline run at once, what DVC reused included."""

from __future__ import annotations

import json
import os
from pathlib import Path

from medgraft.config import (
    declared,
    pick,
    project_root,
    read_params,
    stage_params,
    write_if_changed,
)
from medgraft.stages.provenance import provenance
from medgraft.stages.run import CHAMPION, RAN, WORK, run

# Run ids of the last pipeline run, so that a stage DVC skips can point to the run that made it.
LAST = Path("mlflow") / "last.json"


def track() -> None:
    """Log one parent run and a child per stage and strategy; register the champion."""
    uri = stage_params("track").tracking.uri
    from medgraft import tracking
    from medgraft.deployment import registry

    params = read_params(project_root())
    children = stages(params)
    ran = {path.name for path in RAN.glob("*")}
    previous = json.loads(LAST.read_text()) if LAST.is_file() else {}
    cohort = Path(params["cohort"]["folder"]).name
    ids = tracking.track(
        WORK,
        params=children,
        uri=uri,
        experiment=cohort,
        tags=provenance() | {"dvc_exp": os.environ.get("DVC_EXP_NAME", "")},
        reused=set(children) - ran - {"pipeline"},
        previous=previous,
    )
    with tracking.session(uri, WORK) as client:
        registry.register(client, CHAMPION, name=f"medgraft-{cohort}", run_id=ids["pipeline"])
    LAST.parent.mkdir(exist_ok=True)
    write_if_changed(LAST, json.dumps(ids, indent=2) + "\n")
    for path in RAN.glob("*"):
        path.unlink()


def stages(params: dict) -> dict[str, dict]:
    """For each child run, the parameters its stage declares."""
    names = {f"finetune@{key}": ("finetune", key) for key in params["strategies"]}
    plain = {name: (name, "") for name in ("preprocess", "pretrain", "evaluate")}
    root = project_root()
    return {
        child: pick(params, declared(root, stage, key=key))
        for child, (stage, key) in (plain | names).items()
    }


if __name__ == "__main__":
    run(track, name="track")

"""work/ -> MLflow: the whole pipeline run at once, what DVC reused included."""

from __future__ import annotations

import os
from pathlib import Path

from filelock import FileLock

from medgraft.config import declared, pick, project_root, read_params, stage_params
from medgraft.provenance import provenance
from medgraft.stages.made import home, located, read, remember, results, writer
from medgraft.stages.run import CHAMPION, PREPARED, RAN, WORK, run

MADE = Path("mlflow") / "made.json"


def track() -> None:
    """Log one parent run and a child per stage and strategy; register the champion."""
    uri = located(stage_params("track").tracking.uri, home())
    path = home() / MADE
    path.parent.mkdir(exist_ok=True)
    # Queued experiments end side by side: one writes, the others wait.
    with FileLock(path.with_suffix(".lock")):
        log(uri, path)
    for marker in RAN.glob("*"):
        marker.unlink()


def log(uri: str, path: Path) -> None:
    """Write to MLflow; ``path`` tells, for a stage DVC skipped, which run had made its result."""
    from medgraft import tracking
    from medgraft.deployment import registry

    params = read_params(project_root())
    children, names, made = stages(params), results(Path("dvc.lock")), read(path)
    cohort = Path(params["cohort"]["folder"]).name
    ids = tracking.track(
        WORK,
        params=children,
        uri=uri,
        experiment=cohort,
        tags=provenance(PREPARED)
        | {
            "dvc_exp": os.environ.get("DVC_EXP_NAME", ""),
            tracking.WRITER: writer(),
        },
        reused=set(children) - {marker.name for marker in RAN.glob("*")} - {"pipeline"},
        previous={stage: made[name] for stage, name in names.items() if name in made},
    )
    remember(path, {name: ids[stage] for stage, name in names.items() if stage in ids})
    if home() == project_root():  # what a queue tries out is not what the project serves
        with tracking.session(uri, WORK) as client:
            registry.register(client, CHAMPION, name=registry.named(cohort), run_id=ids["pipeline"])


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

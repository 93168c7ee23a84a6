"""work/evaluation, work/finetuned -> work/champion: the chosen strategy, ready to be asked."""

from __future__ import annotations

from pathlib import Path

from medgraft.config import stage_params
from medgraft.provenance import made
from medgraft.stages.run import CHAMPION, EVALUATION, FINETUNED, PREPARED, run


def deploy() -> None:
    """Write the champion and ask it once: what cannot be loaded does not ship."""
    cohort = stage_params("deploy").cohort
    import polars as pl

    from medgraft.deployment.champion import export
    from medgraft.deployment.model import load
    from medgraft.deployment.records import EXAMPLE
    from medgraft.preparation.arrays import read_json

    strategy = export(
        evaluation=EVALUATION,
        finetuned=FINETUNED,
        design=PREPARED / "design.parquet",
        target=PREPARED / "target",
        cohort=Path(cohort.folder),
        sites=cohort.target,
        # Not the commit: a change of the documentation must not make another champion.
        made=made(PREPARED),
        out=CHAMPION,
    )
    load(CHAMPION).predict(pl.DataFrame([read_json(CHAMPION / EXAMPLE)]))
    print(f"champion: {strategy}, in {CHAMPION}")


if __name__ == "__main__":
    run(deploy, name="deploy")

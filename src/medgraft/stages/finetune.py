"""work/prepared, work/pretrained -> work/finetuned/<strategy>: one strategy, all replicas."""

from __future__ import annotations

import sys
from functools import partial

from medgraft.config import stage_params
from medgraft.preparation.arrays import read, read_design
from medgraft.stages.run import FINETUNED, PREPARED, PRETRAINED, run


def finetune(name: str) -> None:
    """Carry out the strategy of this name."""
    params = stage_params("finetune", key=name)
    from medgraft.training.finetune import Study
    from medgraft.training.finetune import finetune as carry_out

    study = Study(
        target=read(PREPARED / "target"),
        design=read_design(PREPARED / "design.parquet"),
        parts={
            "input": params.preparation.input,
            "encoder": params.encoder,
            "head": params.task.head,
        },
        pretrained=PRETRAINED,
        config=params.finetune,
        trainer=params.trainer,
        source_cohort=read(PREPARED / "source"),
        source_design=read_design(PREPARED / "source_design.parquet"),
    )
    carry_out(name, params.strategies[name], study, out=FINETUNED / name)


if __name__ == "__main__":
    run(partial(finetune, sys.argv[1]), name=f"finetune@{sys.argv[1]}")

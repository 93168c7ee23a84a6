"""work/prepared, work/pretrained -> work/finetuned/<strategy>: one strategy, all replicas."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Any

from medgraft.config import stage_params
from medgraft.preparation.arrays import read, read_design
from medgraft.stages.run import FINETUNED, PREPARED, PRETRAINED, SCRATCH, inputs, run


def finetune(name: str) -> None:
    """Carry out the strategy of this name."""
    from medgraft.training.on_ray import spread
    from medgraft.training.resume import resumable

    params = stage_params("finetune", key=name)
    folders = (PREPARED, PREPARED / "source", PREPARED / "target", PRETRAINED)

    def train() -> None:
        with resumable(SCRATCH / f"finetune@{name}", inputs(params, *folders)):
            carry_out(name, params, prepared=PREPARED, pretrained=PRETRAINED, out=FINETUNED / name)

    spread(params.trainer, train, scratch=SCRATCH)


def carry_out(name: str, params: Any, *, prepared: Path, pretrained: Path, out: Path) -> None:
    """Train a strategy on the target cohort in ``prepared`` as these parameters say."""
    from medgraft.training.finetune import Study
    from medgraft.training.finetune import finetune as train

    study = Study(
        target=read(prepared / "target"),
        design=read_design(prepared / "design.parquet"),
        parts={
            "input": params.preparation.input,
            "encoder": params.encoder,
            "head": params.task.head,
        },
        pretrained=pretrained,
        config=params.finetune,
        trainer=params.trainer,
        source_cohort=read(prepared / "source"),
        source_design=read_design(prepared / "source_design.parquet"),
    )
    train(name, params.strategies[name], study, out=out)


if __name__ == "__main__":
    run(partial(finetune, sys.argv[1]), name=f"finetune@{sys.argv[1]}")

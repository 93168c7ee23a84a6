"""work/prepared -> work/pretrained: shared and specific layers on the source, all seeds at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from medgraft.config import stage_params
from medgraft.preparation.arrays import read, read_design
from medgraft.stages.run import PREPARED, PRETRAINED, SCRATCH, inputs, run


def pretrain() -> None:
    """Write the source networks."""
    from medgraft.training.on_ray import spread
    from medgraft.training.resume import resumable

    params = stage_params("pretrain")

    def train() -> None:
        with resumable(SCRATCH / "pretrain", inputs(params, PREPARED, PREPARED / "source")):
            carry_out(params, prepared=PREPARED, out=PRETRAINED)

    spread(params.trainer, train, scratch=SCRATCH)


def carry_out(params: Any, *, prepared: Path, out: Path) -> None:
    """Train on the source cohort in ``prepared`` as these parameters say."""
    from medgraft.training.pretrain import pretrain as train

    train(
        read(prepared / "source"),
        read_design(prepared / "source_design.parquet"),
        spec={
            "input": params.preparation.input,
            "encoder": params.encoder,
            "readout": {"_target_": "medgraft.networks.readout.LastLayer"},
            "head": params.source_task.head,
        },
        config=params.pretrain,
        trainer=params.trainer,
        out=out,
    )


if __name__ == "__main__":
    run(pretrain, name="pretrain")

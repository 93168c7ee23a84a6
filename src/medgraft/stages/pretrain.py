"""work/prepared -> work/pretrained: shared and specific layers on the source, all seeds at once."""

from __future__ import annotations

from medgraft.config import stage_params
from medgraft.preparation.arrays import read, read_design
from medgraft.stages.run import PREPARED, PRETRAINED, run


def pretrain() -> None:
    """Write the source networks."""
    params = stage_params("pretrain")
    from medgraft.training.pretrain import pretrain as train

    train(
        read(PREPARED / "source"),
        read_design(PREPARED / "source_design.parquet"),
        spec={
            "input": params.preparation.input,
            "encoder": params.encoder,
            "readout": {"_target_": "medgraft.networks.readout.LastLayer"},
            "head": params.source_task.head,
        },
        config=params.pretrain,
        trainer=params.trainer,
        out=PRETRAINED,
    )


if __name__ == "__main__":
    run(pretrain, name="pretrain")

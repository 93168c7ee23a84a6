"""A program that fine-tunes, for tests that start it: ``python -m tests.training.program OUT ...``.

Lightning starts the other processes of ``strategy=ddp`` by running the same program again.
"""

import json
import os
import sys
from pathlib import Path

from medgraft.config import Strategy
from medgraft.training import finetune as training

from .simulated import LAST, MLP, RESNET, SGD, cohort, design, fit_config, parts, trainer

SCRATCH = Strategy(
    description="from scratch",
    uses_source=False,
    init={"_target_": "medgraft.transfer.init.random"},
    trainable={"_target_": "medgraft.transfer.trainable.everything"},
    readout=LAST,
)


def main(out: str, encoder: str, sizes: str, settings: str, everyone: str = "") -> None:
    """``sizes``: training patients per replica; ``settings``: changes to the trainer.

    Every process has a folder of its own to write to; with ``everyone`` all of them do.
    """
    if everyone:
        training.leads = lambda: True
    study = training.Study(
        target=cohort(120),
        design=design(tuple(json.loads(sizes)), 120),
        parts=parts(encoder={"mlp": MLP, "resnet": RESNET}[encoder]),
        pretrained=Path(out) / "none",
        config=fit_config(SGD),
        trainer=trainer(**json.loads(settings)),
    )
    training.finetune(
        "scratch", SCRATCH, study, out=Path(out) / f"by{os.environ.get('LOCAL_RANK', '0')}"
    )


if __name__ == "__main__":
    main(*sys.argv[1:])

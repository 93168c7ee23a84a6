"""A program that fine-tunes, for tests that start it: ``python -m tests.training.program OUT ...``.

Lightning starts the other processes of ``strategy=ddp`` by running the same program again.
"""

import json
import os
import sys
from pathlib import Path

from torch import Tensor

from medgraft.config import Strategy
from medgraft.stages.run import run
from medgraft.training import finetune as training
from medgraft.training import resume
from medgraft.training.on_ray import spread
from medgraft.training.sharding import own

from .simulated import ADAMW, LAST, MLP, RESNET, SGD, cohort, design, fit_config, parts, trainer

SCRATCH = Strategy(
    description="from scratch",
    uses_source=False,
    init={"_target_": "medgraft.transfer.init.random"},
    trainable={"_target_": "medgraft.transfer.trainable.everything"},
    readout=LAST,
)

ENCODERS = {"mlp": MLP, "resnet": RESNET, "dropout": RESNET | {"dropout": 0.5}}


def main(out: str, encoder: str, sizes: str, settings: str, everyone: str = "") -> None:
    """``sizes``: training patients per replica; ``settings``: changes to the trainer.

    Every process has a folder of its own to write to; with ``everyone`` all of them do. SIGNAL, in
    the environment, is "15 at 40 of 1": sent to the process of rank 1 after step 40, once; "at 0"
    is before the processes have met, and "of -1" to all of them. With HELD every process writes how
    many bytes it holds; ADAMW takes that optimiser, as conf/ has it.
    """
    if everyone:
        training.leads = lambda: True
    study = training.Study(
        target=cohort(120),
        design=design(tuple(json.loads(sizes)), 120),
        parts=parts(encoder=ENCODERS[encoder]),
        pretrained=Path(out) / "none",
        config=fit_config(ADAMW | {"fused": True} if os.environ.get("ADAMW") else SGD),
        trainer=trainer(**json.loads(settings)),
    )
    folder = Path(out)
    folder.mkdir(exist_ok=True)

    def train() -> None:
        number, step, whom = map(int, os.environ.get("SIGNAL", "0 at 0 of 0").split()[::2])
        if step:
            ended_at(number, step, whom, folder / "signalled")
        if os.environ.get("HELD"):
            weighed(folder / f"held{rank()}.json")
        with resume.resumable(folder / "scratch", [settings]):
            if number and not step and whom in (-1, int(rank())):
                os.kill(os.getpid(), number)
            training.finetune("scratch", SCRATCH, study, out=folder / f"by{rank()}")

    spread(study.trainer, train, scratch=folder)


def rank() -> str:
    """This process' among all."""
    return os.environ.get("SLURM_PROCID") or os.environ.get("LOCAL_RANK", "0")


def ended_at(number: int, step: int, whom: int, once: Path) -> None:
    """Save at every check, and send that signal to oneself after the step."""
    keep = resume.Progress.keep
    resume.RARELY = 0.0

    def kept(self: resume.Progress, module: object) -> None:
        if module.steps == step and int(rank()) == whom and not once.exists():
            once.touch()
            os.kill(os.getpid(), number)
        keep(self, module)

    resume.Progress.keep = kept


def weighed(path: Path) -> None:
    """Write the bytes of memory this process has taken for what is trained, after a check."""
    keep = resume.Progress.keep

    def kept(self: resume.Progress, module: object) -> None:
        optimizer = module.optimizers(use_pl_optimizer=False)
        moved = [one for group in optimizer.param_groups for one in group["params"]]
        held = {
            "parameters": moved,
            "gradients": [one.grad for one in moved],
            "averages": [state["exp_avg"] for state in optimizer.state.values()],
            "squares": [state["exp_avg_sq"] for state in optimizer.state.values()],
            "best": list(module.best.values()),
        }
        path.write_text(json.dumps({kind: taken(each) for kind, each in held.items()}))
        keep(self, module)

    resume.Progress.keep = kept


def taken(tensors: list[Tensor]) -> int:
    """The memory behind tensors, or behind this process' parts of them; some may share it."""
    behind = [own(one.detach()).untyped_storage() for one in tensors]
    return sum({one.data_ptr(): one.nbytes() for one in behind}.values())


if __name__ == "__main__":
    run(lambda: main(*sys.argv[1:]), name="finetune@scratch")

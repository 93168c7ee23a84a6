"""A plain Hydra application over ``conf/``: one job trains one configuration and scores it.

    python tools/multirun.py -m experiment=heart finetune.optimizer.lr=0.001,0.01

The score is a trial's (docs/sweeps.md): the primary metric of the reference and of ``fine_tune`` on
validation patients; nobody is tested. Jobs share what ``medgraft sweep`` shares.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import hydra
import numpy as np
from omegaconf import DictConfig, OmegaConf

from medgraft.config import project_root, validate
from medgraft.stages.run import keep_private
from medgraft.sweep.run import PLACE
from medgraft.sweep.score import Bench, metrics_of


@hydra.main(config_path=str(Path.cwd() / "conf"), config_name="config", version_base="1.3")
def main(composed: DictConfig) -> float:
    """Train, print and return the score, which a sweeper of Hydra's can maximise or minimise."""
    keep_private()
    params: Any = OmegaConf.to_container(composed, resolve=True)
    config, root = validate(params), project_root()
    names = dict.fromkeys([config.evaluation.reference, "fine_tune"])
    strategies = [name for name in names if name in config.strategies]
    bench = Bench(root, root / PLACE / "made", params, strategies=strategies, mirror=None)
    metrics = metrics_of(config, None)
    scores = bench.scores(params, metrics)
    score = float(np.mean([one[config.task.primary] for one in scores.values()]))
    print(f"{config.task.primary} {score:.4f}: mean of {', '.join(strategies)} on validation")
    return score


if __name__ == "__main__":
    main()

"""From raw files to predictions in one process, by the stages' own code."""

from pathlib import Path
from typing import Any

from medgraft.config import validate
from medgraft.stages import finetune, preprocess, pretrain


def carry_out(params: dict[str, Any], folder: Path) -> None:
    """Prepare, pretrain and fine-tune into this folder the cohort that lies in folder/raw."""
    params["cohort"]["folder"] = str(folder / "raw")
    config = validate(params)
    prepared, pretrained = folder / "prepared", folder / "pretrained"
    preprocess.carry_out(config, out=prepared)
    pretrain.carry_out(config, prepared=prepared, out=pretrained)
    for name in config.strategies:
        out = folder / "finetuned" / name
        finetune.carry_out(name, config, prepared=prepared, pretrained=pretrained, out=out)

"""Every yaml in conf/, found by itself: a new one is tested without a change here."""

import re
from pathlib import Path
from typing import Any

import yaml

CONF = Path(__file__).resolve().parents[2] / "conf"
APART = ("launcher", "sweep")  # in no configuration; tests/sweep checks them
FILES = sorted(path for path in CONF.glob("*/*.yaml") if path.parent.name not in APART)

# How a group is chosen where it is not `group=name`.
CHOICE = {
    "metrics": "metrics=[auroc,{}]",
    "optimizer": "optimizer@finetune.optimizer={}",
    "pretext": "pretext@pretrain.pretext={}",
    "augment": "augment@finetune.augment={}",
    "schedule": "schedule@finetune.schedule={}",
    "strategies": "strategies=[scratch,{}]",
}
# What only the user of a cohort can say.
SAID = {"folder": "data/x", "source": "[a]", "target": "[b]", "outcome.target": "died"}


def of(group: str) -> list[Path]:
    return [path for path in FILES if path.parent.name == group]


def read(path: Path) -> dict[str, Any]:
    return yaml.safe_load(path.read_text())


def name(path: Path) -> str:
    return f"{path.parent.name}/{path.stem}"


def overrides(path: Path) -> list[str]:
    """What chooses this yaml on the command line."""
    chosen = CHOICE.get(path.parent.name, f"{path.parent.name}={{}}").format(path.stem)
    open_ends = [key for key, value in flat(read(path)).items() if value == "???"]
    chosen = re.sub(r"\b(\w+),\1\b", r"\1", chosen)  # scratch beside itself is refused
    # Baselines say what they are for; not all of the default ones are for every kind of data.
    limits = {"reads": "preparation", "learns": "task"}
    fit = [
        f"{group}={read(path)[limit][0]}" for limit, group in limits.items() if limit in read(path)
    ]
    fit += ["strategies=[scratch]"] if path.parent.name in limits.values() else []
    return [chosen, *fit, *(f"{path.parent.name}.{key}={SAID[key]}" for key in open_ends)]


def flat(value: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, inner in value.items():
        is_group = isinstance(inner, dict)
        found |= flat(inner, f"{prefix}{key}.") if is_group else {f"{prefix}{key}": inner}
    return found

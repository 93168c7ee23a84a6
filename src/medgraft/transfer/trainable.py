"""Which parameters a strategy trains. Each function picks names from those of a network."""

from __future__ import annotations

import re
from collections.abc import Iterable

SPECIFIC = ("readout.", "head.")


def nothing(names: Iterable[str]) -> set[str]:
    """The source's network as it is."""
    del names
    return set()


def specific_layers(names: Iterable[str]) -> set[str]:
    """Linear probe: the shared layers stay, the specific ones are trained."""
    return {name for name in names if name.startswith(SPECIFIC)}


def from_layer(names: Iterable[str], first: int) -> set[str]:
    """The first ``first`` shared layers stay, everything after them is trained."""
    return {name for name in names if name.startswith(SPECIFIC) or layer(name) >= first}


def everything(names: Iterable[str]) -> set[str]:
    """Every layer is trained."""
    return set(names)


def layer(name: str) -> int:
    """Which shared layer a parameter belongs to; -1 for one that belongs to none."""
    found = re.match(r"encoder\.layers\.(\d+)\.", name)
    return int(found.group(1)) if found else -1

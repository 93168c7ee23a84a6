"""Which parameters a strategy trains, and in which order.

Each function picks names from those of a network and answers with phases; an empty list trains
nothing. A phase starts from the best values of the one before it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

SPECIFIC = ("readout.", "head.")
ADAPTER = re.compile(r"\.parametrizations\.\w+\.\d+\.(up|down)$")


@dataclass(frozen=True)
class Phase:
    """The parameters trained together, for at most ``steps`` (None: the trainer's)."""

    names: set[str]
    steps: int | None = None


def nothing(names: Iterable[str]) -> list[Phase]:
    """The source's network as it is."""
    del names
    return []


def specific_layers(names: Iterable[str]) -> list[Phase]:
    """Linear probe: the shared layers stay, the specific ones are trained."""
    return [Phase({name for name in names if name.startswith(SPECIFIC)})]


def from_layer(names: Iterable[str], first: int) -> list[Phase]:
    """The first ``first`` shared layers stay, everything after them is trained."""
    return [Phase({name for name in names if name.startswith(SPECIFIC) or layer(name) >= first})]


def everything(names: Iterable[str]) -> list[Phase]:
    """Every layer is trained."""
    return [Phase(set(names))]


def probe_then_everything(names: Iterable[str]) -> list[Phase]:
    """LP-FT: the specific layers until validation no longer improves, then every layer.

    Kumar et al., "Fine-tuning can distort pretrained features and underperform out-of-distribution"
    (ICLR 2022): a random head would first pull the shared layers away from what they know.
    """
    known = list(names)
    return specific_layers(known) + everything(known)


def gradual(names: Iterable[str], steps: int) -> list[Phase]:
    """Gradual unfreezing: the specific layers first, every ``steps`` one more layer from the top.

    Howard and Ruder, "Universal language model fine-tuning for text classification" (ACL 2018),
    section 3.3, with steps for their epochs, which are too short in small cohorts. Each thaw keeps
    what was best on validation and starts its optimiser afresh.
    """
    known = list(names)
    last = max(map(layer, known), default=-1)
    thaws = [from_layer(known, first)[0].names for first in range(last + 1, -1, -1)]
    return [Phase(thawed, steps) for thawed in thaws] + everything(known)


def adapters(names: Iterable[str]) -> list[Phase]:
    """The specific layers, and the low-rank changes of the shared ones."""
    return [Phase({n for n in names if n.startswith(SPECIFIC) or ADAPTER.search(n)})]


def layer(name: str) -> int:
    """Which shared layer a parameter belongs to; -1 for one that belongs to none."""
    found = re.match(r"encoder\.layers\.(\d+)\.", name)
    return int(found.group(1)) if found else -1

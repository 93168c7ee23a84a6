"""Where a strategy's weights start.

Each function takes two states with a replica axis (name -> ``[R, ...]``): ``fresh``, initialised at
random with everything fitted on the replica's own target patients, and ``source``, the pretrained
networks of the replicas' source seeds. It returns the state training starts from.
"""

from __future__ import annotations

import torch
from torch import Tensor

State = dict[str, Tensor]
SHARED = ("input.", "encoder.")


def random(fresh: State, source: State) -> State:
    """Training from scratch: the source is not used."""
    del source
    return fresh


def source(fresh: State, source: State) -> State:
    """Shared and specific layers start as the source's."""
    return {
        name: value if is_own(name) else adopt(value, source.get(name))
        for name, value in fresh.items()
    }


def source_shared(fresh: State, source: State) -> State:
    """Shared layers start as the source's, specific layers at random (Yosinski et al., 2014)."""
    return {
        name: adopt(value, source.get(name))
        if name.startswith(SHARED) and not is_own(name)
        else value
        for name, value in fresh.items()
    }


def is_own(name: str) -> bool:
    """True for what a network measured in its own cohort, where another platform measures."""
    return name.rpartition(".")[2].startswith("own_")


def adopt(fresh: Tensor, source: Tensor | None) -> Tensor:
    """The source's value where it has one; a feature it never saw (NaN) keeps the target's."""
    if source is None or source.shape != fresh.shape:
        return fresh
    return torch.where(torch.isnan(source), fresh, source) if source.is_floating_point() else source

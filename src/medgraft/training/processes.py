"""Several processes train together: who trains what, and what if one dies."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from medgraft.errors import StageError


class OthersGone(StageError):
    """Another process of a training has ended before its time."""


def shares(count: int, *, world: int, at_once: int) -> list[list[slice]]:
    """Whose turn replicas ``0..count`` have: for each round, the slice of each of the processes.

    All processes have as many rounds. Where there are fewer replicas left than processes, some
    train the last one too, and nobody asks them.
    """
    rounds = -(-count // (at_once * world))
    pieces = np.array_split(np.arange(count), rounds * world)
    whole = [
        slice(int(p[0]), int(p[-1]) + 1) if len(p) else slice(count - 1, count) for p in pieces
    ]
    return [whole[first : first + world] for first in range(0, len(whole), world)]


def gathered(own: Any, *, world: int) -> list[Any]:
    """What each process has, in the order of their ranks.

    Raises:
        OthersGone: one of them has ended.
    """
    if world == 1:
        return [own]
    from torch import distributed

    everybody: list[Any] = [None] * world
    with others_alive():
        distributed.all_gather_object(everybody, own)
    return everybody


@contextmanager
def others_alive() -> Iterator[None]:
    """Say in a line that another process has gone, which gloo and nccl tell in a page.

    Raises:
        OthersGone: that.
    """
    from torch import distributed

    try:
        yield
    except RuntimeError as error:
        if not (isinstance(error, distributed.DistError) or "gloo" in str(error)):
            raise
        raise OthersGone(
            "another process of this training has ended; what was saved is kept, the same command "
            f"goes on ({str(error).strip().splitlines()[0]})"
        ) from None

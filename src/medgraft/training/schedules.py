"""What the learning rate is multiplied by, step by step."""

from __future__ import annotations

import math
from collections.abc import Callable

from medgraft.construct import Share


def constant(steps: int) -> Callable[[int], float]:
    """Leave it as it is."""
    del steps
    return lambda _: 1.0


def warmup_cosine(steps: int, warmup: Share = 0.1) -> Callable[[int], float]:
    """Rise in a straight line over the first ``warmup`` of ``steps``, then fall as a cosine to 0.

    Loshchilov and Hutter, "SGDR: stochastic gradient descent with warm restarts" (ICLR 2017),
    without the restarts.
    """
    rise = max(1, round(warmup * steps))

    def factor(step: int) -> float:
        if step < rise:
            return (step + 1) / rise
        return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, steps - rise)))

    return factor

"""Numbers precise enough for statistics of a batch."""

from __future__ import annotations

import torch
from torch import Tensor


def full(features: Tensor) -> Tensor:
    """At least float32: mixed precision hands on features of 8 bits."""
    return features.to(torch.promote_types(features.dtype, torch.float32))

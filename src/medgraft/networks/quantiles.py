"""Quantile normalisation to a given reference, one sample at a time.

Bolstad et al., "A comparison of normalization methods for high density oligonucleotide array data",
Bioinformatics 19 (2003) 185-193. There every sample of a study shapes the reference; here it is
fitted on training patients, and a sample is changed by nothing but itself and the reference.
"""

from __future__ import annotations

import torch
from torch import Tensor


def curve(x: Tensor) -> Tensor:
    """Each sample's values ``[n, G]`` in rising order, read at G even levels: ``[n, G]``.

    Missing values (NaN) are left out and the rest is spread over the G levels; a sample without any
    value is NaN.
    """
    levels = torch.linspace(0, 1, x.shape[-1], dtype=x.dtype, device=x.device)
    last = (~torch.isnan(x)).sum(-1, keepdim=True) - 1
    return _read(x.sort(dim=-1).values, levels * last.clamp_min(0))


def normalised(x: Tensor, reference: Tensor) -> Tensor:
    """Samples ``[n, G]`` whose value of each rank is that of ``reference [G]``, a rising curve.

    Equal values share the middle of their ranks; missing values stay missing.
    """
    known = ~torch.isnan(x)
    ordered = torch.where(known, x, torch.inf).sort(dim=-1).values
    below, up_to = (torch.searchsorted(ordered, x.contiguous(), side=s) for s in ("left", "right"))
    rank = (below + up_to - 1).to(x.dtype) / 2
    last = (known.sum(-1, keepdim=True) - 1).clamp_min(1)
    place = (rank / last).clamp(0, 1) * (x.shape[-1] - 1)
    return torch.where(known, _read(reference.expand_as(x), place), torch.nan)


def _read(rising: Tensor, place: Tensor) -> Tensor:
    """Values of ``rising [n, G]`` at fractional positions ``[n, G]``, straight in between."""
    lower = place.floor().long().clamp(0, rising.shape[-1] - 1)
    upper = (lower + 1).clamp_max(rising.shape[-1] - 1)
    below, above = rising.gather(-1, lower), rising.gather(-1, upper)
    part = place - lower
    return torch.where(part > 0, below + part * (above - below), below)

"""Specific layers for survival: what happened is ``y [n, 2]``, time and event (1) or censoring (0).

Both heads answer ``log(-log S(h))`` at the outcome's horizons h, ``[n, T]``: adding a constant
multiplies the hazard, so correcting level and slope is what it is for a Cox model. A row whose time
is NaN is padding: its loss is 0, and it is in nobody's risk set.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

# A cumulative hazard smaller than this is not told from none, and has no logarithm to speak of.
LEAST = 1e-7


class DiscreteTimeHead(nn.Module):
    """A hazard of its own for every interval of the grid (logistic hazard).

    ``level`` is the logit of the hazard of the replica's training patients together; the layer
    learns how each patient departs from it.
    """

    level: Tensor

    def __init__(self, width: int, outcome: Mapping[str, Any]) -> None:
        super().__init__()
        self.horizons = np.array(outcome["horizons"], dtype=np.float64)
        self.outputs = len(self.horizons)
        self.linear = nn.Linear(width, self.outputs)
        self.register_buffer("level", torch.zeros(self.outputs))

    def fit(self, y: np.ndarray) -> dict[str, Tensor]:
        """The level, from times and events ``[n, 2]``."""
        died, at_risk = life_table(y, self.horizons)
        # Half an event and half a survivor more, or an interval without events has no logit.
        return {"level": torch.tensor(np.log((died + 0.5) / (at_risk - died + 0.5))).float()}

    def forward(self, features: Tensor) -> Tensor:
        """``[n, width]`` to ``log(-log S)``, ``[n, T]``."""
        # -log(1 - sigmoid(z)) is softplus(z): the cumulative hazard is a sum of these.
        hazard = functional.softplus(self.linear(features) + self.level)
        return torch.log(torch.cumsum(hazard, dim=-1).clamp(min=LEAST))

    def loss(self, outputs: Tensor, y: Tensor) -> Tensor:
        """Loss per patient ``[n]``."""
        return grid_loss(outputs, y, y.new_tensor(self.horizons))


class CoxHead(nn.Module):
    """One log hazard ratio per patient; loss is the partial likelihood of the batch.

    ``baseline`` is the log cumulative baseline hazard at the horizons: of the training patients
    together before training, Breslow's after it.
    """

    baseline: Tensor

    def __init__(self, width: int, outcome: Mapping[str, Any]) -> None:
        super().__init__()
        self.horizons = np.array(outcome["horizons"], dtype=np.float64)
        self.outputs = len(self.horizons)
        self.linear = nn.Linear(width, 1, bias=False)
        self.register_buffer("baseline", torch.zeros(self.outputs))

    def fit(self, y: np.ndarray) -> dict[str, Tensor]:
        """The baseline of patients who do not differ, from times and events ``[n, 2]``."""
        known = breslow(np.zeros(len(y)), y, self.horizons)
        return {"baseline": torch.tensor(known).float()}

    def finish(
        self, outputs: np.ndarray, y: np.ndarray, fitted: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """The baseline after training.

        Args:
            outputs: what the trained replica says of its training patients ``[n, T]``.
            y: their times and events ``[n, 2]``.
            fitted: the replica's own values of this head.
        """
        before = float(fitted["baseline"][0])
        risk = outputs[:, 0].astype(np.float64) - before
        return {"baseline": torch.tensor(breslow(risk, y, self.horizons)).float()}

    def forward(self, features: Tensor) -> Tensor:
        """``[n, width]`` to ``log(-log S)``, ``[n, T]``."""
        return self.linear(features) + self.baseline

    def loss(self, outputs: Tensor, y: Tensor) -> Tensor:
        """Loss per patient ``[n]``; the baseline cancels."""
        return cox_loss(outputs[..., 0], y)


def grid_loss(outputs: Tensor, y: Tensor, horizons: Tensor) -> Tensor:
    """Minus the log likelihood of a discrete-time model, per patient ``[n]``.

    Gensheimer & Narasimhan, "A scalable discrete-time survival model for neural networks", PeerJ
    7:e6257 (2019). As there, a censored patient has lived through an interval of the grid if
    through half of it; an event after the grid is censored at its end.

    Args:
        outputs: ``log(-log S)`` at the horizons ``[n, T]``.
        y: time and event ``[n, 2]``.
        horizons: ``[T]``, increasing.
    """
    time, event = y[..., :1], y[..., 1:] == 1
    start = torch.zeros_like(outputs[..., :1])
    hazard = torch.diff(torch.exp(outputs), dim=-1, prepend=start).clamp(min=LEAST)
    middles = horizons - torch.diff(horizons, prepend=torch.zeros_like(horizons[:1])) / 2
    lived = torch.where(event, horizons < time, middles <= time)
    before = torch.cat([torch.ones_like(event), lived[..., :-1]], dim=-1)
    died = event & before & ~lived
    return (hazard * lived - torch.log(-torch.expm1(-hazard)) * died).sum(-1)


def cox_loss(risk: Tensor, y: Tensor) -> Tensor:
    """Minus the log partial likelihood among the patients given, their contributions ``[n]``.

    Cox, "Regression models and life-tables", J. R. Stat. Soc. B 34:187 (1972); ties as Breslow
    (Biometrics 30:89, 1974) treats them. A censored patient contributes 0. O(n log n).

    Args:
        risk: log hazard ratios ``[n]``.
        y: time and event ``[n, 2]``.
    """
    event = y[..., 1] == 1
    time = torch.nan_to_num(y[..., 0], nan=-torch.inf)
    order = torch.argsort(time, descending=True)
    time, ordered = time[order], risk[order]
    at_risk = torch.logcumsumexp(ordered, dim=0)[last_of_tie(time)]
    losses = torch.zeros_like(risk).scatter(0, order, at_risk - ordered)
    return torch.where(event, losses, torch.zeros_like(losses))


def last_of_tie(time: Tensor) -> Tensor:
    """Where the run of equal times that each of the sorted times ``[n]`` belongs to ends."""
    place = torch.arange(len(time), device=time.device)
    ends = torch.cat([time[1:] != time[:-1], torch.ones_like(time[:1], dtype=torch.bool)])
    ends = torch.where(ends, place, len(time))
    return torch.flip(torch.cummin(torch.flip(ends, [0]), dim=0).values, [0])


def breslow(risk: np.ndarray, y: np.ndarray, horizons: np.ndarray) -> np.ndarray:
    """Log cumulative baseline hazard at the horizons ``[T]``.

    Breslow, discussion of Cox, J. R. Stat. Soc. B 34:216 (1972); with ``risk`` 0 it is Nelson's and
    Aalen's. Before the first event it is that of half an event, as its logarithm has to be finite.

    Args:
        risk: log hazard ratios ``[n]``.
        y: time and event ``[n, 2]``.
        horizons: ``[T]``.
    """
    time, event = y[:, 0].astype(np.float64), y[:, 1] == 1
    order = np.argsort(time)
    ratios = np.exp(risk - risk.max())[order]
    at_risk = ratios[::-1].cumsum()[::-1][np.searchsorted(time[order], time[event])]
    share = (time[event] <= horizons[:, None]) @ (1 / at_risk)
    return np.log(np.maximum(share, 0.5 / ratios.sum())) - risk.max()


def life_table(y: np.ndarray, horizons: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Events, and patients at risk, in each interval that ends at a horizon, ``[T]`` each."""
    time, event = y[:, :1], y[:, 1:] == 1
    middles = horizons - np.diff(horizons, prepend=0) / 2
    lived = np.where(event, horizons < time, middles <= time)
    before = np.concatenate([np.ones_like(event), lived[:, :-1]], axis=1)
    died = event & before & ~lived
    return died.sum(axis=0), (lived | died).sum(axis=0)

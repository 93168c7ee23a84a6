"""A champion as one torch module, to be handed to whoever has no torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from scipy.special import logit
from torch import Tensor, nn

from medgraft.construct import construct
from medgraft.deployment.attribution import hidden, scored, slopes
from medgraft.deployment.model import part
from medgraft.errors import MedgraftError
from medgraft.evaluation import corrections
from medgraft.networks.model import build
from medgraft.tasks.task import EPS
from medgraft.training.replicas import State, select
from medgraft.transfer.baselines.labels import PerLabel
from medgraft.transfer.baselines.learner import learner
from medgraft.transfer.baselines.recipe import EDGE, Arrays


def survival(raw: Tensor) -> Tensor:
    """Survival ``[n, T]`` at the horizons, which never rises."""
    rising = [raw[:, 0]]
    for column in raw.unbind(1)[1:]:
        rising.append(torch.maximum(rising[-1], column))
    return torch.exp(-torch.exp(torch.stack(rising, dim=1)))


# `probabilities` of the modules in `medgraft.tasks`, in torch's operations.
PROBABILITIES: Mapping[str, Callable[[Tensor], Tensor]] = {
    "binary": lambda raw: torch.cat([torch.sigmoid(-raw), torch.sigmoid(raw)], dim=1),
    "multiclass": lambda raw: torch.softmax(raw, dim=1),
    "multilabel": torch.sigmoid,
    "regression": lambda raw: raw,
    "survival": survival,
}


def temperature(said: Tensor, by: corrections.Temperature) -> Tensor:
    """See `corrections.Temperature`."""
    return torch.softmax(torch.log(said.double().clamp_min(EPS)) / by.temperature, dim=1)


def platt(said: Tensor, by: corrections.Platt) -> Tensor:
    """See `corrections.Platt`."""
    safe = torch.log(said.double().clamp_min(EPS))
    return both(torch.sigmoid(by.intercept + by.slope * (safe[:, 1] - safe[:, 0])))


def isotonic(said: Tensor, by: corrections.Isotonic) -> Tensor:
    """See `corrections.Isotonic`; the line is a sum of ramps, as ONNX cannot look up."""
    risk = said[:, 1].double()
    before, after = np.asarray(by.before), np.asarray(by.after)
    found = torch.full_like(risk, after[0])
    for start, width, rise in zip(before, np.diff(before), np.diff(after), strict=False):
        found = found + rise / width * (risk - start).clamp(0, width)
    return both(found)


def both(positive: Tensor) -> Tensor:
    """Probabilities ``[n, 2]`` of both classes."""
    return torch.stack([1 - positive, positive], dim=1)


# `Correction`s of `medgraft.evaluation.corrections`, in torch's operations.
CORRECTIONS: Mapping[type, Callable[[Tensor, Any], Tensor]] = {
    corrections.AsItIs: lambda said, _: said,
    corrections.Temperature: temperature,
    corrections.Platt: platt,
    corrections.Isotonic: isotonic,
}


class Ensemble(nn.Module):
    """Raw rows ``[n, ...]`` to the corrected mean ``[n, C]`` of what the replicas say of them."""

    def __init__(
        self, replicas: Sequence[nn.Module], task: str, correction: corrections.Correction
    ) -> None:
        super().__init__()
        self.replicas = nn.ModuleList(replicas)
        self.probabilities = PROBABILITIES[task]
        self.correction = correction

    def forward(self, x: Tensor) -> Tensor:
        """Probabilities, or values, float32."""
        each = [self.probabilities(replica(x)) for replica in self.replicas]
        correct = CORRECTIONS[type(self.correction)]
        return correct(torch.stack(each).mean(0), self.correction).float()


class WeightedSum(nn.Module):
    """A baseline that is an intercept and a weighted sum of its prepared inputs.

    Args:
        first: its preparation.
        lines: weights ``[C, width]`` and intercepts ``[C]``, float64.
        without: features ``[d]`` that it does without.
        bound: what becomes of the sums, as in `Baseline.outputs_from`.
    """

    weights: Tensor
    intercepts: Tensor
    without: Tensor

    def __init__(
        self,
        first: nn.Module,
        lines: tuple[Tensor, Tensor],
        without: Tensor,
        bound: Callable[[Tensor], Tensor],
    ) -> None:
        super().__init__()
        self.first, self.bound, self.masks = first, bound, bool(without.any())
        self.register_buffer("weights", lines[0])
        self.register_buffer("intercepts", lines[1])
        self.register_buffer("without", without)

    def forward(self, x: Tensor) -> Tensor:
        """Raw outputs ``[n, C]`` of raw rows ``[n, ...]``."""
        seen = torch.where(self.without, torch.nan, x) if self.masks else x
        prepared = self.first(seen).double().flatten(1)
        return self.bound(prepared @ self.weights.T + self.intercepts)


def ensemble(
    state: State,
    description: Mapping[str, Any],
    x: np.ndarray,
    correction: corrections.Correction,
) -> Ensemble:
    """The champion whose weights and description these are.

    Args:
        state: values ``[R, ...]``.
        description: what `network.json` says.
        x: a row ``[1, ...]`` or more of those it takes, whatever they hold.
        correction: of the replicas' mean.

    Raises:
        MedgraftError: it is a baseline that is no weighted sum.
    """
    spec, schema = description["network"], description["schema"]
    make = weighted_sum if "baseline" in spec else network
    count = len(next(iter(state.values())))
    owns = ({name: value[0] for name, value in select(state, [r]).items()} for r in range(count))
    each = [make(spec, schema, own, torch.from_numpy(x[:1].copy())) for own in owns]
    return Ensemble(each, schema["outcome"]["task"], correction).eval()


def network(
    spec: Mapping[str, Any], schema: Mapping[str, Any], own: State, row: Tensor
) -> nn.Module:
    """One network with its own values."""
    del row
    made = build(spec, schema, seed=0)
    made.load_state_dict(own)
    return made


def weighted_sum(
    spec: Mapping[str, Any], schema: Mapping[str, Any], own: State, row: Tensor
) -> WeightedSum:
    """One baseline with its own values."""
    outcome, name = schema["outcome"], spec["baseline"]["_target_"].rpartition(".")[2]
    recipe = learner(spec["baseline"], outcome)
    each = recipe.binary if isinstance(recipe, PerLabel) else recipe
    if not each.affine:
        raise MedgraftError(
            f"the champion is the baseline {name}, which is not exported: networks and weighted "
            "sums of the inputs are"
        )
    first = construct(spec["input"], features=schema["features"])
    first.load_state_dict(part(own, "input."))
    arrays = {key: value.numpy() for key, value in part(own, "baseline.").items()}
    several = range(recipe.labels) if isinstance(recipe, PerLabel) else None
    sums = [{key: value[i] for key, value in arrays.items()} for i in several or ()] or [arrays]
    shape = first(row).shape[1:]
    lines = [line(scored(each, spec), fitted, shape) for fitted in sums]
    weights, intercepts = (torch.cat(values) for values in zip(*lines, strict=True))
    if each.task == "multiclass" and len(weights) != len(outcome["classes"]):
        raise MedgraftError(f"the baseline {name} has not learned every class: not exported")
    without = torch.zeros(len(schema["features"]), dtype=torch.bool)
    without[hidden(spec, schema)] = True
    return WeightedSum(first, (weights, intercepts), without, BOUNDS.get(each.task, as_it_is))


def line(
    scores: Callable[[Arrays, np.ndarray], np.ndarray], arrays: Arrays, shape: torch.Size
) -> tuple[Tensor, Tensor]:
    """Weights ``[C, width]`` and intercepts ``[C]`` of a weighted sum, read off its scores."""
    start = scores(arrays, np.zeros((1, *shape)))[0]
    return slopes(scores, arrays, shape).flatten(1).double(), torch.from_numpy(
        start.copy()
    ).double()


def as_it_is(sums: Tensor) -> Tensor:
    """Values, and log cumulative hazards."""
    return sums


def logits(sums: Tensor) -> Tensor:
    """Of two classes, within what a probability can be told from."""
    return sums.clamp(float(logit(EDGE)), float(logit(1 - EDGE)))


def log_probabilities(sums: Tensor) -> Tensor:
    """Of several classes."""
    return torch.log(torch.softmax(sums, dim=1).clamp(EDGE, 1 - EDGE))


BOUNDS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "binary": logits,
    "multiclass": log_probabilities,
}

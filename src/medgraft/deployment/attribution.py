"""What each feature, position or pixel contributes to the champion's raw outputs.

Contributions are counted from the *reference*, the mean of a replica's own training patients as its
network sees them (prepared: standardised numbers, shares of categories, letters or channels), and
sum to the output minus the reference's output ("completeness").
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from medgraft.construct import construct
from medgraft.deployment.model import part
from medgraft.errors import NotExplained, StageError
from medgraft.networks.model import Network, build
from medgraft.tasks import task as tasks
from medgraft.tasks.task import Task
from medgraft.training.classical import reader, without
from medgraft.training.replicas import Replicas, State, select
from medgraft.transfer.baselines.learner import learner
from medgraft.transfer.baselines.recipe import Arrays

REFERENCE = "reference.safetensors"
STEPS = 64  # points of the path from the reference
AT_ONCE = 2**22  # prepared values that are differentiated together
ROWS = 512  # patients read at a time

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Shares:
    """Contributions ``parts [R, n, C, *places]`` to ``outputs [R, n, C]``, and what they start at.

    ``start [R, C]`` is the output for the reference.
    """

    parts: Floats
    outputs: Floats
    start: Floats

    @property
    def gap(self) -> Floats:
        """What the contributions leave unexplained ``[R, n, C]``: 0 but for the steps' error."""
        return self.outputs - self.start[:, None] - self.parts.sum(tuple(range(3, self.parts.ndim)))

    def mean(self) -> Shares:
        """The champion's: the mean of its replicas, as one replica."""
        return Shares(*(np.mean(each, 0, keepdims=True) for each in self._all()))

    def _all(self) -> tuple[Floats, Floats, Floats]:
        return self.parts, self.outputs, self.start


Explain = Callable[[NDArray[Any]], Shares]


def write_reference(folder: Path, x: NDArray[Any], rows: list[NDArray[Any]]) -> None:
    """Write the mean prepared training patient of every replica of the champion in `folder`.

    Args:
        folder: holds `weights.safetensors` and `network.json`.
        x: raw rows of the target cohort.
        rows: training rows of each replica, in the order of the weights.
    """
    from medgraft.training import weights

    state, description = weights.read(folder)
    spec, schema = description["network"], description["schema"]
    first, kept = construct(spec["input"], features=schema["features"]), hidden(spec, schema)
    means = [
        average(prepare, np.asarray(sorted(mine)), without(x, kept))
        for prepare, mine in zip(preparations(first, state), rows, strict=True)
    ]
    save_file({"mean": torch.stack(means).float().contiguous()}, folder / REFERENCE)


def hidden(spec: Mapping[str, Any], schema: Mapping[str, Any]) -> list[int]:
    """Features that the champion does without, as a learner of both cohorts does."""
    learn_from = spec.get("learn_from", "target") if "baseline" in spec else "target"
    return reader(spec["input"], schema, learn_from=learn_from).hidden


def preparations(first: nn.Module, state: State) -> list[Callable[[Tensor], Tensor]]:
    """Each replica's own preparation, from raw rows to prepared ones."""
    fitted = part(state, "input.")

    def prepare(replica: int, x: Tensor) -> Tensor:
        own = {name: value[0] for name, value in select(fitted, [replica]).items()}
        first.load_state_dict(own)
        with torch.no_grad():
            found: Tensor = first(x)
        return found

    count = len(next(iter(state.values())))
    return [lambda x, r=r: prepare(r, x) for r in range(count)]  # type: ignore[misc]


def average(prepare: Callable[[Tensor], Tensor], rows: NDArray[Any], x: NDArray[Any]) -> Tensor:
    """The mean of prepared rows, some at a time and in double precision."""
    total = torch.zeros(())
    for start in range(0, len(rows), ROWS):
        block = torch.from_numpy(np.array(x[rows[start : start + ROWS]]))
        total = total + prepare(block).double().sum(0)
    return total / len(rows)


def explainer(folder: Path, state: State, description: Mapping[str, Any]) -> Explain:
    """How the champion in `folder` explains raw rows ``[n, ...]``.

    Raises:
        StageError: the champion has no reference.
        NotExplained: its kind of model is not explained.
    """
    path = folder / REFERENCE
    if not path.is_file():
        raise StageError(f"{path} not found: run the stage deploy again, older champions lack it")
    reference = load_file(path)["mean"]
    spec, schema = description["network"], description["schema"]
    if "baseline" in spec:
        return exact(spec, schema, state, reference)
    return integrated(
        build(spec, schema, seed=0), state, reference, task=tasks.of(schema["outcome"]["task"])
    )


# Networks


def integrated(template: Network, state: State, reference: Tensor, *, task: Task) -> Explain:
    """Integrated gradients of all replicas at once, along the prepared inputs.

    Sundararajan, Taly & Yan, "Axiomatic attribution for deep networks" (ICML 2017), as captum
    computes them (Gauss-Legendre). No replica's output depends on another's input, so the gradient
    of their sum holds the gradient of each.
    """
    first = template.input
    prepare = preparations(first, state)
    replicas = Replicas(*headless(template, state)).eval()

    def outputs(z: Tensor) -> Tensor:
        """``[n, R, ...]`` prepared to ``[n, R, C]``."""
        found = replicas(z.transpose(0, 1)).transpose(0, 1)
        return centred(found, task)

    def explain(x: NDArray[Any]) -> Shares:
        raw = torch.from_numpy(np.array(x))
        z = torch.stack([each(raw) for each in prepare], dim=1)
        with torch.no_grad():
            start, end = outputs(reference[None])[0], outputs(z)
        each = [
            first.collect(gradients(outputs, z, reference[None], output).double())
            for output in range(end.shape[-1])
        ]
        parts = torch.stack(each, dim=2).transpose(0, 1)
        return Shares(*(t.double().numpy() for t in (parts, end.transpose(0, 1), start)))

    return explain


def headless(template: Network, state: State) -> tuple[Network, State]:
    """The network without its preparation, to be asked about prepared inputs."""
    bare = Network(nn.Identity(), template.encoder, template.readout, template.head)
    return bare, {name: value for name, value in state.items() if not name.startswith("input.")}


def centred(outputs: Tensor, task: Task) -> Tensor:
    """Outputs from their mean, where only their differences mean anything."""
    return outputs - outputs.mean(-1, keepdim=True) if task.only_differences else outputs


def gradients(
    outputs: Callable[[Tensor], Tensor], z: Tensor, reference: Tensor, output: int
) -> Tensor:
    """Integrated gradients ``[n, R, ...]`` of one output, from ``reference [1, R, ...]`` to z."""
    if not len(z):
        return torch.zeros_like(z)
    from captum.attr import IntegratedGradients

    found: Tensor = IntegratedGradients(lambda at: outputs(at)[..., output].sum(1)).attribute(
        z,
        baselines=reference,
        n_steps=STEPS,
        method="gausslegendre",
        internal_batch_size=max(STEPS, AT_ONCE // max(1, z[0].numel())),
    )
    return found.detach()


# Baselines


def exact(
    spec: Mapping[str, Any], schema: Mapping[str, Any], state: State, reference: Tensor
) -> Explain:
    """Weight times distance from the reference: for a weighted sum, integrated gradients exactly.

    Raises:
        NotExplained: the baseline is not a weighted sum of its inputs.
    """
    name = spec["baseline"]["_target_"].rpartition(".")[2]
    recipe = learner(spec["baseline"], schema["outcome"])
    task = tasks.of(schema["outcome"]["task"])
    wide = task.outputs(schema["outcome"])
    if not getattr(recipe, "affine", False):
        raise NotExplained(
            f"the champion is the baseline {name}, whose answers are not explained: contributions "
            "are offered for networks and for weighted sums of the inputs"
        )
    first = construct(spec["input"], features=schema["features"])
    prepare, scores = preparations(first, state), scored(recipe, spec)
    count, kept = len(prepare), hidden(spec, schema)
    fitted = [
        {key: value[0].numpy() for key, value in part(select(state, [r]), "baseline.").items()}
        for r in range(count)
    ]
    weights = [slopes(scores, arrays, reference[0].shape) for arrays in fitted]
    if any(len(each) != wide for each in weights):
        raise NotExplained(f"the baseline {name} has not learned every class: nothing to explain")

    def explain(x: NDArray[Any]) -> Shares:
        raw = torch.from_numpy(without(np.array(x), kept))
        found = []
        for r, (own, weight) in enumerate(zip(prepare, weights, strict=True)):
            z, zero = own(raw).double(), reference[r].double()
            parts = first.collect((z - zero)[:, None] * weight)
            said = [torch.from_numpy(scores(fitted[r], at.numpy())) for at in (z, zero[None])]
            shift = parts.mean(1, keepdim=True) if task.only_differences else 0.0
            found.append((parts - shift, *(centred(each, task) for each in said)))
        parts, ends, starts = (torch.stack(each).numpy() for each in zip(*found, strict=True))
        return Shares(parts, ends, starts[:, 0])

    return explain


def scored(recipe: Any, spec: Mapping[str, Any]) -> Callable[[Arrays, NDArray[Any]], NDArray[Any]]:
    """The scores of prepared patients of the target; a learner of both cohorts is told so by 0."""

    def told(arrays: Arrays, inputs: NDArray[Any]) -> NDArray[Any]:
        found: NDArray[Any] = recipe.scores(arrays, np.pad(inputs, ((0, 0), (0, 1))))
        return found

    scores: Callable[[Arrays, NDArray[Any]], NDArray[Any]] = recipe.scores
    return told if spec.get("learn_from") == "both" else scores


def slopes(
    scores: Callable[[Arrays, NDArray[Any]], NDArray[Any]], arrays: Arrays, shape: torch.Size
) -> Tensor:
    """Weights ``[C, ...]`` of a weighted sum, read off its scores."""
    width = int(np.prod(shape))
    at = np.concatenate([np.zeros((1, width)), np.eye(width)]).reshape(-1, *shape)
    found = scores(arrays, at)
    return torch.from_numpy((found[1:] - found[0]).T.copy()).reshape(-1, *shape)

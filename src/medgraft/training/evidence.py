"""What the source networks, as they are, show on the target's training patients."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from medgraft.config import Target
from medgraft.errors import ConfigError
from medgraft.evaluation.metrics.metric import CLASSIFICATION, Floats
from medgraft.evaluation.transferability import OF_TASK
from medgraft.networks.model import Network, build
from medgraft.preparation.arrays import read, read_design
from medgraft.tasks import task as tasks
from medgraft.training import replicas, weights
from medgraft.training.batches import chunk
from medgraft.training.patients import Patients
from medgraft.training.pretrain import fitted, patients_of
from medgraft.training.replicas import State
from medgraft.transfer import init


def evidence(prepared: Path, pretrained: Path, *, head: Target) -> list[dict[str, float]]:
    """Score the source network of every replica on that replica's training patients.

    Args:
        prepared: ``work/prepared`` or a folder like it.
        pretrained: the source networks of its source seeds.
        head: constructor of the target's head, for sources whose own head names no class.

    Raises:
        ConfigError: no score is defined for the target's outcome.
    """
    target = read(prepared / "target")
    task = target.schema["outcome"]["task"]
    if task not in OF_TASK:
        raise ConfigError(f"task={task}: expected {', '.join(OF_TASK)}; no source score is defined")
    design = read_design(prepared / "design.parquet")
    patients = patients_of(target, design.filter(design["use"] == "compare"))
    seeds = design.filter(design["use"] == "compare")["source_seed"].to_list()
    values, told = weights.read(pretrained)
    source = replicas.select(values, seeds)
    template, state, classes = _networks(patients, source, told, target.schema, head=head)
    scores = []
    for replica, rows in enumerate(patients.train):
        template.load_state_dict({name: value[replica] for name, value in state.items()})
        features, outputs = _seen(template, patients.x, rows)
        said = tasks.of(classes).probabilities(outputs) if classes else None
        scores.append(dict(OF_TASK[task](features, said, patients.y[rows].astype(np.float64))))
    return scores


def _networks(
    patients: Patients,
    source: State,
    told: dict[str, Any],
    schema: dict[str, Any],
    *,
    head: Target,
) -> tuple[Network, State, str]:
    """A template, the source's values ``[R, ...]``, and the task of its classes if it has any."""
    spec, outcome = told["network"], told["schema"]["outcome"]
    named = outcome["task"] in CLASSIFICATION
    schema = schema | {"outcome": outcome} if named else schema
    spec = spec if named else spec | {"head": head}
    template, fresh = replicas.build(lambda seed: build(spec, schema, seed=seed), patients.seeds)
    fresh |= fitted(template, patients)
    take = init.source if named else init.source_shared
    return template.eval(), take(fresh, source), outcome["task"] if named else ""


@torch.no_grad()
def _seen(network: Network, x: np.ndarray, rows: Sequence[int]) -> tuple[Floats, Floats]:
    """Outputs of the last shared layer ``[m, width]`` and of the network ``[m, outputs]``."""
    size = chunk(x)
    parts = [torch.from_numpy(x[rows[i : i + size]]) for i in range(0, len(rows), size)]
    features = torch.cat([network.layers(part)[-1].flatten(1) for part in parts])
    outputs = torch.cat([network(part) for part in parts])
    return features.double().numpy(), outputs.double().numpy()

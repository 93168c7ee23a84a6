"""What a readout fits before training, from the layers training starts from."""

from __future__ import annotations

import copy
from typing import Any

import torch

from medgraft.training.batches import chunk
from medgraft.training.patients import Patients
from medgraft.training.replicas import State


def read_out(template: Any, state: State, patients: Patients) -> State:
    """Values ``readout.* [R, ...]`` from each replica's training patients; nothing for most."""
    if not hasattr(template.readout, "fit"):
        return {}
    network, each = copy.deepcopy(template).eval(), []
    for r, rows in enumerate(patients.train):
        network.load_state_dict({name: value[r] for name, value in state.items()})
        y = torch.from_numpy(patients.y[rows])
        each.append(network.readout.fit(layers(network, patients.x[rows]), y, network.head))
    return {f"readout.{name}": torch.stack([v[name] for v in each]) for name in each[0]}


@torch.no_grad()
def layers(network: Any, x: Any) -> list[torch.Tensor]:
    """Outputs of all layers for raw patients ``[n, ...]``, a block at a time."""
    size = chunk(x)
    parts = [network.layers(torch.from_numpy(x[i : i + size])) for i in range(0, len(x), size)]
    return [torch.cat(layer) for layer in zip(*parts, strict=True)]

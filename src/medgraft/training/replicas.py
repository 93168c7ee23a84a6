"""Many networks of one shape as one module with a leading replica axis."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from medgraft.networks.model import Network
from medgraft.training.sharding import cut, is_cut, joined, own

State = dict[str, Tensor]
"""Parameters and buffers by their name in one network, each ``[R, ...]``."""


class Replicas(nn.Module):
    """R networks that see R batches and answer R times, as if each ran alone.

    Several replicas are stacked tensors under ``vmap``; a single one is an ordinary network, as
    ``vmap`` and ``functional_call`` would cost it half its speed.

    Args:
        template: any network of the shape; left as it is.
        state: values of all R networks.
        trained: names of the parameters to train; the others stay as they are.
    """

    def __init__(self, template: Network, state: State, trained: Iterable[str] = ()) -> None:
        super().__init__()
        # Processes exchange values in this order, and what is read from a file has any.
        self.names = [name for name in template.state_dict() if name in state]
        self.trained = sorted(trained)
        self.count = len(next(iter(state.values())))
        self.settled: State = {}
        if self.count == 1:
            self.alone = copy.deepcopy(template)
            self.alone.load_state_dict({name: value[0] for name, value in state.items()})
            for name, parameter in self.alone.named_parameters():
                parameter.requires_grad_(name in self.trained)
        else:
            # In a tuple, or nn.Module would count the template's own parameters as ours.
            self._template = (copy.deepcopy(template).to("meta"),)
            self.stacked = nn.ParameterDict(
                {slot(name): copied(state[name], name in self.trained) for name in state}
            )

    def train(self, mode: bool = True) -> Replicas:
        """Set the mode of all replicas (batch normalisation, dropout)."""
        if self.count > 1:
            self._template[0].train(mode)
        return super().train(mode)

    def parameter(self, name: str) -> Tensor:
        """The tensor an optimiser moves: ``[R, ...]``, for a single replica without the axis."""
        if self.count > 1:
            return self.stacked[slot(name)]
        owner, _, attribute = name.rpartition(".")
        return getattr(self.alone.get_submodule(owner), attribute)

    @property
    def cut(self) -> bool:
        """Whether every process holds parts of the values."""
        return any(is_cut(self.parameter(name)) for name in self.names)

    def value(self, name: str) -> Tensor:
        """One parameter or buffer ``[R, ...]``, sharing memory with what is trained.

        Where it is cut, this process' part of it.
        """
        tensor = own(self.parameter(name).detach())
        return tensor if self.count > 1 else tensor[None]

    def state(self) -> State:
        """Values of all replicas, copied; where they are cut, all processes have to ask."""
        if self.settled:
            return dict(self.settled)
        return self.joined({name: self.value(name).clone() for name in self.names})

    def put(self, state: State) -> None:
        """Take over the values of all replicas."""
        for name, value in self.parts({name: state[name] for name in self.names}).items():
            self.value(name).copy_(value)

    def joined(self, parts: State) -> State:
        """What all processes together hold of these values; all of them have to ask."""
        if self.count > 1:
            return parts
        ordered = {name: self.parameter(name) for name in self.names if name in parts}
        return {name: joined(parts[name][0], like)[None] for name, like in ordered.items()}

    def parts(self, values: State) -> State:
        """What this process holds of whole values."""
        if self.count > 1:
            return values
        return {n: own(cut(value[0], self.parameter(n)))[None] for n, value in values.items()}

    def settle(self) -> None:
        """Bring what is cut together, in main memory: nobody trains it further."""
        if self.cut:
            self.settled = {name: value.cpu() for name, value in self.state().items()}

    def changing(self) -> State:
        """What training may change: trained parameters and running statistics (not copied)."""
        moves = [name for name in self.names if name in self.trained or "running_" in name]
        return {name: self.value(name) for name in moves}

    def forward(self, *arguments: Tensor) -> Tensor:
        """Outputs ``[R, b, C]`` of ``x [R, b, ...]``; given ``y [R, b]``, losses ``[R, b]``."""
        if self.count == 1:
            return self.alone(*(argument[0] for argument in arguments))[None]
        state = {name: self.stacked[slot(name)] for name in self.names}
        return vmap(self.call, randomness="different")(state, *arguments)

    def call(self, state: State, *arguments: Tensor) -> Tensor:
        """One network's answer with the given values."""
        return functional_call(self._template[0], state, arguments)


def copied(value: Tensor, trained: bool) -> nn.Parameter:
    """A copy of the stacked value, with a gradient where it is trained."""
    return nn.Parameter(value.clone(), requires_grad=trained)


def slot(name: str) -> str:
    """Where a network's value lives in the stacked module, whose names may not hold dots."""
    return name.replace(".", "/")


def build(make: Callable[[int], Network], seeds: Iterable[int]) -> tuple[Network, State]:
    """A template and the stacked state of freshly initialised networks, one per seed."""
    networks = [make(int(seed)) for seed in seeds]
    states = [network.state_dict() for network in networks]
    return networks[0], {name: torch.stack([s[name] for s in states]) for name in states[0]}


def select(state: State, which: list[int]) -> State:
    """The states of some replicas, in that order; one may be taken several times."""
    index = torch.tensor(which)
    return {name: value[index] for name, value in state.items()}

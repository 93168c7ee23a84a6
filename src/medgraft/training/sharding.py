"""Networks of which every process holds a part (FSDP).

torch's own modules for it are imported where they are needed: they take half a second.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn


def shard(network: nn.Module, device: torch.device) -> None:
    """Leave this process its part of every parameter, cut along the first axis, on the device.

    A unit's parameters are together only while it is at work, and its gradients are the mean over
    the processes, as under DDP.
    """
    from torch.distributed import get_world_size
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    mesh = init_device_mesh(device.type, (get_world_size(),))
    # By default the outermost stays together until a backward pass, which validation has not.
    for unit in [*units(network), network]:
        fully_shard(unit, mesh=mesh, reshard_after_forward=True)


def units(network: Any) -> Iterator[nn.Module]:
    """The layers of an encoder that are called as modules; all else comes together at once.

    That is the whole of an ``Objective``, whose penalty reads parameters of every layer.
    """
    for layer in getattr(getattr(network, "encoder", None), "layers", ()):
        # Around a checkpoint's blocks stand parts whose parameters are read, not called.
        block = layer["block"] if isinstance(layer, nn.ModuleDict) and "block" in layer else layer
        if not isinstance(block, nn.ModuleDict):
            yield block


def is_cut(tensor: Any) -> bool:
    """Whether processes hold parts of it (a ``DTensor``)."""
    return hasattr(tensor, "full_tensor")


def own(tensor: Any) -> Tensor:
    """This process' part, sharing memory; of what is not cut, all."""
    return tensor.to_local() if is_cut(tensor) else tensor


def whole(tensor: Any) -> Tensor:
    """All parts together. Every process has to ask, for one tensor after the other."""
    return tensor.full_tensor() if is_cut(tensor) else tensor


def joined(part: Tensor, like: Any) -> Tensor:
    """All processes' parts of what is cut as ``like`` is. Every process has to ask."""
    if not is_cut(like):
        return part
    cut = {"shape": like.shape, "stride": like.stride()}
    return whole(type(like).from_local(part, like.device_mesh, like.placements, **cut))


def cut(value: Tensor, like: Any) -> Tensor:
    """A whole value, which every process has, cut as ``like`` is."""
    if not is_cut(like):
        return value
    from torch.distributed.tensor import distribute_tensor

    here = value.to(like.device)
    return distribute_tensor(here, like.device_mesh, like.placements, src_data_rank=None)

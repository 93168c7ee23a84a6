"""Networks on disk: `weights.safetensors` beside `network.json`, nothing pickled."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from medgraft.errors import StageError
from medgraft.preparation.arrays import check_seal, read_json, write_json


def write(folder: Path, state: Mapping[str, Tensor], description: Mapping[str, Any]) -> None:
    """Write values ``[R, ...]`` and what they are values of."""
    folder.mkdir(parents=True, exist_ok=True)
    ordered = {name: state[name].contiguous() for name in sorted(state)}
    save_file(ordered, folder / "weights.safetensors")
    write_json(description, folder / "network.json")


def read(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The values and the description in ``folder``.

    Raises:
        StageError: a file is missing or damaged.
    """
    path = folder / "weights.safetensors"
    if not path.is_file():
        raise StageError(f"{path} not found: run the stage that writes it first")
    check_seal(folder)
    try:
        state = load_file(path)
    except SafetensorError as error:
        raise StageError(f"{path}: not a safetensors file ({error})") from None
    return state, read_json(folder / "network.json")


def pad(values: list[Tensor]) -> Tensor:
    """Stack tensors of different sizes, NaN where one is shorter."""
    size = [max(sizes) for sizes in zip(*(value.shape for value in values), strict=True)]
    stacked = torch.full((len(values), *size), torch.nan, dtype=values[0].dtype)
    for row, value in zip(stacked, values, strict=True):
        row[tuple(slice(0, length) for length in value.shape)] = value
    return stacked

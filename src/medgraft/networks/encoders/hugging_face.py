"""Encoders of published sequence checkpoints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from medgraft.errors import ConfigError
from medgraft.networks import checkpoints

HEADS = ("pooler", "contact_head")  # parts that do not reach a position's features


class HuggingFace(nn.Module):
    """A transformer of the shape a checkpoint's configuration states, for letters as channels.

    Layer 0 holds the embeddings, layer i block i (what follows the blocks belongs to the last).
    Letters are words of the checkpoint: their rows of the embedding are added up by the one-hot
    input, so the network stays differentiable in it. Zeros in every channel are an unknown letter,
    or the end where none follows.

    Args:
        inputs: channels of the prepared input, one per letter.
        settings: the checkpoint's config.json, as `checkpoints.configuration` gives it.
        letters: the vocabulary's position of every letter, in the order of the channels.
        start: position of the word before every sequence; None: nothing.
        end: position of the word after every sequence; None: nothing.
        unknown: position of the word for an unknown letter; None: a zero vector.
    """

    places: ClassVar[int] = 1
    _model: Any

    def __init__(
        self,
        inputs: int,
        settings: Mapping[str, Any],
        letters: Sequence[int],
        start: int | None = None,
        end: int | None = None,
        unknown: int | None = None,
    ) -> None:
        super().__init__()
        if inputs != len(letters):
            raise ValueError(
                f"the input has {inputs} channels, the checkpoint {len(letters)} letters"
            )
        self.words = [*letters, start, end, unknown]
        self._around(checkpoints.fresh(dict(settings)))

    def adopt(self, model: nn.Module) -> None:
        """Take over the weights of ``model``, a network of the same shape; it is taken apart."""
        own = HuggingFace.__new__(HuggingFace)
        nn.Module.__init__(own)
        own._around(model)
        self.load_state_dict(own.state_dict())

    def _around(self, model: Any) -> None:
        for name in HEADS:
            if name in dict(model.named_children()):
                setattr(model, name, None)
        for part in model.modules():
            # Replicas carry the values that a network saves, and nothing else.
            part._non_persistent_buffers_set.clear()
        blocks, before, after = parts(model)
        last = nn.ModuleDict({"block": blocks[-1], **after})
        self.layers = nn.ModuleList([nn.ModuleDict(before), *blocks[:-1], last])
        self.widths = [int(model.config.hidden_size)] * len(self.layers)
        # Its parts are registered as layers, so it must not be registered a second time as a whole.
        object.__setattr__(self, "_model", model)

    def forward(self, x: Tensor) -> list[Tensor]:
        """``[n, letters, length]`` to all layers' maps ``[n, width, length]``, 0 past the end."""
        read, inside = self._embedded(x)
        self._require_room(inside.shape[-1])
        hidden = torch.zeros_like(inside, dtype=x.dtype)
        mask = hidden.masked_fill(~inside, torch.finfo(x.dtype).min)[..., None, None, :]
        # A mask that is already additive is used as it is: building it from zeros and ones asks
        # whether all are ones, which `vmap` cannot.
        states = self._model(
            inputs_embeds=read, attention_mask=mask, output_hidden_states=True
        ).hidden_states
        first = int(self.words[-3] is not None)
        letters = extent(x).unsqueeze(-2)
        maps = (state[..., first : first + x.shape[-1], :].transpose(-1, -2) for state in states)
        return [torch.where(letters, each, 0.0) for each in maps]

    def _require_room(self, positions: int) -> None:
        known = getattr(self._model.config, "max_position_embeddings", None) or positions
        if positions > known:
            raise ConfigError(
                f"sequences take {positions} positions, the checkpoint has {known}; "
                "`policy: crop` in cohort.yaml shortens them"
            )

    def pool(self, h: Tensor) -> Tensor:
        """``[n, width, length]`` to the mean over a sequence's own letters ``[n, width]``."""
        count = (h != 0).any(-2).sum(-1, keepdim=True).clamp_min(1)
        return h.sum(-1) / count

    def _embedded(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Vectors ``[n, positions, width]`` with start and end, and which positions are read."""
        weight = self._model.get_input_embeddings().weight
        *letters, start, end, unknown = self.words
        within = extent(x)
        read = x.transpose(-1, -2) @ weight[letters]
        if unknown is not None:
            strange = within & (x.sum(-2) == 0)
            read = read + strange.unsqueeze(-1).to(x.dtype) * weight[unknown]
        if end is not None:
            past = nn.functional.pad(within, (1, 0), value=True)
            within = nn.functional.pad(within, (0, 1), value=False)
            read = nn.functional.pad(read, (0, 0, 0, 1))
            read = read + (past & ~within).unsqueeze(-1).to(x.dtype) * weight[end]
            within = past
        if start is not None:
            before = weight[start].expand(*read.shape[:-2], 1, -1)
            read = torch.cat([before, read], dim=-2)
            within = nn.functional.pad(within, (1, 0), value=True)
        return read * scale(self._model), within


def extent(x: Tensor) -> Tensor:
    """Which positions ``[n, length]`` of ``[n, letters, length]`` lie before the last letter."""
    return (x.sum(-2) > 0).flip(-1).cumsum(-1).flip(-1) > 0


def scale(model: Any) -> float:
    """What ESM's embeddings are multiplied by where words come in and no vector does.

    It was trained with 80 % of 15 % of the words hidden and makes up for seeing all of them.
    """
    return 1 - 0.15 * 0.8 if getattr(model.config, "token_dropout", False) else 1.0


def parts(model: Any) -> tuple[list[nn.Module], dict[str, nn.Module], dict[str, nn.Module]]:
    """A transformer's blocks, and the parts with values that stand before and after them."""
    count = getattr(model.config, "num_hidden_layers", None) or len(model.config.depths)
    lists = [
        (name, part)
        for name, part in model.named_modules()
        if isinstance(part, nn.ModuleList) and len(part) == count
    ]
    if not lists:
        raise ConfigError(f"{type(model).__name__}: expected a list of {count} blocks, found none")
    where, blocks = lists[0]
    before: dict[str, nn.Module] = {}
    after: dict[str, nn.Module] = {}
    side = before
    for name, part in model.named_modules():
        if name == where:
            side = after
        around = not name or f"{where}.".startswith(f"{name}.")
        outside = not around and not name.startswith(f"{where}.")
        covered = any(name.startswith(f"{known}.") for known in (*before, *after))
        if outside and not covered and part.state_dict():
            side[name] = part
    return list(blocks), plain(before), plain(after)


def plain(named: Mapping[str, nn.Module]) -> dict[str, nn.Module]:
    """The parts under names a module may have."""
    return {name.replace(".", "_"): part for name, part in named.items()}

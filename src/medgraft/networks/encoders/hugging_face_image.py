"""Encoders of published image checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor, nn

from medgraft.errors import ConfigError
from medgraft.networks import checkpoints
from medgraft.networks.encoders.hugging_face import parts


class HuggingFaceImage(nn.Module):
    """A vision network of the shape a checkpoint's configuration states, such as ViT or ResNet.

    Layer 0 is what turns pixels into vectors, layer i block or stage i (what follows the blocks
    belongs to the last). Words that stand for no place of the image (class, registers) are read by
    the blocks and left out of the maps. A grey image is shown to every channel of the checkpoint.

    Args:
        inputs: channels of the prepared image.
        settings: the checkpoint's config.json, as `checkpoints.configuration` gives it.
    """

    places: ClassVar[int] = 2
    _model: Any

    def __init__(self, inputs: int, settings: Mapping[str, Any]) -> None:
        super().__init__()
        self._around(checkpoints.fresh(dict(settings)))
        known = self._model.config.num_channels
        if inputs not in (1, known):
            raise ConfigError(f"images have {inputs} channels, the checkpoint's {known}")

    def adopt(self, model: nn.Module) -> None:
        """Take over the weights of ``model``, a network of the same shape; it is taken apart."""
        own = HuggingFaceImage.__new__(HuggingFaceImage)
        nn.Module.__init__(own)
        own._around(model)
        self.load_state_dict(own.state_dict())

    def _around(self, model: Any) -> None:
        pooler = getattr(model, "pooler", None)
        if pooler is not None and pooler.state_dict():
            model.pooler = None  # it does not reach the maps
        blocks, before, after = parts(model)
        last = nn.ModuleDict({"block": blocks[-1], **after})
        self.layers = nn.ModuleList([nn.ModuleDict(before), *blocks[:-1], last])
        self.widths = widths(model.config, len(blocks))
        self.side = side(model)
        # Its parts are registered as layers, so it must not be registered a second time as a whole.
        object.__setattr__(self, "_model", model)

    def forward(self, x: Tensor) -> list[Tensor]:
        """``[n, inputs, h, w]`` to all layers' maps ``[n, widths[i], h_i, w_i]``."""
        self._require_size(x.shape[-2], x.shape[-1])
        channels = x.expand(*x.shape[:-3], self._model.config.num_channels, *x.shape[-2:])
        said = self._model(pixel_values=channels, output_hidden_states=True)
        states = [*said.hidden_states[:-1], said.last_hidden_state]
        return [self._map(state, x.shape[-2], x.shape[-1]) for state in states]

    def pool(self, maps: Tensor) -> Tensor:
        """Mean over positions: ``[n, width, h, w]`` to ``[n, width]``."""
        return maps.mean(dim=(-2, -1))

    def _map(self, state: Tensor, height: int, width: int) -> Tensor:
        """Words ``[n, words, width]``, the patches last and row by row, as a map."""
        if state.dim() == 4:
            return state
        down, across = pair(self._model.config.patch_size)
        rows, columns = height // down, width // across
        patches = state[..., state.shape[-2] - rows * columns :, :]
        return patches.transpose(-1, -2).unflatten(-1, (rows, columns))

    def _require_size(self, height: int, width: int) -> None:
        if self.side is not None and (height, width) != self.side:
            own = " × ".join(map(str, self.side))
            raise ConfigError(
                f"images are {height} × {width} pixels, the checkpoint's {own}: set height and "
                "width in cohort.yaml to these, with `resize: fit`"
            )


def widths(config: Any, blocks: int) -> list[int]:
    """Channels of every layer's map: the same everywhere, or those of each stage."""
    sizes = getattr(config, "hidden_sizes", None)
    if sizes is None:
        return [int(config.hidden_size)] * (blocks + 1)
    return [int(size) for size in (getattr(config, "embedding_size", sizes[0]), *sizes)]


def side(model: Any) -> tuple[int, int] | None:
    """Height and width a checkpoint is bound to, as it learned each position's; None: neither."""
    bound = any("position_embedding" in name for name, _ in model.named_parameters())
    return pair(model.config.image_size) if bound else None


def pair(value: Any) -> tuple[int, int]:
    """Height and width, where one number may stand for both."""
    down, across = value if isinstance(value, list | tuple) else (value, value)
    return int(down), int(across)

"""Small residual convolutional network for small images."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional

from medgraft.construct import Count


class CompactCnn(nn.Module):
    """Layers that halve the image, each followed by residual blocks (He et al. 2016).

    Group normalisation (Wu and He 2018) instead of batch normalisation: a patient's answer depends
    on no other patient, and replicas can be stacked. The first layer alone keeps the image's size
    where ``stride`` is 1.

    Args:
        inputs: channels of the prepared image.
        widths: channels of each layer, each a multiple of ``groups``.
        blocks: residual blocks a layer.
        groups: of channels that are normalised together.
        stride: by which the first layer shrinks the image; the others halve it.
    """

    places = 2

    def __init__(
        self,
        inputs: int,
        widths: Sequence[Count],
        *,
        blocks: Count = 1,
        groups: Count = 8,
        stride: Count = 2,
    ) -> None:
        super().__init__()
        self.widths = list(widths)
        strides = [stride, *[2] * (len(self.widths) - 1)]
        self.layers = nn.ModuleList(
            nn.Sequential(
                normalised(before, after, groups, stride=step),
                nn.ReLU(),
                *(Residual(after, groups) for _ in range(blocks)),
            )
            for before, after, step in zip(
                [inputs, *self.widths], self.widths, strides, strict=False
            )
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        """``[n, inputs, h, w]`` to the maps of all layers, ``[n, widths[i], h_i, w_i]`` each."""
        outputs = []
        for layer in self.layers:
            x = layer(x)
            outputs.append(x)
        return outputs

    def pool(self, maps: Tensor) -> Tensor:
        """Mean over positions: ``[n, width, h, w]`` to ``[n, width]``."""
        return maps.mean(dim=(-2, -1))


class Residual(nn.Module):
    """``relu(x + block(x))``; the block starts at zero, so that a fresh layer passes x on."""

    def __init__(self, width: int, groups: int) -> None:
        super().__init__()
        self.block = nn.Sequential(
            normalised(width, width, groups),
            nn.ReLU(),
            normalised(width, width, groups, scale=0.0),
        )

    def forward(self, x: Tensor) -> Tensor:
        """``[n, width, h, w]`` to the same."""
        return functional.relu(x + self.block(x))


def normalised(
    before: int, after: int, groups: int, *, stride: int = 1, scale: float = 1.0
) -> nn.Sequential:
    """A 3 × 3 convolution without bias, then group normalisation, which has one."""
    convolution = nn.Conv2d(before, after, 3, stride=stride, padding=1, bias=False)
    nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
    norm = nn.GroupNorm(groups, after)
    nn.init.constant_(norm.weight, scale)
    return nn.Sequential(convolution, norm)

"""MONAI's densely connected network for images."""

from __future__ import annotations

from torch import Tensor, nn

from medgraft.networks.encoders import monai_nets

GROUPS = 32
WIDTHS = [128, 256, 512, 1024]


class MonaiDenseNet(nn.Module):
    """DenseNet-121 (Huang et al. 2017) of MONAI, in two dimensions, with group normalisation.

    A layer is a dense block with the transition that follows it and halves the image.
    Needs ``pip install "medgraft[images]"``.

    Args:
        inputs: channels of the prepared image.
        small: for images below about 64 pixels: the first convolution keeps the image's size.
    """

    places = 2

    def __init__(self, inputs: int, *, small: bool = False) -> None:
        super().__init__()
        net = monai_nets.load("densenet").DenseNet121(
            spatial_dims=2, in_channels=inputs, out_channels=1
        )
        parts = net.features
        if small:
            parts.conv0.stride = (1, 1)
        for part in (parts.transition1, parts.transition2, parts.transition3):
            part.pool.ceil_mode = True  # or a small image would have no pixel left
        stem = nn.Sequential(parts.conv0, parts.norm0, parts.relu0, parts.pool0)
        self.layers = nn.ModuleList(
            [
                nn.Sequential(stem, parts.denseblock1, parts.transition1),
                nn.Sequential(parts.denseblock2, parts.transition2),
                nn.Sequential(parts.denseblock3, parts.transition3),
                nn.Sequential(parts.denseblock4, parts.norm5, nn.ReLU()),
            ]
        )
        monai_nets.group_normalised(self.layers, GROUPS)
        self.widths = list(WIDTHS)

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

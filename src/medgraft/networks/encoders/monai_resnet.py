"""MONAI's residual network for images."""

from __future__ import annotations

from torch import Tensor, nn

from medgraft.networks.encoders import monai_nets

GROUPS = 32


class MonaiResNet(nn.Module):
    """ResNet-18 (He et al. 2016) of MONAI, in two dimensions, with group normalisation.

    Needs ``pip install "medgraft[images]"``.

    Args:
        inputs: channels of the prepared image.
        small: for images below about 64 pixels: a 3 × 3 first convolution and no pooling after it,
            as in the paper's networks for 32 × 32 images, instead of 7 × 7 and two halvings.
    """

    places = 2

    def __init__(self, inputs: int, *, small: bool = False) -> None:
        super().__init__()
        net = monai_nets.load("resnet").ResNet(
            "basic",
            [2, 2, 2, 2],
            [64, 128, 256, 512],
            spatial_dims=2,
            n_input_channels=inputs,
            conv1_t_size=3 if small else 7,
            conv1_t_stride=1 if small else 2,
            no_max_pool=small,
            # MONAI's shortcut A cuts the gradient; B is the paper's own for this depth.
            shortcut_type="B",
            bias_downsample=False,
            feed_forward=False,
        )
        stem = nn.Sequential(net.conv1, net.bn1, nn.ReLU())
        if not small:
            stem.append(net.maxpool)
        self.layers = nn.ModuleList(
            [nn.Sequential(stem, net.layer1), net.layer2, net.layer3, net.layer4]
        )
        # MONAI hands `norm` to the first layer only: its blocks are always batch-normalised.
        monai_nets.group_normalised(self.layers, GROUPS)
        self.widths = [64, 128, 256, 512]

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

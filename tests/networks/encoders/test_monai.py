import sys
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from medgraft.errors import ConfigError
from medgraft.networks.encoders.monai_densenet import MonaiDenseNet
from medgraft.networks.encoders.monai_resnet import MonaiResNet
from medgraft.networks.encoders.timm_features import TimmFeatures

# Numbers of parameters without the last linear layer, as torchvision's networks of one channel have
# them: 11,689,512 - 513,000 and 7,978,856 - 1,025,000, less 2 × 3,136 weights of the first layer.
KNOWN = {MonaiResNet: 11_170_240, MonaiDenseNet: 6_947_584}


@pytest.fixture(params=KNOWN, ids=lambda kind: kind.__name__)
def kind(request):
    pytest.importorskip("monai", reason='needs MONAI: pip install "medgraft[images]"')
    return request.param


def test_it_is_the_papers_network(kind):
    encoder = kind(1)
    assert sum(p.numel() for p in encoder.parameters()) == KNOWN[kind]
    assert not [m for m in encoder.modules() if isinstance(m, nn.BatchNorm2d)]


@pytest.mark.parametrize(("small", "side"), [(True, 28), (False, 64)])
def test_every_layer_learns(kind, small, side):
    """MONAI's own shortcut for ResNet-18 stops the gradient; this one must not."""
    encoder = kind(1, small=small)
    maps = encoder(torch.randn(2, 1, side, side))
    assert [m.shape[1] for m in maps] == encoder.widths
    encoder.pool(maps[-1]).square().sum().backward()
    still = [n for n, p in encoder.named_parameters() if p.grad is None or not p.grad.any()]
    assert not still


@pytest.mark.parametrize(
    ("absent", "build", "message"),
    [
        (
            "monai.networks.nets.resnet",
            lambda: MonaiResNet(1),
            "this encoder needs MONAI (import of monai.networks.nets.resnet halted; None in "
            'sys.modules): pip install "medgraft[images]"',
        ),
        (
            "timm",
            lambda: TimmFeatures(1, "resnet50_gn"),
            "this encoder needs timm and torchvision (import of timm halted; None in sys.modules): "
            'pip install "medgraft[timm]"',
        ),
    ],
)
def test_absent_library_is_named(monkeypatch, absent, build, message):
    monkeypatch.setitem(sys.modules, absent, None)
    with pytest.raises(ConfigError) as caught:
        build()
    assert str(caught.value) == message


class Stages(nn.Module):
    """What timm makes of ``features_only``: a map for every stage, the last one the smallest."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.stages = nn.ModuleList([nn.Conv2d(channels, 6, 3, 2), nn.Conv2d(6, 9, 3, 2)])
        self.feature_info = SimpleNamespace(channels=lambda: [6, 9])

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        first = self.stages[0](x)
        return [first, self.stages[1](first)]


def test_timm_is_asked_for_maps_and_no_weights(monkeypatch):
    """Stands in for timm, which brings torchvision: nothing is downloaded, the last map is read."""
    asked = {}

    def create_model(name, **options):
        asked.update(options, name=name)
        return Stages(options["in_chans"])

    monkeypatch.setitem(sys.modules, "timm", SimpleNamespace(create_model=create_model))
    encoder = TimmFeatures(3, "resnet50_gn")
    (last,) = encoder(torch.randn(2, 3, 16, 16))
    assert asked == {
        "name": "resnet50_gn",
        "pretrained": False,
        "features_only": True,
        "in_chans": 3,
    }
    assert (encoder.widths, tuple(last.shape)) == ([9], (2, 9, 3, 3))
    torch.testing.assert_close(encoder.pool(last), last.mean((2, 3)))

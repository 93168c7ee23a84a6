import sys

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

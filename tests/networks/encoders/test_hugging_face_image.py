from types import SimpleNamespace

import pytest
import torch

from medgraft.errors import ConfigError
from medgraft.networks import checkpoints
from medgraft.networks.encoders.hugging_face_image import HuggingFaceImage
from medgraft.training import replicas
from medgraft.training.replicas import Replicas
from medgraft.training.sharding import own, shard, units

from ..tiny_checkpoint import SEEING, write_seeing

pytest.importorskip("transformers")

KINDS = sorted(set(SEEING) - {"swin"})  # which has no map of patches row by row


def encoder(folder, inputs: int = 3) -> HuggingFaceImage:
    built = HuggingFaceImage(inputs, checkpoints.configuration(folder))
    built.adopt(checkpoints.trained(folder))
    return built.eval()


@pytest.mark.parametrize("kind", KINDS)
def test_layers_equal_transformers(kind, tmp_path):
    """Every patch has the features that the library gives it, in its place of the image."""
    folder = write_seeing(tmp_path, kind)
    image = torch.randn(2, 3, 24, 24, generator=torch.Generator().manual_seed(1))
    found = encoder(folder)(image)
    said = checkpoints.trained(folder).eval()(image, output_hidden_states=True)
    states = [*said.hidden_states[:-1], said.last_hidden_state]
    assert [layer.shape[1] for layer in found] == encoder(folder).widths
    for state, layer in zip(states, found, strict=True):
        if state.dim() == 3:  # the patch in row 2 and column 1 of 3 × 3 is the last but one
            torch.testing.assert_close(layer[..., 2, 1], state[:, -2], atol=1e-5, rtol=1e-4)
        else:
            torch.testing.assert_close(layer, state, atol=1e-5, rtol=1e-4)


@pytest.mark.usefixtures("one_process")
@pytest.mark.parametrize("kind", KINDS)
def test_cut_blocks_learn_the_same(kind, tmp_path):
    """Under FSDP, each block's values are together while it works."""
    folder = write_seeing(tmp_path, kind)
    whole, cut = encoder(folder), encoder(folder)
    blocks = list(units(SimpleNamespace(encoder=cut)))
    assert len(blocks) == len(cut.layers) - 1
    for part in (*blocks, cut):
        shard(part, torch.device("cpu"))
    image = torch.randn(2, 3, 24, 24, generator=torch.Generator().manual_seed(1))
    for built in (whole, cut):
        built(image)[-1].square().mean().backward()
    for name, value in cut.named_parameters():
        expected = whole.get_parameter(name).grad
        assert (value.grad is None) == (expected is None), name
        if expected is not None:
            torch.testing.assert_close(own(value.grad), expected)


def test_grey_is_shown_to_every_channel(tmp_path):
    folder = write_seeing(tmp_path)
    grey = torch.randn(2, 1, 24, 24, generator=torch.Generator().manual_seed(1))
    assert torch.equal(encoder(folder, 1)(grey)[-1], encoder(folder)(grey.repeat(1, 3, 1, 1))[-1])


def test_colour_does_not_fit_a_grey_checkpoint(tmp_path):
    folder = write_seeing(tmp_path, num_channels=1)
    with pytest.raises(ConfigError) as error:
        HuggingFaceImage(3, checkpoints.configuration(folder))
    assert str(error.value) == "images have 3 channels, the checkpoint's 1"


@pytest.mark.parametrize("kind", ["vit", "dinov2"])
def test_other_size_is_refused(kind, tmp_path):
    built = encoder(write_seeing(tmp_path, kind))
    with pytest.raises(ConfigError) as error:
        built(torch.zeros(1, 3, 28, 24))
    assert str(error.value) == (
        "images are 28 × 24 pixels, the checkpoint's 24 × 24: set height and width in cohort.yaml "
        "to these, with `resize: fit`"
    )


def test_convolutions_see_any_size(tmp_path):
    assert encoder(write_seeing(tmp_path, "resnet"))(torch.zeros(1, 3, 40, 64))[-1].shape == (
        1, 16, 5, 8,
    )  # fmt: skip


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_replicas_together_equal_alone(kind, training, tmp_path):
    """Batch normalisation included: each replica has its own batches and running statistics."""
    settings = checkpoints.configuration(write_seeing(tmp_path, kind))

    class Last(torch.nn.Module):
        def __init__(self, seed: int):
            super().__init__()
            torch.manual_seed(seed)
            self.encoder = HuggingFaceImage(1, settings)

        def forward(self, x):
            return self.encoder.pool(self.encoder(x)[-1])

    template, state = replicas.build(Last, range(3))
    x = torch.randn(3, 4, 1, 24, 24, generator=torch.Generator().manual_seed(1))
    together = Replicas(template, state).train(training)(x)
    for r in range(3):
        alone = Last(r).train(training)(x[r])
        torch.testing.assert_close(together[r], alone, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_all_weights_lie_in_layers(kind, tmp_path):
    """What no layer owns could not be frozen."""
    built = encoder(write_seeing(tmp_path, kind))
    assert {name.split(".")[0] for name in built.state_dict()} == {"layers"}
    assert len(built.layers) == len(built.widths) == 3

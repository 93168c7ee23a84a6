import pytest
import torch
from torch.nn import functional

from medgraft.errors import ConfigError
from medgraft.networks import checkpoints
from medgraft.networks.encoders.hugging_face import HuggingFace
from medgraft.training import replicas
from medgraft.training.replicas import Replicas
from medgraft.training.sharding import is_cut, own, shard, units

from ..tiny_checkpoint import LETTERS, SHAPES, VOCABULARY, write

pytest.importorskip("transformers")


def encoder(folder) -> HuggingFace:
    words = checkpoints.words(folder, LETTERS)
    built = HuggingFace(
        4,
        checkpoints.configuration(folder),
        words.letters,
        start=words.start,
        end=words.end,
        unknown=words.unknown,
    )
    built.adopt(checkpoints.trained(folder))
    return built.eval()


def one_hot(*sequences: str) -> torch.Tensor:
    """Zeros for N and past the end, as the sequence input gives them."""
    longest = max(map(len, sequences))
    codes = [[LETTERS.find(letter) % 5 for letter in text.ljust(longest)] for text in sequences]
    return functional.one_hot(torch.tensor(codes), 5)[..., :4].transpose(1, 2).float()


@pytest.mark.parametrize("kind", SHAPES)
def test_layers_equal_transformers(kind, tmp_path):
    """Every layer's features of every letter are those of the library, asked with word ids."""
    folder = write(tmp_path, kind)
    sequences = ("ACGTTGCAAC", "GGNTA")
    found = encoder(folder)(one_hot(*sequences))
    model = checkpoints.trained(folder).eval()
    for row, text in enumerate(sequences):
        words = ["<cls>", *text.replace("N", "?"), "<eos>"]
        ids = [VOCABULARY.index("<unk>" if word == "?" else word) for word in words]
        states = model(torch.tensor([ids]), output_hidden_states=True).hidden_states
        assert len(states) == len(found) == 3
        for state, layer in zip(states, found, strict=True):
            expected = state[0, 1:-1].T
            torch.testing.assert_close(layer[row, :, : len(text)], expected, atol=1e-5, rtol=1e-4)
            assert (layer[row, :, len(text) :] == 0).all()


def test_pool_is_mean_of_letters(tmp_path):
    built = encoder(write(tmp_path))
    alone, padded = built(one_hot("ACGTA"))[-1], built(one_hot("ACGTA", "ACGTAACGTA"))[-1][:1]
    torch.testing.assert_close(built.pool(padded), alone.mean(-1), atol=1e-5, rtol=1e-4)


@pytest.mark.usefixtures("one_process")
@pytest.mark.parametrize("kind", SHAPES)
def test_blocks_come_together_one_by_one(kind, tmp_path):
    """Under FSDP one block's values are together while it works, the other's stay cut."""
    folder = write(tmp_path, kind)
    whole, cut = LastMap(encoder(folder)), LastMap(encoder(folder))
    first, second = units(cut)
    shard(cut, torch.device("cpu"))
    seen = []
    for block, other in ((first, second), (second, first)):
        next(block.children()).register_forward_pre_hook(
            lambda *_, block=block, other=other: seen.append((cuts(block), cuts(other)))
        )
    for net in (whole, cut):
        net(one_hot("ACGTTGCAAC", "GGNTA")).square().mean().backward()
    assert seen == [({False}, {True}), ({False}, {True})]
    for name, value in cut.named_parameters():
        expected = whole.get_parameter(name).grad
        assert (value.grad is None) == (expected is None), name
        if expected is not None:
            torch.testing.assert_close(own(value.grad), expected)


def cuts(module) -> set[bool]:
    return {is_cut(value) for value in module.parameters()}


class LastMap(torch.nn.Module):
    """What an encoder says last, as the part of a network that it is."""

    def __init__(self, built: HuggingFace):
        super().__init__()
        self.encoder = built

    def forward(self, x):
        return self.encoder.pool(self.encoder(x)[-1])


@pytest.mark.parametrize("kind", SHAPES)
def test_replicas_together_equal_alone(kind, tmp_path):
    settings = checkpoints.configuration(write(tmp_path, kind))

    def built(seed: int):
        torch.manual_seed(seed)
        return HuggingFace(4, settings, (8, 7, 6, 5), start=2, end=3, unknown=4)

    class Last(torch.nn.Module):
        def __init__(self, seed: int):
            super().__init__()
            self.encoder = built(seed)

        def forward(self, x):
            return self.encoder.pool(self.encoder(x)[-1])

    template, state = replicas.build(Last, range(3))
    x = one_hot("ACGTTGCAAC", "GGNTA").expand(3, 2, 4, 10)
    together = Replicas(template, state).train(False)(x)
    for r in range(3):
        torch.testing.assert_close(together[r], Last(r).eval()(x[r]), atol=1e-5, rtol=1e-4)


def test_all_weights_lie_in_layers(tmp_path):
    """What no layer owns could not be frozen; what reaches no feature could not be trained."""
    for kind in SHAPES:
        built = encoder(write(tmp_path / kind, kind))
        assert {name.split(".")[0] for name, _ in built.named_parameters()} == {"layers"}
        built(one_hot("ACGT"))[-1].square().sum().backward()
        still = [name for name, value in built.named_parameters() if value.grad is None]
        assert not still
        assert len(built.layers) == len(built.widths) == 3


def test_long_sequence_is_refused(tmp_path):
    built = encoder(write(tmp_path, "bert"))
    with pytest.raises(ConfigError) as error:
        built(one_hot("A" * 63))
    assert str(error.value) == (
        "sequences take 65 positions, the checkpoint has 64; `policy: crop` in cohort.yaml "
        "shortens them"
    )

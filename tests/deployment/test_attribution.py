"""Integrated gradients against networks whose cause is known, since it was set or planted."""

import numpy as np
import pytest
import torch
from scipy.stats import binom
from torch import nn

from medgraft.deployment import attribution
from medgraft.deployment.attribution import Shares, integrated
from medgraft.networks.encoders.compact_cnn import CompactCnn
from medgraft.networks.encoders.dilated_cnn import DilatedCnn
from medgraft.networks.heads.classification import BinaryHead
from medgraft.networks.inputs.image import ImageInput
from medgraft.networks.inputs.sequence import SequenceInput
from medgraft.networks.model import Network
from medgraft.networks.readout import LastLayer
from medgraft.tasks import task as tasks

LETTERS = "ACGT"
MOTIF = "TATA"
MARK = "TATACG"
SIZE, PATCH = 12, 4
"""Of a film in pixels, and of the fields it has, 3 by 3."""
PATTERN = np.kron([[1, 0], [0, 1]], np.ones((2, 2)))


class Detector(nn.Module):
    """Fires 1 wherever its pattern is whole, and nothing anywhere else."""

    def __init__(self, pattern: torch.Tensor) -> None:
        super().__init__()
        self.widths = [1]
        self.places = pattern.dim() - 1
        self.register_buffer("pattern", pattern[None].float())
        self.register_buffer("most", pattern.float().sum())

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        seen = [nn.functional.conv1d, nn.functional.conv2d][self.places - 1](x, self.pattern)
        return [torch.relu(seen - self.most + 1)]

    def pool(self, maps: torch.Tensor) -> torch.Tensor:
        return maps.flatten(2).sum(-1)


def network(first: nn.Module, encoder: nn.Module, *, weight: float | None = None) -> Network:
    head = BinaryHead(encoder.widths[-1], {})
    if weight is not None:
        nn.init.constant_(head.linear.weight, weight)
        nn.init.constant_(head.linear.bias, -1.0)
    return Network(first, encoder, LastLayer(encoder.widths), head).eval()


def explained(one: Network, x: np.ndarray, reference: torch.Tensor) -> Shares:
    state = {name: value[None] for name, value in one.state_dict().items()}
    return integrated(one, state, reference[None].float(), task=tasks.of("binary"))(x)


def letters() -> SequenceInput:
    return SequenceInput([{"kind": "sequence", "letters": list(LETTERS), "length": 40}])


def film() -> ImageInput:
    first = ImageInput([{"kind": "image", "channels": 1}])
    first.load_state_dict({"mean": torch.zeros(1), "scale": torch.ones(1)})
    return first


def tokens(text: str) -> np.ndarray:
    return np.array([[LETTERS.index(one) for one in text]], dtype=np.uint8)


@pytest.mark.parametrize("at", [0, 13, 36])
def test_motif_gets_all_of_the_answer(at):
    """The motif is worth 5, a quarter for each of its letters; every other position nothing."""
    text = list("ACGGC" * 8)
    text[at : at + len(MOTIF)] = MOTIF
    pattern = torch.zeros(4, len(MOTIF))
    pattern[[LETTERS.index(one) for one in MOTIF], range(len(MOTIF))] = 1
    one = network(letters(), Detector(pattern), weight=5.0)
    shares = explained(one, tokens("".join(text)), torch.full((4, 40), 0.25))
    expected = np.zeros(40)
    expected[at : at + len(MOTIF)] = 1.25
    np.testing.assert_allclose(shares.parts[0, 0, 0], expected, atol=0.05)
    assert shares.outputs[0, 0, 0] == pytest.approx(4.0)
    assert shares.start[0, 0] == pytest.approx(-1.0)


def strands(generator: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Random letters; the ill carry the mark somewhere, the others the same backwards."""
    x, ill = generator.integers(0, 4, (n, 40)), generator.integers(0, 2, n)
    at = generator.integers(0, 40 - len(MARK) + 1, n)
    for i in range(n):
        word = MARK if ill[i] else MARK[::-1]
        x[i, at[i] : at[i] + len(MARK)] = [LETTERS.index(one) for one in word]
    return x.astype(np.uint8), ill, at


def test_trained_network_points_at_the_planted_motif():
    """In new ill sequences, what contributes most lies in it; chance finds a sixth and less."""
    generator = np.random.default_rng(0)
    x, ill, _ = strands(generator, 600)
    torch.manual_seed(0)
    one = trained(network(letters(), DilatedCnn(4, channels=16, blocks=1)), x, ill, generator)
    new, ill, at = strands(generator, 120)
    with torch.no_grad():
        right = ((one(torch.tensor(new))[:, 0] > 0).numpy() == ill).mean()
    assert right > 0.9
    shares = explained(one, new[ill == 1], torch.full((4, 40), 0.25))
    most = np.abs(shares.parts[0, :, 0]).argmax(1)
    inside = int(((most >= at[ill == 1]) & (most < at[ill == 1] + len(MARK))).sum())
    assert inside > binom.isf(1e-6, int(ill.sum()), len(MARK) / 40)
    assert inside > 0.8 * ill.sum()


def test_patch_gets_all_of_the_answer():
    """The pattern is worth 2, an eighth for each of its eight pixels."""
    pattern = torch.tensor(PATTERN)[None]
    one = network(film(), Detector(pattern), weight=2.0)
    x = np.zeros((1, 1, SIZE, SIZE), dtype=np.uint8)
    x[0, 0, 5:9, 2:6] = PATTERN
    shares = explained(one, x, torch.zeros(1, SIZE, SIZE))
    np.testing.assert_allclose(shares.parts[0, 0, 0], x[0, 0] * 2 / 8, atol=0.02)


def films(generator: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Noise with one of two patterns in one of nine fields; the first is what makes ill."""
    x = generator.normal(size=(n, 1, SIZE, SIZE)) * 25 + 100
    ill, field = generator.integers(0, 2, n), generator.integers(0, 9, n)
    for i in range(n):
        row, column = PATCH * (field[i] // 3), PATCH * (field[i] % 3)
        drawn = PATTERN if ill[i] else 1 - PATTERN
        x[i, 0, row : row + PATCH, column : column + PATCH] += 100 * drawn
    return x.clip(0, 255).astype(np.uint8), ill, field


def trained(
    one: Network, x: np.ndarray, ill: np.ndarray, generator: np.random.Generator
) -> Network:
    """The network after sixty steps of a hundred patients."""
    one.train()
    optimizer = torch.optim.Adam(one.parameters(), lr=0.01)
    for _ in range(60):
        batch = generator.choice(len(x), 100, replace=False)
        loss = one(torch.tensor(x[batch]), torch.tensor(ill[batch]).float()).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return one.eval()


def test_trained_network_points_at_the_planted_patch():
    """In new ill films, the field with the pattern contributes most; chance finds one in nine."""
    generator = np.random.default_rng(0)
    x, ill, _ = films(generator, 400)
    first = film()
    first.load_state_dict(first.fit(x))
    torch.manual_seed(0)
    one = trained(network(first, CompactCnn(1, [8, 16], groups=4, stride=1)), x, ill, generator)
    new, ill, field = films(generator, 120)
    with torch.no_grad():
        right = ((one(torch.tensor(new))[:, 0] > 0).numpy() == ill).mean()
    assert right > 0.9
    shares = explained(one, new[ill == 1], first(torch.tensor(x)).mean(0))
    mass = np.abs(shares.parts[0, :, 0]).reshape(-1, 3, PATCH, 3, PATCH).sum((2, 4))
    found = int((mass.reshape(-1, 9).argmax(1) == field[ill == 1]).sum())
    assert found > binom.isf(1e-6, int(ill.sum()), 1 / 9)
    assert found > 0.8 * ill.sum()


@pytest.mark.parametrize(("steps", "tolerance"), [(64, 0.1), (512, 0.02)])
@pytest.mark.parametrize("seed", range(3))
def test_contributions_sum_to_the_answer(seed, steps, tolerance, monkeypatch):
    """Completeness (Sundararajan et al. 2017) of random networks; what is left falls with steps.

    Their answers hardly move, so that a kink on the way weighs more than in a trained one.
    """
    monkeypatch.setattr(attribution, "STEPS", steps)
    generator = np.random.default_rng(seed)
    torch.manual_seed(seed)
    sequences = generator.integers(0, 4, (6, 40)).astype(np.uint8)
    images, _, _ = films(generator, 6)
    pictures = ImageInput([{"kind": "image", "channels": 1}])
    pictures.load_state_dict(pictures.fit(images))
    for first, encoder, x in (
        (letters(), DilatedCnn(4, channels=8, blocks=2), sequences),
        (pictures, CompactCnn(1, [8, 8], groups=4, stride=1), images),
    ):
        one = network(first, encoder)
        reference = first(torch.from_numpy(x)).float().mean(0)
        shares = explained(one, x, reference)
        moved = np.abs(shares.outputs - shares.start[:, None]).max()
        assert moved > 1e-3
        assert np.abs(shares.gap).max() < tolerance * moved
        with torch.no_grad():
            answer = one(torch.from_numpy(x))[:, 0].numpy()
        total = shares.start[0, 0] + shares.parts[0, :, 0].reshape(len(x), -1).sum(1)
        np.testing.assert_allclose(total, answer, atol=tolerance * moved)

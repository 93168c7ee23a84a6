"""What others have learned: a published checkpoint's weights in place of training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from medgraft.errors import ConfigError
from medgraft.networks import checkpoints
from medgraft.networks.checkpoints import Words
from medgraft.networks.encoders.hugging_face import HuggingFace
from medgraft.networks.model import Network, build

SHOWN = 12  # digits of a hash
TOLERANCE = 1e-4
ASKED = 12  # letters of a sequence that is tried


class Checkpoint:
    """Load the shared layers; nothing is trained, and the source's outcome is not looked at.

    Args:
        checkpoint: a folder, or a hub id ``owner/name``.
        sha256: of its weights, as `medgraft checkpoint` recorded it.
        revision: the commit a hub id is pinned to.
    """

    batch = None

    def __init__(self, checkpoint: str, sha256: str, revision: str | None = None) -> None:
        self.folder = checkpoints.find(checkpoint, revision)
        found = checkpoints.digest(self.folder)
        if found != sha256:
            raise ConfigError(
                f"{self.folder}: its weights have sha256 {found[:SHOWN]}…, expected "
                f"{sha256[:SHOWN]}…: they are not those that were chosen"
            )
        self.outcome: dict[str, Any] | None = {
            "name": f"checkpoint {found}",
            "task": "pretext",
            "classes": [],
        }

    def network(self, spec: Mapping[str, Any], schema: Mapping[str, Any], *, seed: int) -> Network:
        """A network whose encoder is the checkpoint's, and which has nothing left to train."""
        network = build(spec, schema, seed=seed)
        network.encoder.adopt(checkpoints.trained(self.folder))
        return network.requires_grad_(False)


def describe(checkpoint: str, *, letters: str, revision: str | None = None) -> dict[str, Any]:
    """What `conf/` has to say of a checkpoint: an ``encoder`` and a ``pretext``.

    Args:
        checkpoint: a folder, or a hub id ``owner/name``.
        letters: the alphabet of the cohorts' sequences, in its order.
        revision: the commit a hub id is pinned to.

    Raises:
        ConfigError: it cannot be found, is not safe, or does not read single letters in both
            directions.
    """
    folder = checkpoints.find(checkpoint, revision)
    words = checkpoints.words(folder, letters)
    encoder = {"settings": checkpoints.configuration(folder), **asdict(words)}
    built = HuggingFace(len(letters), **encoder)
    built.adopt(checkpoints.trained(folder))
    _agrees(built, folder, words)
    name = f"{HuggingFace.__module__}.{HuggingFace.__name__}"
    loaded = {"checkpoint": checkpoint, "sha256": checkpoints.digest(folder), "revision": revision}
    return {
        "encoder": {"_target_": name, **encoder, "letters": list(words.letters)},
        "pretext": {"_target_": f"{Checkpoint.__module__}.{Checkpoint.__name__}", **loaded},
    }


def _agrees(encoder: HuggingFace, folder: Path, words: Words) -> None:
    """Raise ConfigError unless the encoder answers as the checkpoint does, asked its own way."""
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randint(len(words.letters), (2, ASKED), generator=generator)
    ids = torch.tensor(words.letters)[drawn]
    first, last = (
        ids[:, :0] if word is None else ids.new_full((2, 1), word)
        for word in (words.start, words.end)
    )
    whole = torch.cat([first, ids, last], dim=1)
    model: Any = checkpoints.trained(folder).eval()
    with torch.no_grad():
        hidden = model(input_ids=whole).last_hidden_state
        expected = hidden[:, first.shape[1] : first.shape[1] + ASKED].transpose(1, 2)
        one_hot = torch.nn.functional.one_hot(drawn, len(words.letters)).transpose(1, 2).float()
        found = encoder.eval()(one_hot)[-1]
    apart = float((found - expected).abs().max() / expected.abs().max())
    if not apart < TOLERANCE:
        raise ConfigError(
            f"{folder}: a {model.config.model_type} checkpoint answers otherwise when its layers "
            f"are asked one by one (by {apart:.0%}): only encoders that read both ways can be used"
        )

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
from medgraft.networks.encoders.hugging_face_image import HuggingFaceImage
from medgraft.networks.model import Network, build

SHOWN = 12  # digits of a hash
TOLERANCE = 1e-4
ASKED = 12  # letters of a sequence that is tried
PIXELS = 64  # side of an image that is tried, where a checkpoint sees any


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


def describe(
    checkpoint: str, *, letters: str | None = None, revision: str | None = None
) -> dict[str, Any]:
    """What `conf/` has to say of a checkpoint: an ``encoder`` and a ``pretext``.

    Args:
        checkpoint: a folder, or a hub id ``owner/name``.
        letters: the alphabet of the cohorts' sequences, in its order; None: images.
        revision: the commit a hub id is pinned to.

    Raises:
        ConfigError: it cannot be found, is not safe, does not read single letters in both
            directions, or does not answer with a map of the image at every layer.
    """
    folder = checkpoints.find(checkpoint, revision)
    model: Any = checkpoints.trained(folder).eval()
    images, kind = model.main_input_name == "pixel_values", model.config.model_type
    if images and letters:
        raise ConfigError(f"{folder}: a {kind} checkpoint sees images; --letters is for sequences")
    if not (images or letters):
        raise ConfigError(f"{folder}: a {kind} checkpoint reads sequences: expected --letters")
    encoder = _seen(folder, model) if images else _read(folder, model, letters or "")
    loaded = {"checkpoint": checkpoint, "sha256": checkpoints.digest(folder), "revision": revision}
    return {
        "encoder": encoder,
        "pretext": {"_target_": f"{Checkpoint.__module__}.{Checkpoint.__name__}", **loaded},
    }


def _read(folder: Path, model: Any, letters: str) -> dict[str, Any]:
    """The encoder of a checkpoint of sequences."""
    words = checkpoints.words(folder, letters)
    encoder = {"settings": checkpoints.configuration(folder), **asdict(words)}
    built = HuggingFace(len(letters), **encoder)
    built.adopt(checkpoints.trained(folder))
    _reads_both_ways(built, model, folder, words)
    name = f"{HuggingFace.__module__}.{HuggingFace.__name__}"
    return {"_target_": name, **encoder, "letters": list(words.letters)}


def _seen(folder: Path, model: Any) -> dict[str, Any]:
    """The encoder of a checkpoint of images."""
    encoder = {"settings": checkpoints.configuration(folder)}
    built = HuggingFaceImage(model.config.num_channels, **encoder)
    built.adopt(checkpoints.trained(folder))
    _maps_every_layer(built, model, folder)
    return {"_target_": f"{HuggingFaceImage.__module__}.{HuggingFaceImage.__name__}", **encoder}


def _reads_both_ways(encoder: HuggingFace, model: Any, folder: Path, words: Words) -> None:
    """Raise ConfigError unless the encoder answers as the checkpoint does, asked its own way."""
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randint(len(words.letters), (2, ASKED), generator=generator)
    ids = torch.tensor(words.letters)[drawn]
    first, last = (
        ids[:, :0] if word is None else ids.new_full((2, 1), word)
        for word in (words.start, words.end)
    )
    whole = torch.cat([first, ids, last], dim=1)
    with torch.no_grad():
        hidden = model(input_ids=whole).last_hidden_state
        expected = hidden[:, first.shape[1] : first.shape[1] + ASKED].transpose(1, 2)
        one_hot = torch.nn.functional.one_hot(drawn, len(words.letters)).transpose(1, 2).float()
        found = encoder.eval()(one_hot)[-1]
    apart = _apart(found, expected)
    if not apart < TOLERANCE:
        raise ConfigError(
            f"{folder}: a {model.config.model_type} checkpoint answers otherwise when its layers "
            f"are asked one by one (by {apart:.0%}): only encoders that read both ways can be used"
        )


def _maps_every_layer(encoder: HuggingFaceImage, model: Any, folder: Path) -> None:
    """Raise ConfigError unless every layer answers with a map, the last as the checkpoint does."""
    height, width = encoder.side or (PIXELS, PIXELS)
    generator = torch.Generator().manual_seed(0)
    image = torch.randn(1, model.config.num_channels, height, width, generator=generator)
    with torch.no_grad():
        expected = model(pixel_values=image).last_hidden_state
        try:
            maps = encoder.eval()(image)
        except (RuntimeError, TypeError):  # its layers answer in another shape
            maps = []
    if [each.shape[1] for each in maps] != encoder.widths:
        raise ConfigError(
            f"{folder}: not every layer of a {model.config.model_type} checkpoint answers with a "
            "map of the image; those of ViT, DINOv2, ResNet and ConvNeXt do"
        )
    last = maps[-1].flatten(2)
    own = expected.flatten(2) if expected.dim() == 4 else expected.transpose(1, 2)
    if not _apart(last, own[..., -last.shape[-1] :]) < TOLERANCE:
        raise ConfigError(f"{folder}: its weights answer otherwise once they are loaded")


def _apart(found: torch.Tensor, expected: torch.Tensor) -> float:
    """The largest difference, as a share of the largest value."""
    return float((found - expected).abs().max() / expected.abs().max())

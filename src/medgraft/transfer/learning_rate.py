"""What each parameter's learning rate is multiplied by; a name that is not given keeps it.

The layers of a network are counted from the top: the specific layers move at the full rate, each
layer below by a constant factor slower, and what comes before the first layer (input, embeddings)
one step slower still.
"""

from __future__ import annotations

from collections.abc import Iterable

from medgraft.construct import Positive
from medgraft.transfer.trainable import SPECIFIC, layer


def flat(names: Iterable[str]) -> dict[str, float]:
    """One rate for all."""
    del names
    return {}


def discriminative(names: Iterable[str], divisor: Positive = 2.6) -> dict[str, float]:
    """Each layer ``divisor`` times slower than the one above it.

    Howard and Ruder, "Universal language model fine-tuning for text classification" (ACL 2018),
    section 3.2.
    """
    return layer_decay(names, decay=1 / divisor)


def layer_decay(names: Iterable[str], decay: Positive = 0.75) -> dict[str, float]:
    """``decay ** depth``, depth 0 for the specific layers.

    Clark et al., "ELECTRA: pre-training text encoders as discriminators rather than generators"
    (ICLR 2020), table 7.
    """
    known = list(names)
    layers = 1 + max(map(layer, known), default=-1)
    return {
        name: decay ** (layers - layer(name)) for name in known if not name.startswith(SPECIFIC)
    }

"""What a source network is trained to do before the target asks anything of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from torch import nn

from medgraft.errors import ConfigError
from medgraft.training.batches import Augment


class Pretext(Protocol):
    """A task for the source cohort, named by ``pretrain.pretext``.

    ``outcome`` is None where it is the source's own outcome; otherwise it stands in its place in
    ``network.json``, so that no strategy takes the specific layers over.
    """

    outcome: dict[str, Any] | None

    def network(
        self, spec: Mapping[str, Any], schema: Mapping[str, Any], *, seed: int
    ) -> nn.Module:
        """A fresh network with the shared layers of ``networks.model.Network`` under their names.

        It answers ``fit(x, y)`` as that does, and ``forward(x, y)`` with losses ``[n]``. Parameters
        that require no gradient are left as they are.
        """

    @property
    def batch(self) -> Augment | None:
        """What the network sees and is asked in place of ``x [b, ...]`` and ``y [b, ...]``."""


def require(name: str, schema: Mapping[str, Any], *kinds: str) -> None:
    """Refuse a pretext that cannot learn from features of the kinds in ``schema.json``.

    Raises:
        ConfigError: a feature is of another kind than these.
    """
    found = dict.fromkeys(feature["kind"] for feature in schema["features"])
    if others := [kind for kind in found if kind not in kinds]:
        raise ConfigError(
            f"the pretext {name} learns from features of kind {' or '.join(kinds)}, got "
            f"{', '.join(others)}: expected another pretrain.pretext"
        )

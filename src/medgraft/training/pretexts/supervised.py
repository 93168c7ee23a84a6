"""The source's own outcome."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from medgraft.networks.model import Network, build


class Supervised:
    """Learn what the source's patients are known to have had."""

    outcome = None
    batch = None

    def network(self, spec: Mapping[str, Any], schema: Mapping[str, Any], *, seed: int) -> Network:
        """The network every strategy will use."""
        return build(spec, schema, seed=seed)

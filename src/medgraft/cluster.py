"""Ray: a cluster that stands already, or one of this machine's processors."""

from __future__ import annotations

import os
from typing import Any

from medgraft.errors import MedgraftError


def connect(wanted: str, *, cpus: int, address: str | None = None, narrates: bool = False) -> Any:
    """Ray, as a client of the cluster at ``address``; None: the one that RAY_ADDRESS names.

    Without either, and for ``local``, there is one of this machine with ``cpus`` processors.
    ``wanted``: the option that asks for it. Ray passes on what tasks print if it ``narrates``.

    Raises:
        MedgraftError: Ray is not installed, or nobody answers at the address.
    """
    # Ray reports how it is used to its makers unless told otherwise before it is imported.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError:
        raise MedgraftError(f"{wanted} needs ray: pip install 'medgraft[ray]'") from None
    address = address or os.environ.get("RAY_ADDRESS", "local")
    own: dict[str, Any] = {}
    if address == "local":
        own = {"num_cpus": cpus, "include_dashboard": False, "_node_ip_address": "127.0.0.1"}
    try:
        ray.init(address, **own, logging_level="ERROR", log_to_driver=narrates)
    except (ConnectionError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise MedgraftError(f"{wanted}, no cluster at {address}: {reason}") from None
    return ray

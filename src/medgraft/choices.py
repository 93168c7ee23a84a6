"""What a project chose: overrides kept as a Hydra configuration of their own.

``conf/chosen.yaml`` starts from ``conf/config.yaml`` and changes what the user changed. Everything
composes from it, ``dvc exp run -S`` included, so nobody can forget the project's choices.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from medgraft.errors import ConfigError

NAME = "chosen"
HEADER = "# Written by `medgraft compose` and `medgraft repro`: what this project chose.\n"


def record(root: Path, overrides: Iterable[str]) -> None:
    """Write ``conf/chosen.yaml`` so that composing it is composing with these overrides.

    Raises:
        ConfigError: an override removes a key or asks for several values in turn.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser

    groups: list[Any] = []
    values: dict[str, Any] = {}
    for one in OverridesParser.create().parse_overrides(list(overrides)):
        if one.is_delete() or one.is_sweep_override():
            raise ConfigError(f"{one.input_line}: expected key=value with a single value")
        if (root / "conf" / one.key_or_group).is_dir():
            place = f"@{one.package}" if one.package else ""
            change = "" if one.is_add() else "override "
            groups.append({f"{change}{one.key_or_group}{place}": one.value()})
        else:
            nest(values, one.key_or_group.split("."), one.value())
    chosen = {"defaults": ["config", *groups, "_self_"], **values}
    write(root / "conf" / f"{NAME}.yaml", chosen)


def nest(values: dict[str, Any], path: list[str], value: Any) -> None:
    """Set a dotted key."""
    first, *rest = path
    if rest:
        nest(values.setdefault(first, {}), rest, value)
    else:
        values[first] = value


def write(path: Path, chosen: dict[str, Any]) -> None:
    """Write the file whole, leaving an equal one untouched."""
    text = HEADER + yaml.safe_dump(chosen, sort_keys=False, allow_unicode=True)
    if path.is_file() and path.read_text() == text:
        return
    fresh = path.with_suffix(".new")
    fresh.write_text(text)
    fresh.replace(path)

"""Hydra: ``conf/`` and what the project chose of it become one plain configuration.

The choices are themselves a Hydra configuration, ``conf/chosen.yaml``: it starts from
``conf/config.yaml`` and changes what the user changed. Everything composes from it, ``dvc exp run
-S`` included, so no way of running forgets them.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from medgraft.config import dotted, write_if_changed
from medgraft.construct import suggest
from medgraft.errors import ConfigError

CHOSEN = "chosen"
HEADER = "# Written by `medgraft compose` and `medgraft repro`: what this project chose.\n"


def choices(root: Path) -> Path:
    """Where the project's choices are kept."""
    return root / "conf" / f"{CHOSEN}.yaml"


def compose(root: Path, overrides: Iterable[str] | None = None) -> dict[str, Any]:
    """Compose ``conf/`` into plain values: with these overrides, or as the project chose.

    Raises:
        ConfigError: every override Hydra refuses, each with what it could have meant.
    """
    if overrides is None:
        return compose_chosen(root)
    overrides = list(overrides)
    try:
        return _hydra(root, overrides)
    except _hydra_errors() as error:
        alone = [(one, _refusal(root, one)) for one in overrides]
        lines = [f"{one}: {message}" for one, message in alone if message]
        raise ConfigError("\n".join(lines) or _reason(root, error)) from None


def compose_chosen(root: Path) -> dict[str, Any]:
    """Compose ``conf/chosen.yaml``; see `record`.

    Raises:
        ConfigError: what Hydra refuses.
    """
    try:
        return _hydra(root, [], name=CHOSEN if choices(root).is_file() else "config")
    except _hydra_errors() as error:
        raise ConfigError(_reason(root, error)) from None


def _hydra(root: Path, overrides: list[str], *, name: str = "config") -> dict[str, Any]:
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir
    from omegaconf import OmegaConf

    with initialize_config_dir(config_dir=str(root / "conf"), version_base="1.3"):
        config = hydra_compose(config_name=name, overrides=overrides)
    written: Any = OmegaConf.to_container(config)
    missing = [key for key, value in dotted(written) if value == "???"]
    if missing:
        raise ConfigError("\n".join(f"{key}: needs a value" for key in missing))
    plain: Any = OmegaConf.to_container(config, resolve=True)
    return {str(key): value for key, value in plain.items()}


def _hydra_errors() -> tuple[type[Exception], ...]:
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    # Hydra says ValueError to `experiment=null`.
    return HydraException, OmegaConfBaseException, yaml.YAMLError, ValueError


def _refusal(root: Path, override: str) -> str:
    """Why Hydra refuses this override alone; empty if it does not."""
    try:
        _hydra(root, [override])
    except _hydra_errors() as error:
        if "Could not override" not in str(error):
            return _reason(root, error)
        return f"unknown key{suggest(override.lstrip('+~').split('=')[0], _known(root))}"
    except ConfigError:
        return ""  # what is missing may be given by another override
    return ""


def _reason(root: Path, error: Exception) -> str:
    """What Hydra or the YAML parser found wrong, in one line."""
    missing = getattr(error, "missing_cfg_file", None)
    if missing:
        group, _, name = missing.rpartition("/")
        known = [path.stem for path in (root / "conf" / group).glob("*.yaml")]
        return f"there is no conf/{missing}.yaml{suggest(name, known)}"
    mark = getattr(error, "problem_mark", None)
    if mark:
        path = Path(mark.name).relative_to(root)
        return f"{path}, line {mark.line + 1}: not YAML: {getattr(error, 'problem', '')}"
    return next(line.strip() for line in str(error).splitlines() if line.strip())


def _known(root: Path) -> list[str]:
    """Every key and every group an override may name."""
    groups = [folder.name for folder in (root / "conf").iterdir() if folder.is_dir()]
    return [key for key, _ in dotted(_hydra(root, []))] + groups


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
    text = HEADER + yaml.safe_dump(chosen, sort_keys=False, allow_unicode=True)
    write_if_changed(choices(root), text)


def nest(values: dict[str, Any], path: list[str], value: Any) -> None:
    """Set a dotted key."""
    first, *rest = path
    if rest:
        nest(values.setdefault(first, {}), rest, value)
    else:
        values[first] = value

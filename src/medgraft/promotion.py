"""Which strategy ships: the guard's choice, or another by force and with a reason."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from medgraft import composition, config
from medgraft.construct import suggest
from medgraft.deployment import registry
from medgraft.errors import ConfigError, MedgraftError
from medgraft.stages.made import located
from medgraft.stages.run import WORK


def promote(
    root: Path, verdict: Mapping[str, Any], strategy: str, *, force: bool, why: str | None
) -> None:
    """Write into `conf/chosen.yaml` and `params.yaml` what the next evaluation is to ship.

    Args:
        root: of the project.
        verdict: of its last evaluation.
        strategy: one of those evaluated.
        force: ship it although the guard chose another.
        why: the reason, which goes wherever the model goes.

    Raises:
        ConfigError: there is no such strategy.
        MedgraftError: the guard chose another, and no reason was given.
    """
    champion = verdict["champion"]
    guard = champion.get("overruled") or champion["strategy"]
    known = [candidate["strategy"] for candidate in champion["candidates"]]
    if strategy not in known:
        raise ConfigError(f"{strategy}: was not evaluated{suggest(strategy, known)}")
    if strategy != guard and not (force and why and why.strip()):
        raise MedgraftError(
            f"{strategy} is not what the guard chose. {champion['reason']}\n"
            f"To ship it all the same, and have that said wherever the model goes:\n"
            f'medgraft promote {strategy} --force --why "your reason"'
        )
    params = composition.compose(root)
    chosen = (strategy, ended(why or "")) if strategy != guard else (None, None)
    params["evaluation"]["ship"], params["evaluation"]["ship_why"] = chosen
    config.settle(root, params)
    composition.adopt(root, params)


def shipped(root: Path, verdict: Mapping[str, Any]) -> dict[str, Any]:
    """What ships by the last verdict, and the version that the registry's alias points to."""
    from medgraft import tracking

    params = config.read_params(root)
    name, uri = registry.named(params["cohort"]["folder"]), params["tracking"]["uri"]
    with tracking.session(located(uri, root), root / WORK) as client:
        version = registry.current(client, name)
    return {"strategy": verdict["champion"]["strategy"], "model": name, "version": version}


def ended(sentence: str) -> str:
    """A reason that reads on."""
    told = " ".join(sentence.split())
    return told if told.endswith((".", "!", "?")) else f"{told}."

"""Which source might suit a target: every candidate is pretrained on, and looked at.

The scores are evidence for people to read. Nothing is chosen by them: whether a source helps is
what the pipeline finds out.
"""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from scipy.stats import rankdata

from medgraft import composition
from medgraft.config import Config, validate, write_if_changed
from medgraft.construct import construct
from medgraft.errors import ConfigError
from medgraft.stages import preprocess, pretrain
from medgraft.stages.run import PREPARED, PRETRAINED, WORK

SMALL = ("design.runs=2", "design.sources=2", "design.sizes=[]")
"""Two networks per source are enough to look at; overrides come after and may ask for more."""
RANKED = ("leep", "nce", "logme", "shrunk_h_score", "transrate", "gbc")
"""By which the table is sorted; the others are variants of these, in the file alone."""
EXAMPLE = "target=long_beach sources=[cleveland,hungary]"


def compare(root: Path, arguments: Iterable[str], *, mirror: Path | None) -> dict[str, Any]:
    """Score every candidate source and write ``work/sources.json``; nothing else is touched.

    arguments: ``target=SITE``, ``sources=[SITE,SITE]`` and overrides, which replace what the
    project chose. Returns what the file holds. Raises ConfigError for a mistake among them.
    """
    target, sources, overrides = asked(arguments)
    with tempfile.TemporaryDirectory(prefix="medgraft-") as name:
        folder, found = Path(name), {}
        for source in sources:
            sites = [f"cohort.source=[{source}]", f"cohort.target=[{','.join(target)}]"]
            given = [*SMALL, *overrides, *sites]
            params = composition.vary(root, given, chosen=not overrides)
            params["cohort"]["folder"] = str(raw_files(root, params, folder=folder, mirror=mirror))
            found[source] = looked_at(validate(params), folder / "sources" / source)
    told = {"target": target, "sources": ordered(found)}
    path = root / WORK / "sources.json"
    path.parent.mkdir(exist_ok=True)
    write_if_changed(path, json.dumps(told, indent=2, allow_nan=False) + "\n")
    return told


def asked(arguments: Iterable[str]) -> tuple[list[str], list[str], list[str]]:
    """Target sites, candidate sources and the overrides that are left."""
    named: dict[str, list[str]] = {}
    overrides = []
    for argument in arguments:
        key, _, value = argument.partition("=")
        if key not in ("target", "sources"):
            overrides.append(argument)
            continue
        named[key] = sites_named(key, value)
    if len(named) < 2:
        raise ConfigError(f"expected target=SITE and sources=[SITE,SITE], such as {EXAMPLE}")
    return named["target"], list(dict.fromkeys(named["sources"])), overrides


def sites_named(key: str, value: str) -> list[str]:
    """The sites that ``key=SITE`` or ``key=[SITE,SITE]`` names, as they are written: `no`, `2020`.

    Raises:
        ConfigError: it names none.
    """
    read: Any = None
    with suppress(yaml.YAMLError):
        # Makes texts alone, of whatever comes.
        read = yaml.load(value, Loader=yaml.BaseLoader)  # nosec B506
    names: list[Any] = read if isinstance(read, list) else [read]
    if not names or not all(isinstance(one, str) and one for one in names):
        raise ConfigError(f"{key}={value}: expected {key}=SITE or {key}=[SITE,SITE]")
    return names


def raw_files(root: Path, params: Mapping[str, Any], *, folder: Path, mirror: Path | None) -> Path:
    """The cohort's raw files: in the project, or made in ``folder`` where they are not there yet.

    Simulated ones are always made: their options may have changed.
    """
    cohort = params["cohort"]
    there = root / cohort["folder"]
    if not cohort["origin"] or (there.is_dir() and root / "data" in there.parents):
        return there
    made = folder / "raw"
    if not made.is_dir():
        construct(cohort["origin"], folder=made, mirror=mirror)
    return made


def looked_at(config: Config, folder: Path) -> dict[str, Any]:
    """Prepare and pretrain one source in ``folder``; what it is, and its scores."""
    from medgraft.training.evidence import evidence

    prepared, pretrained = folder / PREPARED.name, folder / PRETRAINED.name
    summary = preprocess.carry_out(config, out=prepared)
    pretrain.carry_out(config, prepared=prepared, out=pretrained)
    replicas = evidence(prepared, pretrained, head=config.task.head)
    used = {entry.cohort: entry for entry in summary.audit.accounting}[config.cohort.source[0]]
    return {
        "patients": used.patients,
        "features": summary.features,
        "replicas": len(replicas),
        "scores": {name: spread([one[name] for one in replicas]) for name in replicas[0]},
    }


def spread(values: list[float]) -> dict[str, Any]:
    """Mean and range over replicas; how many of them left the score undefined."""
    defined = [value for value in values if math.isfinite(value)]
    undefined = len(values) - len(defined)
    if not defined:
        return {"mean": None, "low": None, "high": None, "undefined": undefined}
    mean, low, high = float(np.mean(defined)), min(defined), max(defined)
    return {"mean": mean, "low": low, "high": high, "undefined": undefined}


def ordered(found: Mapping[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Candidates by their mean rank over the scores that all of them have; 1 is the best."""
    means = [[one["scores"].get(name, {}).get("mean") for one in found.values()] for name in RANKED]
    complete = [row for row in means if None not in row]
    if not complete:
        return {name: {**one, "mean_rank": None} for name, one in found.items()}
    ranks = rankdata(-np.array(complete, dtype=float), axis=1).mean(axis=0).tolist()
    placed = sorted(zip(ranks, found.items(), strict=True), key=lambda one: one[0])
    return {name: {**one, "mean_rank": rank} for rank, (name, one) in placed}

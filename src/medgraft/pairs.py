"""Every hospital as the source of every other: one study each, one table."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np

from medgraft import composition
from medgraft.cohorts.parsing import describe
from medgraft.cohorts.seal import folder_md5
from medgraft.config import Config, validate, write_if_changed
from medgraft.construct import construct
from medgraft.errors import CohortError, ConfigError, LeakError
from medgraft.evaluation.predictions import load_study
from medgraft.evaluation.summary import Evaluation, evaluate, plain
from medgraft.evaluation.verdict import holm
from medgraft.preparation.arrays import Prepared, read
from medgraft.reporting.canvas import house_style
from medgraft.reporting.ladder import ladder_figure
from medgraft.reporting.text import best_first
from medgraft.sources import raw_files, sites_named
from medgraft.stages import finetune, preprocess, pretrain
from medgraft.stages.run import WORK

PLACE = WORK / "pairs"
FORMAT = 2
"""Of what is kept of a pair; raised when that changes, so that older ones are studied again."""
SHOWN = ("auroc", "calibration_intercept", "calibration_slope", "brier")
"""Ranking, level and spread of the probabilities, and both together."""


def compare(root: Path, arguments: Iterable[str], *, mirror: Path | None) -> dict[str, Any]:
    """Study every ordered pair of sites; write and return what ``work/pairs/pairs.json`` holds.

    Beside it ``ladder.svg``, of two classes.

    A pair that was studied with the same parameters before is not studied again, so that an
    interrupted command goes on where it was. The project's other files are left alone.

    Args:
        root: the project.
        arguments: ``sites=[A,B,C]`` (all of the cohort without it) and overrides, which replace
            what the project chose.
        mirror: a folder that holds the published files.

    Raises:
        ConfigError: a mistake among the arguments.
    """
    sites, overrides = asked(arguments)
    with tempfile.TemporaryDirectory(prefix="medgraft-") as name:
        params = composition.vary(root, overrides, chosen=not overrides)
        raw = raw_files(root, params, folder=Path(name), mirror=mirror)
        found = []
        for number, (source, target) in enumerate(permutations(known(raw, sites), 2)):
            params["cohort"] |= {"source": [source], "target": [target], "folder": str(raw)}
            print(f"{source} to {target}", flush=True)
            found.append(studied(validate(params), root / PLACE, Path(name) / f"pair{number}"))
    told = plain({"metrics": list(SHOWN), "pairs": adjusted(found)})
    write_json(root / PLACE / "pairs.json", told)
    with house_style():
        figure = ladder_figure(told)
    if figure is not None:
        write_if_changed(root / PLACE / f"{figure.name}.svg", figure.svg)
    return told


def asked(arguments: Iterable[str]) -> tuple[list[str], list[str]]:
    """Sites, none where all are meant, and the overrides that are left."""
    sites: list[str] = []
    overrides = []
    for argument in arguments:
        key, _, value = argument.partition("=")
        if key == "sites":
            sites = sites_named(key, value)
        else:
            overrides.append(argument)
    return sites, overrides


def known(raw: Path, sites: list[str]) -> list[str]:
    """The sites to pair.

    Raises:
        ConfigError: the cohort has no such site, or fewer than two are asked for.
    """
    there = list(describe(raw).sites)
    chosen = list(dict.fromkeys(sites)) or there
    if unknown := [site for site in chosen if site not in there]:
        raise ConfigError(f"sites: {unknown[0]!r} is none of {', '.join(there)}")
    if len(chosen) < 2:
        raise ConfigError(f"sites: expected two or more of {', '.join(there)}")
    return chosen


def studied(config: Config, place: Path, scratch: Path) -> dict[str, Any]:
    """One pair's study, or what is kept of it in ``place``; a refused cohort is told as such."""
    (source,), (target,) = config.cohort.source, config.cohort.target
    name, wanted = f"{source}_{target}".replace("/", "%2F"), fingerprint(config)
    path = place / f"{name}.json"
    if known := kept(path, wanted):
        return known
    told = {"asked": wanted, "source": source, "target": target}
    try:
        told |= summary(study(config, scratch), scratch)
    except (CohortError, LeakError) as refused:
        return told | {"refused": str(refused)}  # not kept: the file may be put right
    write_json(path, told)
    return told


def kept(path: Path, wanted: str) -> dict[str, Any]:
    """A study with this fingerprint; empty where there is none, or it is damaged."""
    with suppress(OSError, ValueError, RecursionError):
        told = json.loads(path.read_text())
        if isinstance(told, dict) and told.get("asked") == wanted:
            return told
    return {}


def fingerprint(config: Config) -> str:
    """Of everything that may change a result: parameters and raw files, wherever these lie."""
    said = config.model_dump(mode="json", exclude={"tracking": True, "cohort": {"folder"}})
    said["format"] = FORMAT
    said["raw"] = folder_md5(Path(config.cohort.folder))
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def study(config: Config, folder: Path) -> Evaluation:
    """Prepare, pretrain, carry out every strategy and judge them, all in ``folder``."""
    prepared, pretrained, tuned = folder / "prepared", folder / "pretrained", folder / "finetuned"
    preprocess.carry_out(config, out=prepared)
    pretrain.carry_out(config, prepared=prepared, out=pretrained)
    for name in config.strategies:
        finetune.carry_out(name, config, prepared=prepared, pretrained=pretrained, out=tuned / name)
    metrics = {name: construct(spec) for name, spec in config.metrics.items()}
    return evaluate(
        load_study(prepared, tuned),
        {name: one for name, one in metrics.items() if name in {*SHOWN, config.task.primary}},
        primary=config.task.primary,
        reference=config.evaluation.reference,
        draws=config.evaluation.draws,
        seed=config.seed,
    )


def summary(result: Evaluation, folder: Path) -> dict[str, Any]:
    """What is kept of a pair: how many patients, the best transfer, what ships, the numbers."""
    cohorts = {role: read(folder / "prepared" / role) for role in ("source", "target")}
    ranked = best_first({"strategy": n, **c} for n, c in result.verdict["strategies"].items())
    scores: dict[str, Any] = {}
    for row in result.metrics.iter_rows(named=True):
        scores.setdefault(row.pop("strategy"), {})[row.pop("metric")] = row
    return {
        "patients": {role: len(np.unique(one.patient)) for role, one in cohorts.items()},
        "outcome_mean": {role: float(np.nanmean(one.y)) for role, one in cohorts.items()},
        "cases": {role: cases(one) for role, one in cohorts.items()},
        "primary": result.verdict["primary"],
        "best": next((row for row in ranked if row["uses_source"]), None),
        "ships": result.champion.strategy,
        "scores": scores,
    }


def cases(cohort: Prepared) -> dict[str, Any] | None:
    """How many rows are cases, of two classes the second; None where there are not two."""
    outcome = cohort.schema["outcome"]
    if len(outcome["classes"]) != 2 or cohort.y.ndim > 1:
        return None
    return {
        "label": outcome["classes"][1],
        "cases": int((cohort.y == 1).sum()),
        "rows": len(cohort.y),
    }


def adjusted(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Adjust the best transfer's p, which allows for its pair's strategies, for all pairs too.

    The pairs share hospitals, so their tests depend on each other; Holm's procedure holds however
    they do.
    """
    has = [pair for pair in found if pair.get("best")]
    p = [pair["best"]["p_holm"] for pair in has]
    for pair, one in zip(has, holm(np.array([np.nan if v is None else v for v in p])), strict=True):
        pair["p_all_pairs"] = float(one)
    return found


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a file that is whole or not there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_if_changed(path, json.dumps(plain(dict(content)), indent=2) + "\n")

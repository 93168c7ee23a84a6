"""Finished runs side by side: what each found, on which patients, and what they do differently."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from string import ascii_uppercase
from typing import Any

from medgraft.evaluation.sentence import counted
from medgraft.reporting.report import SIGNS, environment
from medgraft.reporting.text import WIDTH, absent, aligned, cut, difference, p_value, shown

NOT_THERE = "–"


@dataclass(frozen=True)
class FinishedRun:
    """What a finished run left.

    verdict, metrics: what verdict.json and metrics.json hold. params: flat, in words. hashes: of
    `source`, `target`, `raw data` and `design`, empty where it is not known. sizes: by `source`
    and `target`, a `name` and how many `patients`.
    """

    name: str
    verdict: dict[str, Any]
    metrics: dict[str, Any]
    params: dict[str, str] = field(default_factory=dict)
    hashes: dict[str, str] = field(default_factory=dict)
    sizes: dict[str, dict[str, Any]] = field(default_factory=dict)


def side_by_side(runs: Sequence[FinishedRun]) -> dict[str, Any]:
    """Set runs side by side, in words that JSON can hold.

    `runs`: of each its letter, name, sentence, champion, primary metric, sizes, hashes and by
    strategy the primary metric with its difference from the reference. `same`: whether runs are
    known to share (True), known not to share (False) or not known to share (None) the tested
    patients, their division, the primary metric and the reference. `parameters`: those that
    differ, by name, one value a run; null where a run has none.
    """
    return {
        "runs": [_told(letter, run) for letter, run in zip(letters(len(runs)), runs, strict=True)],
        "same": {
            "target": _same([run.hashes.get("target", "") for run in runs]),
            "design": _same([run.hashes.get("design", "") for run in runs]),
            "primary": _same([run.verdict["primary"] for run in runs]),
            "reference": _same([run.verdict["reference"] for run in runs]),
        },
        "parameters": _differing([run.params for run in runs]),
        "without_parameters": [run.name for run in runs if not run.params],
    }


def letters(count: int) -> list[str]:
    """A, B, … Z, A2, B2, …"""
    turns = [divmod(place, len(ascii_uppercase)) for place in range(count)]
    return [ascii_uppercase[at] + (str(turn + 1) if turn else "") for turn, at in turns]


def _told(letter: str, run: FinishedRun) -> dict[str, Any]:
    verdict = run.verdict
    return {
        "letter": letter,
        "name": run.name,
        "sentence": verdict["sentence"],
        "primary": verdict["primary"],
        "reference": verdict["reference"],
        "champion": verdict["champion"]["strategy"],
        "tested_patients": verdict.get("patients"),
        "training_runs": verdict.get("runs"),
        "cohorts": run.sizes,
        "hashes": run.hashes,
        "strategies": {name: _strategy(name, run) for name in run.metrics},
    }


def _strategy(name: str, run: FinishedRun) -> dict[str, Any]:
    score = run.metrics[name].get(run.verdict["primary"], {})
    against = run.verdict["strategies"].get(name, {})
    return {
        **{end: score.get(end) for end in ("value", "low", "high")},
        "difference": against.get("difference"),
        "difference_low": against.get("low"),
        "difference_high": against.get("high"),
        "p_holm": against.get("p_holm"),
        "verdict": against.get("verdict"),
    }


def _same(values: Sequence[str]) -> bool | None:
    known = {value for value in values if value}
    if len(known) > 1:
        return False
    return True if all(values) else None


def _differing(params: Sequence[Mapping[str, str]]) -> dict[str, list[str | None]]:
    """Of the runs that have parameters at all; one that has none differs in nothing."""
    known = [one for one in params if one]
    names = sorted({name for one in known for name in one})
    differ = [name for name in names if len({one.get(name) for one in known}) > 1]
    return {name: [one.get(name) for one in params] for name in differ}


def caution(told: Mapping[str, Any]) -> str:
    """Say whether numbers of different runs may be held against one another."""
    same = told["same"]
    if not all(value is not False for value in (same["primary"], same["reference"])):
        return (
            "The runs were judged by different metrics or held against different references: "
            "compare what they found, not their numbers."
        )
    if same["target"] is False:
        return (
            "The runs were tested on different patients: a number that is higher in one of them "
            "does not make its model better. Differences within a run are between models that were "
            "tested on the same patients."
        )
    if same["target"] is None:
        return (
            "It is not known of every run on which patients it was tested: do not take a higher "
            "number for a better model."
        )
    if same["design"]:
        return (
            "The runs were tested on the same patients, divided in the same way. They were not "
            "tested against each other, though: whether two numbers of different runs differ by "
            "more than chance is not known."
        )
    return (
        "The runs were tested on the same patients, but these were not divided in the same way "
        "into training and test, or it is not known whether they were: a small difference between "
        "runs may come from that alone."
    )


def score(row: Mapping[str, Any]) -> str:
    """Write "value [low, high]"."""
    if absent(row["value"]):
        return "undefined"
    if absent(row["low"]) or absent(row["high"]):
        return f"{shown(row['value'])} [undefined]"
    return f"{shown(row['value'])} [{shown(row['low'])}, {shown(row['high'])}]"


def away(row: Mapping[str, Any]) -> str:
    """Write the difference from the reference, which has none of its own."""
    if row["verdict"] is None:
        return NOT_THERE
    return difference({**row, "low": row["difference_low"], "high": row["difference_high"]})


def patients(run: Mapping[str, Any]) -> str:
    """Write whom a run learned from and whom it predicts: "name (n patients) → name (n)"."""
    both = [run["cohorts"].get(role) for role in ("source", "target")]
    if not any(both):
        return f"{run['tested_patients'] or NOT_THERE} patients tested"
    return " → ".join(
        f"{one['name']} ({counted(one['patients'], 'patient')})" if one else NOT_THERE
        for one in both
    )


def page(told: Mapping[str, Any]) -> str:
    """One self-contained page of HTML. told: `side_by_side`. Equal input gives equal bytes."""
    templates = environment()
    templates.filters |= {"score": score, "away": away, "patients": patients}
    strategies = list(dict.fromkeys(name for run in told["runs"] for name in run["strategies"]))
    hashes = list(dict.fromkeys(name for run in told["runs"] for name in run["hashes"]))
    return templates.get_template("comparison.html").render(
        **told, caution=caution(told), names=strategies, hashed=hashes, signs=SIGNS
    )


def table(told: Mapping[str, Any], *, page: Path) -> str:
    """Write the comparison for a terminal, at most 100 columns wide but for names and hashes."""
    runs = told["runs"]
    rows = [
        (run["letter"], cut(name), run["primary"], score(row), away(row), _verdict(row))
        for name in dict.fromkeys(name for run in runs for name in run["strategies"])
        for run in runs
        if (row := run["strategies"].get(name)) is not None
    ]
    header = ("run", "strategy", "metric", "value [95 % CI]", "difference [95 % CI]", "verdict")
    parts = [
        *(_paragraph(run) for run in runs),
        "\n".join(aligned([header, *rows])),
        textwrap.fill(caution(told), WIDTH),
        _parameters(told),
        f"Page: {page}",
    ]
    return "\n\n".join(part for part in parts if part)


def _paragraph(run: Mapping[str, Any]) -> str:
    lines = [
        f"{run['letter']}: {run['name']}",
        f"{patients(run)}. Champion: {run['champion']}; reference: {run['reference']}.",
        run["sentence"],
    ]
    return "\n".join(textwrap.fill(line, WIDTH) for line in lines)


def _verdict(row: Mapping[str, Any]) -> str:
    if row["verdict"] is None:
        return "reference"
    return f"{row['verdict']} (p {p_value(row['p_holm'])})"


def _parameters(told: Mapping[str, Any]) -> str:
    if not told["parameters"]:
        return "" if told["without_parameters"] else "Their parameters are the same."
    header = ("parameter", *(run["letter"] for run in told["runs"]))
    rows = [
        (name, *(cut(value) if value is not None else NOT_THERE for value in values))
        for name, values in told["parameters"].items()
    ]
    return "\n".join(aligned([header, *rows]))

"""Every pair of sites in one table for a terminal."""

import textwrap
from collections.abc import Iterable, Mapping
from typing import Any

from medgraft.reporting.text import WIDTH, aligned, cut, p_value, shown, signed

LADDER = ("source_only", "recalibrate_intercept", "recalibrate")


def pairs_table(told: Mapping[str, Any]) -> str:
    """Write what came of every pair of sites for a terminal: does it help, and the ladder.

    told: what pairs.json holds.
    """
    header = (
        "source",
        "target",
        "patients",
        "cases in the target",
        "best transfer",
        "difference",
        "p, all pairs",
        "ships",
    )
    rows = [_pair(pair) for pair in told["pairs"] if "refused" not in pair]
    refused = [
        f"{pair['source']} to {pair['target']}: {pair['refused']}"
        for pair in told["pairs"]
        if "refused" in pair
    ]
    ladder = [
        _rung(pair, name, told["metrics"])
        for pair in told["pairs"]
        for name in LADDER
        if name in pair.get("scores", {})
    ]
    legend = (
        "Difference of the primary metric from training from scratch, with a 95 % interval widened "
        "for the strategies compared in a pair (Bonferroni), as the best of them is shown; p is "
        "adjusted for these and for all pairs, too (Holm). Below: what the source's "
        "model says of the target's patients as it is, with its level corrected, and with level "
        "and spread. Calibration is ideal at intercept 0 and slope 1."
    )
    steps = aligned([("source", "target", "step", *told["metrics"]), *ladder]) if ladder else []
    return "\n".join(
        [*aligned([header, *rows]), "", *steps, *refused, textwrap.fill(legend, WIDTH)]
    )


def _pair(pair: Mapping[str, Any]) -> tuple[str, ...]:
    best, people = pair["best"] or {}, pair["patients"]
    away = ", ".join(signed(best.get(end)) for end in ("joint_low", "joint_high"))
    return (
        cut(pair["source"]),
        cut(pair["target"]),
        f"{people['source']:,} / {people['target']:,}",
        _cases(pair),
        cut(best.get("strategy", "none")),
        f"{signed(best.get('difference'))} [{away}]",
        p_value(pair.get("p_all_pairs")),
        cut(pair["ships"]),
    )


def _rung(pair: Mapping[str, Any], name: str, metrics: Iterable[str]) -> tuple[str, ...]:
    scores = [pair["scores"][name].get(metric, {}) for metric in metrics]
    told = [
        f"{shown(one.get('value'))} [{shown(one.get('low'))}, {shown(one.get('high'))}]"
        for one in scores
    ]
    return (cut(pair["source"]), cut(pair["target"]), name, *told)


def _cases(pair: Mapping[str, Any]) -> str:
    found = (pair.get("cases") or {}).get("target")
    if not found:
        return "–"
    return f"{found['cases']:,} of {found['rows']:,} ({found['cases'] / found['rows']:.0%})"

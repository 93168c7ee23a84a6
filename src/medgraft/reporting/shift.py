"""How the target cohort differs from the source: in words, and feature by feature."""

from collections.abc import Mapping, Sequence
from textwrap import shorten
from typing import Any

import numpy as np

from medgraft.evaluation import label_shift
from medgraft.evaluation.predictions import Study
from medgraft.preparation.arrays import Prepared
from medgraft.reporting.canvas import COLOURS, Figure, finish, sheet
from medgraft.reporting.cohorts import distance, most_drifted
from medgraft.reporting.text import counted, p_value, shown

MOST = 15
KINDS = (
    ("higher in the target", COLOURS[0], "o"),
    ("lower in the target", COLOURS[1], "D"),
    ("in another way", "#555555", "s"),
)


def shift(
    study: Study, audit: Mapping[str, Any], source: Prepared, target: Prepared, *, seed: int
) -> dict[str, Any]:
    """What readings.json holds of the shift: `audit.json`'s tests, an estimate, a conclusion."""
    tests = audit.get("shift") or {}
    if not tests:
        return {"why": "the cohorts were prepared before their shift was tested: repeat preprocess"}
    classes = [cohort.schema["outcome"].get("classes") for cohort in (source, target)]
    same = tests["same_outcome"] is not None and classes[0] == classes[1]
    estimated = (
        label_shift.estimated_shares(study, source.y.astype(float), seed=seed) if same else None
    )
    return {
        **tests,
        "estimated_shares": label_shift.told(estimated),
        "conclusion": " ".join([*_covariates(tests), *_outcome(tests), *_so(tests)]),
    }


def drift_figure(drift: Sequence[Mapping[str, Any]], *, source: int, target: int) -> Figure | None:
    """Draw the features most different between the cohorts; source and target: rows of each."""
    shown_ones = [one for one in most_drifted(drift) if distance(one) is not None][:MOST]
    if not shown_ones:
        return None
    figure, axes = sheet(1.5 + 0.27 * len(shown_ones))
    places = np.arange(len(shown_ones))
    values = np.array([distance(one) for one in shown_ones], dtype=float)
    kinds = [_kind(one) for one in shown_ones]
    for kind, (label, colour, marker) in enumerate(KINDS):
        mine = np.array(kinds) == kind
        if mine.any():
            axes.hlines(places[mine], 0, values[mine], color=colour, linewidth=1.4)
            axes.plot(values[mine], places[mine], marker, color=colour, label=label)
    chance = 1.358 * np.sqrt((source + target) / (source * target))
    axes.axvline(min(chance, 1), color="#767676", linewidth=1, linestyle=":", label="chance")
    axes.set_yticks(places, [shorten(one["feature"], 34, placeholder="…") for one in shown_ones])
    axes.set_ylim(len(shown_ones) - 0.5, -0.5)
    axes.set_xlim(0, 1.02)
    axes.set_xlabel("distance between the distributions (0: alike, 1: nothing in common)")
    figure.legend(loc="outside lower left", ncols=4, frameon=False, labelcolor="linecolor")
    first = shown_ones[0]
    return finish(
        figure,
        "drift",
        title=f"Source and target differ most in {first['feature']} (distance {values[0]:.2f})",
        caption=(
            f"The {len(shown_ones)} of {counted(len(drift), 'shared feature')} "
            "furthest apart, Kolmogorov-Smirnov distance of numbers, total variation of "
            f"categories; {source:,} rows of the source, {target:,} of the target, missing values "
            "left out. Dotted: one number in twenty lies beyond it by chance where the cohorts are "
            "alike; more do where values are missing."
        ),
    )


def _kind(entry: Mapping[str, Any]) -> int:
    difference = entry.get("standardised_difference")
    return 2 if not difference else 0 if difference > 0 else 1


def _covariates(tests: Mapping[str, Any]) -> list[str]:
    found = tests["covariates"]
    area = found["auroc"]
    if area is None:
        return ["Whether measurements differ could not be tested."]
    how = f"AUROC {area:.2f} (0.5: not at all; p = {p_value(found['p'])})"
    if found["p"] >= 0.05:
        return [f"Measurements: no classifier was found to tell the cohorts apart, {how}."]
    gaps = tests["missing"]
    alone = gaps is not None and gaps["p"] is not None and gaps["p"] < 0.05
    more = f"; by what is missing alone, {gaps['auroc']:.2f}" if alone else ""
    return [f"Measurements differ: a classifier tells target from source with {how}{more}."]


def _outcome(tests: Mapping[str, Any]) -> list[str]:
    tested = [one for one in tests["outcome"] if one["p_holm"] is not None]
    if not tested:
        return ["Whether the outcome comes as often could not be tested."]
    first = min(tested, key=lambda one: one["p_holm"])
    differs = first["p_holm"] < 0.05
    p = p_value(first["p_holm"])
    return [
        f"The outcome {'differs' if differs else 'was not found to differ'}: {first['name']} "
        f"{rate(first, 'source')} in the source, {rate(first, 'target')} in the target "
        f"(p {'' if p.startswith('<') else '= '}{p})."
    ]


def rate(entry: Mapping[str, Any], role: str) -> str:
    """Write a share or a rate with its interval."""
    found = entry[role]
    if found["value"] is None:
        return "unknown"
    if entry["share"]:
        ends = f"{found['low']:.0%} to {found['high']:.0%}"
        return f"{found['value']:.0%} (95 % CI {ends})"
    ends = f"{shown(found['low'])} to {shown(found['high'])}"
    return f"{shown(found['value'])} {entry['unit']}".strip() + f" (95 % CI {ends})"


def _so(tests: Mapping[str, Any]) -> list[str]:
    """Say what follows for a model of the source."""
    apart, same = tests["covariates"], tests["same_outcome"]
    if same is None or same["p"] is None:
        if apart["p"] is not None and apart["p"] < 0.05:
            return ["So a model of the source meets other patients here; do not use it unchecked."]
        return []
    if same["p"] < 0.05:
        return [
            "Even patients with the same outcome are told apart "
            f"(AUROC {same['auroc']:.2f}, p = {p_value(same['p'])}), so the cohorts differ in more "
            "than how often the outcome comes, and correcting the level of a source model may not "
            "be enough."
        ]
    if any(one["p_holm"] is not None and one["p_holm"] < 0.05 for one in tests["outcome"]):
        return [
            "Patients with the same outcome were not told apart, so nothing speaks against a "
            "difference in frequency alone, for which correcting the level of a source model is "
            "enough."
        ]
    return ["Not found is not none, least of all in a small cohort."]

"""How the target cohort differs from the source: in words, and feature by feature."""

from collections.abc import Callable, Mapping, Sequence
from textwrap import shorten
from typing import Any

import numpy as np

from medgraft.evaluation import label_shift
from medgraft.evaluation.predictions import Study
from medgraft.evaluation.sentence import counted
from medgraft.evaluation.verdict import holm
from medgraft.preparation.arrays import MOST_ROWS, Prepared
from medgraft.reporting.canvas import COLOURS, Figure, finish, sheet
from medgraft.reporting.cohorts import distance, most_drifted
from medgraft.reporting.text import p_value, shown

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


def drift_figure(
    drift: Sequence[Mapping[str, Any]], tests: Mapping[str, Any], *, source: int, target: int
) -> Figure | None:
    """Draw how the cohorts differ: feature by feature, as a whole, in the outcome.

    Args:
        drift: `audit.json`'s entries of features.
        tests: its `shift`; empty where it has none.
        source: rows of the source.
        target: rows of the target.
    """
    features = [one for one in most_drifted(drift) if distance(one) is not None][:MOST]
    source, target = min(source, MOST_ROWS), min(target, MOST_ROWS)  # as many were compared
    apart = _classifiers(tests)
    shares = [one for one in tests.get("outcome", ()) if _drawable(one)]
    parts: list[tuple[Callable[..., None], Sequence[Any], dict[str, int]]] = [
        (_draw_features, features, {"source": source, "target": target}),
        (_draw_classifiers, apart, {}),
        (_draw_shares, shares, {}),
    ]
    there = [(draw, entries, more) for draw, entries, more in parts if entries]
    if not there:
        return None
    heights = [0.9 + 0.27 * len(entries) for _, entries, _ in there]
    figure, axes = sheet(
        0.5 + sum(heights), nrows=len(there), squeeze=False, gridspec_kw={"height_ratios": heights}
    )
    for place, (draw, entries, more) in zip(axes.flat, there, strict=True):
        draw(place, entries, **more)
    told = []
    title = "How the cohorts differ"
    if features:
        title = _title(drift, tests)
        told.append(
            f"The {len(features)} of {counted(len(drift), 'shared feature')} "
            "furthest apart, Kolmogorov-Smirnov distance of numbers, total variation of "
            f"categories; {source:,} rows of the source, {target:,} of the target, missing values "
            "left out. Dotted: one number in twenty lies beyond it by chance where the cohorts are "
            "alike; more do where values are missing. The title allows for the number of features "
            "(Holm)."
        )
    if apart:
        told.append(
            "AUROC of a classifier that is to tell target from source; p from exchanging patients."
        )
    if shares:
        told.append("How often the outcome comes, with 95 % intervals.")
    return finish(figure, "drift", title=title, caption=" ".join(told))


def _title(drift: Sequence[Mapping[str, Any]], tests: Mapping[str, Any]) -> str:
    """Name the feature furthest apart of those that differ beyond chance, or say that none does."""
    tested = [one for one in most_drifted(drift) if one.get("p") is not None]
    corrected = holm(np.array([one["p"] for one in tested], dtype=float))
    beyond = [one for one, p in zip(tested, corrected, strict=True) if p < 0.05]
    if beyond:
        far = f"{beyond[0]['feature']} (distance {distance(beyond[0]):.2f})"
        return f"Source and target differ most in {far}"
    whole = tests.get("covariates") or {"p": None}
    told = "; all together do" if whole["p"] is not None and whole["p"] < 0.05 else ""
    return f"No single feature was found to differ between source and target beyond chance{told}"


def _classifiers(tests: Mapping[str, Any]) -> list[tuple[str, float, float]]:
    """What was given to a classifier, its AUROC in telling the cohorts apart by it, and p."""
    named = (
        ("all measurements", "covariates"),
        ("what is missing, alone", "missing"),
        ("same outcome only", "same_outcome"),
    )
    found = [(label, tests[key]) for label, key in named if tests.get(key)]
    areas = [(label, one["auroc"], one["p"]) for label, one in found]
    return [one for one in areas if None not in one]


def _drawable(entry: Mapping[str, Any]) -> bool:
    known = all(entry[role]["value"] is not None for role in ("source", "target"))
    return bool(entry["share"]) and known


def _draw_features(
    axes: Any, entries: Sequence[Mapping[str, Any]], *, source: int, target: int
) -> None:
    places = np.arange(len(entries))
    values = np.array([distance(one) for one in entries], dtype=float)
    kinds = [_kind(one) for one in entries]
    for kind, (label, colour, marker) in enumerate(KINDS):
        mine = np.array(kinds) == kind
        if mine.any():
            axes.hlines(places[mine], 0, values[mine], color=colour, linewidth=1.4)
            axes.plot(values[mine], places[mine], marker, color=colour, label=label)
    chance = 1.358 * np.sqrt((source + target) / (source * target))
    axes.axvline(min(chance, 1), color="#767676", linewidth=1, linestyle=":", label="chance")
    axes.set_yticks(places, [shorten(one["feature"], 34, placeholder="…") for one in entries])
    axes.set_ylim(len(entries) - 0.5, -0.5)
    axes.set_xlim(0, 1.02)
    axes.set_title("Feature by feature", loc="left")
    axes.set_xlabel("distance between the distributions (0: alike, 1: nothing in common)")
    _legend(axes)


def _draw_classifiers(axes: Any, entries: Sequence[tuple[str, float, float]]) -> None:
    for place, (_, area, chance) in enumerate(entries):
        p = p_value(chance)
        colour = COLOURS[1] if chance < 0.05 else "#555555"
        axes.hlines(place, 0.5, area, color=colour, linewidth=1.4)
        axes.plot([area], [place], "o", color=colour)
        axes.annotate(
            f"{area:.2f}, p {'' if p.startswith('<') else '= '}{p}",
            (max(area, 0.5), place),
            xytext=(8, 0),
            textcoords="offset points",
            va="center",
        )
    axes.axvline(0.5, color="#767676", linewidth=1, linestyle=":")
    axes.set_yticks(range(len(entries)), [label for label, *_ in entries])
    axes.set_ylim(len(entries) - 0.5, -0.5)
    axes.set_xlim(min(0.45, *(area for _, area, _ in entries)) - 0.01, 1.2)
    axes.set_xticks([0.5, 0.6, 0.7, 0.8, 0.9, 1.0])
    axes.set_title("As a whole: can a classifier tell target from source?", loc="left")
    axes.set_xlabel("AUROC (0.5: it cannot, 1: always)")


def _draw_shares(axes: Any, entries: Sequence[Mapping[str, Any]]) -> None:
    for role, colour, marker, aside in (
        ("source", COLOURS[0], "o", -0.15),
        ("target", COLOURS[1], "D", 0.15),
    ):
        for place, one in enumerate(entries):
            found = one[role]
            axes.hlines(place + aside, found["low"], found["high"], color=colour, linewidth=1.4)
            axes.plot(
                [found["value"]],
                [place + aside],
                marker,
                color=colour,
                label=role if not place else None,
            )
    axes.set_yticks(
        range(len(entries)), [shorten(one["name"], 34, placeholder="…") for one in entries]
    )
    axes.set_ylim(len(entries) - 0.5, -0.5)
    axes.set_xlim(0, 1.02)
    axes.set_title("In the outcome: how often it comes", loc="left")
    axes.set_xlabel("share of patients")
    _legend(axes)


def _legend(axes: Any) -> None:
    axes.legend(
        loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, labelcolor="linecolor"
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

"""The recalibration ladder of every pair of sites, as a figure."""

from collections.abc import Mapping, Sequence
from typing import Any

from medgraft.evaluation.sentence import counted
from medgraft.reporting.canvas import COLOURS, INK, Figure, finish, sheet
from medgraft.reporting.pairs import LADDER
from medgraft.reporting.text import absent, cut, shown

STEPS = {
    "source_only": "source's\nas it is",
    "recalibrate_intercept": "level\ncorrected",
    "recalibrate": "level and\nspread",
    "fine_tune": "fine-\ntuned",
    "scratch": "target\nalone",
}
FIRST, LAST = LADDER[0], LADDER[-1]
MARKERS = "oDs^vP"
METRIC = "brier"
COLUMNS = 2
PANEL = 2.5
"""Inches a panel is high."""
APART = 0.15
"""Between the sources of one step."""

Pair = Mapping[str, Any]


def ladder_figure(told: Mapping[str, Any]) -> Figure | None:
    """Draw a panel for each target: the Brier score of every step, by source.

    told: what pairs.json holds. None without two classes, or without a step of the ladder.
    """
    pairs = [pair for pair in told["pairs"] if _drawable(pair)]
    steps = [step for step in STEPS if any(METRIC in _scores(pair, step) for pair in pairs)]
    if not steps:
        return None
    sources = list(dict.fromkeys(pair["source"] for pair in pairs))
    places = {source: place for place, source in enumerate(sources)}
    targets = sorted({pair["target"] for pair in pairs}, key=lambda one: (places.get(one, 99), one))
    rows = -(-len(targets) // COLUMNS)
    columns = min(COLUMNS, len(targets))
    figure, panels = sheet(1.0 + PANEL * rows, nrows=rows, ncols=columns, squeeze=False)
    for axes, target in zip(panels.flat, targets, strict=False):
        mine = [pair for pair in pairs if pair["target"] == target]
        _panel(axes, mine, steps, sources=sources)
    for axes in panels.flat[len(targets) :]:
        axes.set_visible(False)
    for axes in panels[:, 0]:
        axes.set_ylabel("Brier score")
    handles = {label: h for axes in panels.flat for h, label in _handles(axes)}
    there = [cut(source) for source in sources]
    figure.legend(
        [handles[name] for name in there], there, title="source", alignment="left",
        loc="outside lower left", ncols=4, frameon=False, labelcolor="linecolor",
    )  # fmt: skip
    return finish(
        figure,
        "ladder",
        title=title(pairs),
        caption=(
            "A panel for each hospital that is the target, a mark for each source: Brier score "
            "(less is better) of the source’s model as it is, of the same with its level and then "
            "also its spread corrected on patients of the target, of the model trained on, and of "
            "one trained on the target alone; means over runs, 95 % intervals. Dotted: every "
            "patient told the same, the target’s own share of cases."
        ),
    )


def title(pairs: Sequence[Pair]) -> str:
    """What correcting does, in how many pairs."""
    both = [
        pair for pair in pairs if METRIC in _scores(pair, FIRST) and METRIC in _scores(pair, LAST)
    ]
    if not both:
        return "How far predicted risks are from what came, step by step"
    better = sum(value(pair, LAST) < value(pair, FIRST) for pair in both)
    useful = sum(_below(pair) for pair in both)
    return (
        f"With level and spread corrected, the Brier score is lower than as it is in {better} of "
        f"{counted(len(both), 'pair')}; shown to be lower than one risk told to everyone in "
        f"{useful}"
    )


def _below(pair: Pair) -> bool:
    """Whether the whole interval of the last correction lies below the constant's score."""
    high = pair["scores"][LAST][METRIC]["high"]
    return not absent(high) and high < constant(pair)


def constant(pair: Pair) -> float:
    """The Brier score of telling every patient of the target its own share of cases."""
    found = pair["cases"]["target"]
    share = found["cases"] / found["rows"]
    return float(share * (1 - share))


def value(pair: Pair, step: str) -> float:
    """The Brier score of a step."""
    return float(pair["scores"][step][METRIC]["value"])


def _drawable(pair: Pair) -> bool:
    return "refused" not in pair and bool((pair.get("cases") or {}).get("target"))


def _scores(pair: Pair, step: str) -> Mapping[str, Any]:
    """Of a step, the metrics that have a value."""
    found = pair["scores"].get(step, {})
    return {name: one for name, one in found.items() if not absent(one["value"])}


def _panel(
    axes: Any, pairs: Sequence[Pair], steps: Sequence[str], *, sources: Sequence[str]
) -> None:
    for pair in pairs:
        at = sources.index(pair["source"])
        colour = COLOURS[at % len(COLOURS)]
        there = [step for step in steps if METRIC in _scores(pair, step)]
        shift = APART * (pairs.index(pair) - (len(pairs) - 1) / 2)
        places = [steps.index(step) + shift for step in there]
        ends = [pair["scores"][step][METRIC] for step in there]
        known = [(x, end) for x, end in zip(places, ends, strict=True) if not absent(end["low"])]
        axes.vlines(
            [x for x, _ in known], [end["low"] for _, end in known],
            [end["high"] for _, end in known], color=colour, linewidth=1.4,
        )  # fmt: skip
        axes.plot(
            places, [value(pair, step) for step in there], MARKERS[at % len(MARKERS)],
            color=colour, label=cut(pair["source"]), markersize=5,
        )  # fmt: skip
    found, alone = pairs[0]["cases"]["target"], constant(pairs[0])
    axes.axhline(alone, color=INK, linewidth=1, linestyle=":", zorder=0.5)
    share = found["cases"] / found["rows"]
    axes.set_title(
        f"{cut(pairs[0]['target'])}: {found['cases']:,} of {found['rows']:,} {found['label']}\n"
        f"dotted, everyone told {share:.0%}: {shown(alone)}",
        loc="left",
    )
    axes.set_xticks(range(len(steps)), [STEPS[step] for step in steps], fontsize=8)
    axes.set_xlim(-0.5, len(steps) - 0.5)
    axes.set_ylim(bottom=0)


def _handles(axes: Any) -> list[tuple[Any, str]]:
    return list(zip(*axes.get_legend_handles_labels(), strict=True))

"""What came of a sweep: the best trials as a table, and figures of what scores depend on."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

from medgraft.evaluation.sentence import counted
from medgraft.reporting.canvas import COLOURS, INK, Figure, finish, house_style, sheet
from medgraft.reporting.text import LONGEST_NAME, WIDTH, aligned, cut, shown

TOLD = 5
"""Trials in the terminal's table."""


def sweep_table(told: Mapping[str, Any]) -> str:
    """Write the best trials, how the settings that there were do, and how to use the winner."""
    keys, ranked = list(told["space"]), _ranked(told)
    rows = [
        (str(one["trial"]), *(shown(v) for v in one["values"]), *(_spelt(one, key) for key in keys))
        for one in ranked[:TOLD]
    ]
    header = ("trial", *told["metrics"], *(_end(key) for key in keys))
    count, refused = len(told["trials"]), len(told["trials"]) - len(ranked)
    lines = [
        f"{counted(count, 'trial')} finished" + (f", {refused} refused" if refused else "") + "; "
        f"scores are means of {', '.join(told['strategies'])} on validation patients."
    ]
    if said := _as_it_is(told):
        lines.append(said)
    if told["front"]:
        front = ", ".join(map(str, told["front"]))
        lines.append(f"No trial is better in both scores than: {front}.")
    lines.append(
        "A winner's score is the best of many and flatters it: what it is worth on test patients "
        "is what repro measures."
    )
    wrapped = [textwrap.fill(line, WIDTH) for line in lines]
    use = f"medgraft repro experiment={told['name']}_best"
    return "\n".join([*aligned([header, *rows]), "", *wrapped, use])


def figures(told: Mapping[str, Any]) -> list[Figure]:
    """Draw what scores depend on: every setting's share, and every trial by each setting."""
    with house_style():
        drawn = [_slices(told)]
        return [_importance(told), *drawn] if told["importance"] else drawn


def _end(key: str) -> str:
    """The part of a key that tells it from others."""
    return key if len(key) <= LONGEST_NAME else f"…{key[1 - LONGEST_NAME :]}"


def _ranked(told: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    sign = -1 if told["higher_is_better"][0] else 1
    scored = [one for one in told["trials"] if one["values"]]
    return sorted(scored, key=lambda one: (sign * one["values"][0], one["trial"]))


def _spelt(one: Mapping[str, Any], key: str) -> str:
    value = one["params"][key]
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _as_it_is(told: Mapping[str, Any]) -> str:
    """How far the winner is from the settings that there were."""
    before = next((one for one in _ranked(told) if one["as_it_is"]), None)
    if before is None:
        return ""
    if before["trial"] == told["best"]["trial"]:
        return "No trial beat the settings as they are."
    values = shown(before["values"][0]), shown(told["best"]["values"][0])
    return f"As the settings are: {told['label']} {values[0]}; the best trial: {values[1]}."


def _importance(told: Mapping[str, Any]) -> Figure:
    shares = sorted(told["importance"].items(), key=lambda one: one[1])
    figure, axes = sheet(0.9 + 0.32 * len(shares))
    bars = axes.barh([key for key, _ in shares], [share for _, share in shares], color=COLOURS[0])
    axes.bar_label(bars, [f"{100 * share:.0f} %" for _, share in shares], padding=3)
    axes.set_xlim(0, 1.1)
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)
    axes.set_xlabel(f"share of the variance of validation {told['label']}", loc="left")
    key, share = shares[-1]
    return finish(
        figure,
        "importance",
        title=f"{key} explains {100 * share:.0f} % of how trials differ",
        caption=(
            f"Functional analysis of variance over {counted(len(_ranked(told)), 'trial')}. A small "
            "share may mean that the setting hardly matters, or that it was searched in a range "
            "where it does not."
        ),
    )


def _slices(told: Mapping[str, Any]) -> Figure:
    keys, ranked = list(told["space"]), _ranked(told)
    columns = min(3, len(keys))
    rows = -(-len(keys) // columns)
    figure, grid = sheet(0.9 + 2.1 * rows, nrows=rows, ncols=columns, sharey=True, squeeze=False)
    for axes, key in zip(grid.flat, keys, strict=False):
        _slice(axes, key, ranked, told)
    for axes in [*grid.flat][len(keys) :]:
        axes.set_axis_off()
    figure.legend(
        *grid[0][0].get_legend_handles_labels(), loc="outside lower right", ncols=3, frameon=False
    )
    figure.supylabel(f"validation {told['label']}", fontsize=9)
    best = told["best"]
    return finish(
        figure,
        "slices",
        title=f"Trial {best['trial']} is the best: validation {told['label']} "
        f"{shown(best['values'][0])}",
        caption=(
            f"Every point is one of {counted(len(ranked), 'trial')}, by each setting that was "
            "searched; the others differ too."
        ),
    )


def _slice(axes: Any, key: str, ranked: list[Mapping[str, Any]], told: Mapping[str, Any]) -> None:
    """One setting: where it is a choice, in the order that `conf/sweep` gives."""
    best, names = told["best"]["trial"], told["choices"].get(key)
    for label, look, mine in (
        ("other trials", {"color": "#8a8a8a", "marker": "o", "s": 14}, bool),
        (
            "settings as they are",
            {"color": COLOURS[1], "marker": "s", "s": 34},
            lambda one: one["as_it_is"],
        ),
        (
            "best trial",
            {"color": COLOURS[0], "marker": "D", "s": 40, "edgecolor": INK},
            lambda one: one["trial"] == best,
        ),
    ):
        some = [one for one in ranked if mine(one)]
        x = [names.index(one["params"][key]) if names else one["params"][key] for one in some]
        axes.scatter(x, [one["values"][0] for one in some], label=label, **look)
    if names:
        axes.set_xticks(range(len(names)), [cut(name) for name in names])
        axes.set_xlim(-0.5, len(names) - 0.5)
    elif key in told["log"]:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")  # names may hold dollar signs
        axes.xaxis.set_minor_formatter(lambda *_: "")
    axes.set_title(_end(key))

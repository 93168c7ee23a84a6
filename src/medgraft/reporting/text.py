import math
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from medgraft.evaluation.sentence import counted, number

WIDTH = 100
LONGEST_NAME = 26


def shown(value: float | None) -> str:
    """Write a value as the verdict does, or "–" where there is none."""
    return "–" if absent(value) else number(float(value))  # type: ignore[arg-type]


def signed(value: float | None) -> str:
    """Write a difference with its sign, or "–" where there is none."""
    text = shown(value)
    return text if absent(value) or text.startswith("-") else f"+{text}"


def p_value(value: float | None) -> str:
    """Write a p value with three decimals, "<0.001" under them, or "–" where there is none."""
    if absent(value):
        return "–"
    return "<0.001" if value < 0.001 else f"{value:.3f}"  # type: ignore[operator]


def absent(value: float | None) -> bool:
    """Whether there is no value: NaN, or the null that JSON holds for it."""
    return value is None or not math.isfinite(value)


def score(row: Mapping[str, Any], *, draws: int) -> str:
    """Write "value [low, high]", and in how many draws the metric was undefined, test parts silent.

    row: a metric of a strategy, as in metrics.json.
    """
    silent = f" ({row['silent_folds']} of {row['folds']} test parts have nothing to compare)"
    return _score(row, draws=draws) + (silent if row["silent_folds"] else "")


def _score(row: Mapping[str, Any], *, draws: int) -> str:
    lost = f"{row['undefined']} of {draws} draws"
    if absent(row["value"]):
        return f"undefined ({lost})" if row["undefined"] else "undefined"
    if absent(row["low"]) or absent(row["high"]):
        return f"{shown(row['value'])} [undefined ({lost})]"
    text = f"{shown(row['value'])} [{shown(row['low'])}, {shown(row['high'])}]"
    return f"{text} (undefined in {lost})" if row["undefined"] else text


def difference(row: Mapping[str, Any]) -> str:
    """Write "difference [low, high]" of a comparison, signed."""
    if absent(row["difference"]):
        return "undefined"
    if absent(row["low"]) or absent(row["high"]):
        return f"{signed(row['difference'])} [undefined]"
    return f"{signed(row['difference'])} [{signed(row['low'])}, {signed(row['high'])}]"


def best_first(comparisons: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Sort comparisons on one metric from the most helpful to the most harmful; undefined last."""

    def loss(row: Mapping[str, Any]) -> float:
        if absent(row["difference"]):
            return math.inf
        return float(-row["difference"] if row["higher_is_better"] else row["difference"])

    return sorted(comparisons, key=loss)


def terminal(verdict: Mapping[str, Any], *, report: Path) -> str:
    """Write the verdict for a terminal, at most 100 columns wide but for the path of the report.

    verdict: what verdict.json holds.
    """
    champion = verdict["champion"]
    parts = [
        textwrap.fill(verdict["sentence"], WIDTH),
        _table(verdict),
        textwrap.fill(f"Champion: {champion['strategy']}. {champion['reason']}", WIDTH),
        f"Report: {report}",
    ]
    return "\n\n".join(part for part in parts if part)


def _table(verdict: Mapping[str, Any]) -> str:
    named = [{"strategy": name, **row} for name, row in verdict["strategies"].items()]
    if not named:
        return ""
    header = ("strategy", verdict["primary"], "difference [95 % CI]", "p (Holm)", "verdict")
    rows = [
        (
            cut(row["strategy"]),
            shown(row["value"]),
            difference(row),
            p_value(row["p_holm"]),
            row["verdict"],
        )
        for row in best_first(named)
    ]
    legend = f"Differences are from {verdict['reference']}."
    return "\n".join([*aligned([header, *rows]), textwrap.fill(legend, WIDTH)])


def cut(name: str) -> str:
    """Shorten a name for a column of a terminal."""
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Pad cells so that columns stand under one another, two spaces apart."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]


SCORES = {
    "leep": "LEEP",
    "nce": "NCE",
    "logme": "LogME",
    "shrunk_h_score": "H-score",
    "transrate": "TransRate",
    "gbc": "GBC",
}


def sources_table(told: Mapping[str, Any]) -> str:
    """Write the scores of candidate sources for a terminal, the most promising first.

    told: what sources.json holds.
    """
    header = ("source", "patients", *SCORES.values(), "mean rank")
    rows = [
        (
            cut(name),
            f"{one['patients']:,}",
            *(shown(one["scores"].get(score, {}).get("mean")) for score in SCORES),
            shown(one["mean_rank"]),
        )
        for name, one in told["sources"].items()
    ]
    replicas = next(iter(told["sources"].values()))["replicas"]
    legend = (
        f"Scores of networks pretrained on each source, for training patients of "
        f"{', '.join(told['target'])} (mean of {counted(replicas, 'replica')}); higher promises "
        "more, rank 1 most. Evidence about the sources, not a choice among them: whether one "
        "helps is what `medgraft repro` tests."
    )
    return "\n".join([*aligned([header, *rows]), textwrap.fill(legend, WIDTH)])

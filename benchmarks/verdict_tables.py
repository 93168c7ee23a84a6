"""What the simulated studies of `benchmarks/verdict.py` say about the verdict, as markdown."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import polars as pl
import statsmodels.api as sm
from scipy.stats import binomtest

PLACEBO = "placebo"
SAME = ["patients", "prevalence", "relatedness", "strategy"]
# How large the true difference is beside the one the study said it would find in 80 of 100.
RATIOS = [(0.0, 0.25), (0.25, 0.5), (0.5, 0.75), (0.75, 1.0), (1.0, 1.5), (1.5, float("inf"))]


def read(folder: Path, settings: Iterable[dict[str, float]]) -> pl.DataFrame:
    """All comparisons with their setting, and the mean truth over the studies of a setting."""
    files = sorted(folder.glob("judged_*.parquet"))
    rows = pl.concat([pl.read_parquet(path) for path in files])
    rows = rows.join(pl.DataFrame(list(settings)), on="setting")
    mean = pl.col("truth").mean().over(SAME)
    # By construction, not by measurement, the placebo does nothing.
    expected = pl.when(pl.col("strategy") == PLACEBO).then(0.0).otherwise(mean)
    return rows.with_columns(expected=expected)


def share(events: pl.Series) -> str:
    """So many of so many, and the exact 95 % interval of their share (Clopper & Pearson 1934)."""
    if not len(events):
        return "–"
    interval = binomtest(int(events.sum()), len(events)).proportion_ci()
    found, low, high = (100 * p for p in (events.mean(), interval.low, interval.high))
    return f"{found:.1f} % [{low:.1f}, {high:.1f}] of {len(events)}"


def table(title: str, header: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    """Print one."""
    names = list(header)
    print(f"\n{title}\n\n| {' | '.join(names)} |\n|{'---|' * len(names)}")
    for row in rows:
        print(f"| {' | '.join(map(str, row))} |")


def false_alarms(rows: pl.DataFrame) -> None:
    """Verdicts where nothing can help or harm, and studies with a verdict against the truth."""
    placebo = rows.filter(pl.col("strategy") == PLACEBO)
    table(
        "False alarms on a placebo (training from scratch once more with other seeds)",
        ["patients", "prevalence", "helps", "harms", "95 % interval leaves 0 out"],
        (
            (*key, *(share(part["verdict"] == said) for said in ("helps", "harms")),
             share((part["low"] > 0) | (part["high"] < 0)))
            for key, part in placebo.group_by("patients", "prevalence", maintain_order=True)
        ),
    )  # fmt: skip
    real = rows.filter(pl.col("strategy") != PLACEBO)
    wrong = real.with_columns(
        helps=(pl.col("verdict") == "helps") & (pl.col("expected") <= 0),
        harms=(pl.col("verdict") == "harms") & (pl.col("expected") >= 0),
    )
    studies = wrong.group_by("relatedness", "patients", "prevalence", "study").agg(
        pl.col("helps", "harms").any()
    )
    table(
        "Studies with any verdict against the truth, three strategies each",
        ["relatedness", "false helps", "false harms"],
        (
            (key[0], share(part["helps"]), share(part["harms"]))
            for key, part in studies.sort("relatedness", descending=True).group_by(
                "relatedness", maintain_order=True
            )
        ),
    )


def coverage(rows: pl.DataFrame) -> None:
    """How often the 95 % interval holds the expected truth and that of the study's own networks."""
    for name, truth in (("expected", "expected difference"), ("truth", "study's own networks'")):
        held = rows.with_columns(
            held=(pl.col("low") <= pl.col(name)) & (pl.col(name) <= pl.col("high"))
        )
        real = held.filter(pl.col("strategy") != PLACEBO)
        of = held.group_by("strategy", "patients", "prevalence", "relatedness").agg(
            pl.col("held").mean()
        )
        wide = of.sort("relatedness", descending=True).pivot(
            "relatedness", index=["strategy", "patients", "prevalence"], values="held"
        )
        table(
            f"Coverage of the {truth}: {share(held['held'])}; without the placebo "
            f"{share(real['held'])}; per relatedness",
            wide.columns,
            (
                (*row[:3], *("–" if one is None else f"{100 * one:.1f} %" for one in row[3:]))
                for row in wide.sort("strategy", "patients", "prevalence").iter_rows()
            ),
        )


def power(rows: pl.DataFrame) -> None:
    """How often a difference is found that is as large as the study said it would find.

    By three measures: comparisons whose own networks' truth is of that size; settings whose
    expected difference is; and, over all settings, a probit regression on its share of that size.
    """
    stated = pl.col("smallest_effect").median().over(SAME)
    real = rows.filter(pl.col("strategy") != PLACEBO).with_columns(
        ratio=pl.col("expected").abs() / stated,
        found=pl.when(pl.col("expected") > 0)
        .then(pl.col("verdict") == "helps")
        .otherwise(pl.col("verdict") == "harms"),
    )
    at = real.filter((pl.col("truth").abs() / pl.col("smallest_effect")).is_between(0.9, 1.1))
    told = pl.when(pl.col("truth") > 0).then(pl.lit("helps")).otherwise(pl.lit("harms"))
    print(
        "\nFound, of the comparisons whose own networks' true difference is within a tenth of the "
        "smallest effect the study stated: "
        + share(at.select(pl.col("verdict") == told)["verdict"])
    )
    near = real.filter(pl.col("ratio").is_between(0.9, 1.1))
    print(f"\nFound, in settings whose expected difference is: {share(near['found'])}")
    fit = sm.GLM(
        real["found"].cast(float).to_numpy(),
        sm.add_constant(real["ratio"].to_numpy()),
        family=sm.families.Binomial(sm.families.links.Probit()),
    ).fit()
    print(f"\nProbit over all settings, at that size: {100 * fit.predict([[1.0, 1.0]])[0]:.1f} %")
    table(
        "Power",
        ["true difference / stated smallest effect", "found", "settings and strategies"],
        (
            (f"{low:g} to {high:g}", share(part["found"]), part.select(SAME).n_unique())
            for low, high in RATIOS
            if len(part := real.filter((pl.col("ratio") >= low) & (pl.col("ratio") < high)))
        ),
    )


def guard(rows: pl.DataFrame) -> None:
    """How often a strategy with the source is shipped, where it helps and where it harms."""
    real = rows.filter(pl.col("strategy") != PLACEBO).with_columns(
        harmful=pl.col("ships") & (pl.col("expected") < 0),
        helpful=pl.col("ships") & (pl.col("expected") > 0),
    )
    studies = real.group_by("relatedness", "patients", "prevalence", "study").agg(
        pl.col("harmful", "helpful").any()
    )
    table(
        "What ships",
        ["relatedness", "patients", "a source that harms", "a source that helps"],
        (
            (*key, share(part["harmful"]), share(part["helpful"]))
            for key, part in studies.sort(
                "relatedness", "patients", descending=[True, False]
            ).group_by("relatedness", "patients", maintain_order=True)
        ),
    )


def truths(rows: pl.DataFrame) -> None:
    """What the settings are: the true differences."""
    of = rows.filter(pl.col("strategy") != PLACEBO).group_by(SAME).agg(pl.col("expected").first())
    wide = of.sort("strategy").pivot(
        "strategy", index=["patients", "prevalence", "relatedness"], values="expected"
    )
    table(
        "True differences in AUROC from training from scratch",
        wide.columns,
        (
            (*row[:3], *(f"{one:+.3f}" for one in row[3:]))
            for row in wide.sort(
                "patients", "prevalence", "relatedness", descending=[False, True, True]
            ).iter_rows()
        ),
    )


def print_tables(folder: Path, settings: Iterable[dict[str, float]]) -> None:
    """Print all of them."""
    rows = read(folder, settings).sort("patients", "prevalence", descending=[False, True])
    for one in (false_alarms, coverage, power, guard, truths):
        one(rows)

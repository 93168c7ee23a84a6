"""The facts of a simulated study, as the evaluate stage gathers them from its files."""

from pathlib import Path
from typing import Any

import polars as pl

from medgraft.evaluation.answers import write_answers
from medgraft.preparation.arrays import write_json, write_table
from medgraft.reporting.facts import gather

from .drawn import readings
from .simulated import METRICS, Simulated


def facts(simulated: Simulated, folder: Path, *, notice: str = "Simulated.") -> dict[str, Any]:
    """Write what the earlier steps of the stage leave in `folder`, and gather."""
    simulated.evaluation.write(folder)
    readings(simulated, folder)
    champion = simulated.evaluation.champion.strategy
    write_answers(folder, simulated.study, champion, level=0.9)
    configured = simulated.configured(notice)
    trained = [
        name
        for name, one in configured.strategies.items()
        if not one.baseline and simulated.study.strategies[name].fitted_parameters
    ]
    for name, result in simulated.study.strategies.items():
        told = {"description": result.description, "fitted_parameters": result.fitted_parameters}
        path = folder / "finetuned" / name / "summary.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json({**told, "strategy": name, "uses_source": result.uses_source}, path)
        steps = [] if name not in trained else [10, 20]
        write_table(pl.DataFrame({"step": steps}), path.with_name("history.parquet"))
    return gather(
        folder,
        prepared=simulated.prepared,
        finetuned=folder / "finetuned",
        metrics=METRICS,
        configured=configured,
        provenance={"git_commit": "0123abc", "versions": "medgraft 0", "data": "d4ta"},
    )


def cells(line: str) -> list[str]:
    """The cells of a line of a markdown table."""
    inside = line.replace(r"\|", "\0").strip().strip("|")
    return [cell.replace("\0", "|").strip() for cell in inside.split("|")]


def tables(page: str) -> list[list[list[str]]]:
    """Every table of a markdown page: its lines, without the one of dashes, as cells."""
    found: list[list[list[str]]] = []
    inside = False
    for line in page.splitlines():
        if not line.startswith("|"):
            inside = False
            continue
        if not inside:
            found.append([])
        inside = True
        found[-1].append(cells(line))
    return [[table[0], *table[2:]] for table in found]

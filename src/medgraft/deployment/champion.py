"""Results -> work/champion: everything needed to serve one strategy, and no patient."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from medgraft.cohorts.description import CohortDescription, Unused
from medgraft.cohorts.kinds.kind import Measured
from medgraft.cohorts.parsing import NAME, describe
from medgraft.deployment import novelty
from medgraft.deployment.answers import ANSWERS
from medgraft.deployment.attribution import write_reference
from medgraft.deployment.records import EXAMPLE, records_of
from medgraft.errors import StageError
from medgraft.preparation.arrays import read, read_design, read_json, replacing, seal, write_json
from medgraft.training import weights
from medgraft.training.replicas import select

CSV = "medgraft.cohorts.readers.csv.read"
NEW = "new.csv"
SERVING = "medgraft.deployment.pyfunc"


def export(
    *,
    evaluation: Path,
    finetuned: Path,
    design: Path,
    target: Path,
    cohort: Path,
    sites: Sequence[str],
    made: Mapping[str, str],
    out: Path,
) -> str:
    """Write the champion to `out`, whole or not at all; the same bytes every time.

    Args:
        evaluation: folder of `verdict.json`, which names the champion, and `answers.json`, how its
            probabilities become answers.
        finetuned: folder of all strategies.
        design: `design.parquet`; the replicas of use `final` ship.
        target: the prepared target cohort; the mean of the final replicas' training patients is
            where explanations start, and who is unlike all of its patients gets no answer.
        cohort: folder of the raw cohort; only its `cohort.yaml` is read.
        sites: the target sites, where the new patients come from.
        made: what identifies the data, design and versions behind the champion.
        out: folder to write.

    Returns:
        The strategy's name.

    Raises:
        StageError: a result is missing or of another strategy, or the design has no final replica.
    """
    told, learned = (read_json(evaluation / name) for name in ("verdict.json", ANSWERS))
    strategy = told["champion"]["strategy"]
    if learned["strategy"] != strategy:
        raise StageError(
            f"{evaluation / ANSWERS} is of {learned['strategy']}, the champion is {strategy}"
        )
    state, description = weights.read(finetuned / strategy)
    drawn = read_design(design)
    final = finals(drawn, design)
    rows = [drawn.filter(pl.col("replica") == r)["train"][0].to_numpy() for r in final]
    schema = description["schema"]
    with replacing(out) as fresh:
        weights.write(fresh, select(state, final), description)
        new = described(describe(cohort), sites, schema)
        (fresh / NAME).write_text(as_yaml(new), encoding="utf-8")
        cohort_of_target = read(target)
        write_reference(fresh, cohort_of_target.x, rows)
        known = novelty.learn(cohort_of_target)
        novelty.write(fresh, known)
        write_json(known.typical(records_of(fresh).example()), fresh / EXAMPLE)
        write_json(learned, fresh / ANSWERS)
        shutil.copyfile(source_of(SERVING), fresh / "serve.py")
        write_json(
            {
                "strategy": strategy,
                "reason": told["champion"]["reason"],
                "verdict": told["sentence"],
                "outcome": schema["outcome"],
                "replicas": len(final),
                "made": dict(made),
            },
            fresh / "champion.json",
        )
        seal(fresh)
    return strategy


def source_of(module: str) -> Path:
    """The file of a module, which is not imported: this one would import MLflow."""
    found = find_spec(module)
    assert found is not None
    return Path(str(found.origin))


def finals(design: pl.DataFrame, path: Path) -> list[int]:
    """The replicas that ship."""
    replicas = design.filter(pl.col("use") == "final")["replica"].to_list()
    if not replicas:
        raise StageError(f"{path}: expected replicas of use 'final', found none")
    return replicas


def described(
    description: CohortDescription, sites: Sequence[str], schema: Mapping[str, Any]
) -> CohortDescription:
    """What a new record must look like: one site, and the measurements the model uses.

    Other columns of the target sites may be there and are ignored. Where only some of the sites
    measure a column, it may be missing.
    """
    measured = [description.measured_at(site) for site in sites]
    columns: dict[str, Any] = {}
    for name, column in description.columns.items():
        if not any(name in description.expected_at(site) for site in sites):
            continue
        served = {} if isinstance(column, Unused) else column.served(name, schema["features"])
        everywhere = all(name in site for site in measured)
        columns |= {own: column_of(part, everywhere=everywhere) for own, part in served.items()}
        if not served:
            columns[name] = {"kind": "ignore"}
    outcomes = {k: v for site in sites for k, v in description.outcomes_at(site).items()}
    identified = any(description.patient_column(site) for site in sites)
    return CohortDescription.model_validate(
        {
            "name": description.name,
            "patient": description.patient if identified else "row",
            "missing": description.missing,
            "outcomes": {name: outcome.model_dump() for name, outcome in outcomes.items()},
            "columns": columns,
            "format": {"delimiter": delimiter(description, sites[0])},
            "sites": {" + ".join(sites): {"file": NEW}},
        }
    )


def column_of(column: Measured, *, everywhere: bool) -> dict[str, Any]:
    """A measurement's description."""
    return column.model_dump() | ({} if everywhere else {"missing": "allowed"})


def delimiter(description: CohortDescription, site: str) -> str:
    """What parts the cells of the site's delimited text; a comma where it writes another format."""
    form = description.sites[site].format or description.format
    return form.options.get("delimiter", ",") if form.reader == CSV else ","


def as_yaml(description: CohortDescription) -> str:
    """`cohort.yaml` of a description, keys in the order written."""
    plain = description.model_dump(exclude_defaults=True)
    return yaml.safe_dump(plain, sort_keys=False, allow_unicode=True)

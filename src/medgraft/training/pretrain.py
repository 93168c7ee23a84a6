"""Train shared and specific layers on the source cohort, all source seeds at once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import torch

from medgraft.config import PretrainConfig, TrainerConfig, leads
from medgraft.construct import construct
from medgraft.networks.model import Network
from medgraft.preparation.arrays import Prepared, seal, write_table
from medgraft.training import replicas, weights
from medgraft.training.batches import hide
from medgraft.training.finish import finished
from medgraft.training.fit import fit
from medgraft.training.patients import Patients
from medgraft.training.pretexts.supervised import Supervised
from medgraft.training.replicas import State
from medgraft.training.verification import verify_preparation


def pretrain(
    source: Prepared,
    design: pl.DataFrame,
    *,
    spec: dict[str, Any],
    config: PretrainConfig,
    trainer: TrainerConfig,
    out: Path,
) -> None:
    """Write ``weights.safetensors [S, ...]``, ``network.json`` and ``history.parquet`` to ``out``.

    Raises:
        LeakError: preparation was fitted on others than a replica's training patients.

    Args:
        source: the prepared source cohort.
        design: one row per source seed.
        spec: constructors of input, encoder, readout and head.
        config: optimiser and batch size.
        trainer: hardware and when to stop.
        out: folder to write.
    """
    patients = patients_of(source, design)
    pretext = construct(config.pretext) if config.pretext else Supervised()
    template, state = replicas.build(
        lambda seed: pretext.network(spec, source.schema, seed=seed), patients.seeds
    )
    state |= fitted(template, patients)
    names = {name for name, value in template.named_parameters() if value.requires_grad}
    features = source.schema["features"]
    lost = [i for i, feature in enumerate(features) if feature["origin"] == "source_only"]
    shown = replace(
        patients,
        augment=hide(lost, config.hide_probability) if lost else None,
        question=pretext.batch,
    )
    trained, history = fit(
        template,
        state,
        shown,
        trained=names,
        config=config,
        trainer=trainer.model_copy(update={"share": "batches"}),  # few networks, many patients
    )
    trained |= finished(template, trained, patients)
    verify_preparation(trained, source, patients.train, spec=spec["input"])
    if leads():
        schema = source.schema | ({"outcome": pretext.outcome} if pretext.outcome else {})
        weights.write(out, trained, {"network": spec, "schema": schema})
        write_table(history, out / "history.parquet")
        seal(out)


def patients_of(cohort: Prepared, design: pl.DataFrame) -> Patients:
    """The cohort's arrays with the parts and seeds of the design's replicas."""
    train, validation, seeds = (
        design[name].to_list() for name in ("train", "validation", "init_seed")
    )
    return Patients(cohort.x, cohort.y, train, validation, seeds)


def fitted(template: Network, patients: Patients) -> State:
    """Preparation of each replica ``[R, ...]``, from its own training patients only."""
    each = [template.fit(patients.x[rows], patients.y[rows]) for rows in patients.train]
    return {name: torch.stack([values[name] for values in each]) for name in each[0]}

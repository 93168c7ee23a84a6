import json
import shutil

import numpy as np
import polars as pl
import pytest
import yaml
from safetensors.numpy import load_file

from medgraft.cohorts.description import CohortDescription
from medgraft.cohorts.parsing import describe
from medgraft.deployment.champion import described
from medgraft.deployment.model import load
from medgraft.errors import StageError
from medgraft.preparation.arrays import seal

from .simulated import DESCRIPTION, MADE, OUTCOMES, VERDICT, export_run, run_pipeline


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_only_final_replicas_ship(any_run):
    design = pl.read_parquet(any_run.work / "prepared" / "design.parquet")
    final = design.with_row_index().filter(pl.col("use") == "final")["index"].to_numpy()
    every = load_file(any_run.work / "finetuned" / any_run.strategy / "weights.safetensors")
    shipped = load_file(any_run.champion / "weights.safetensors")
    assert set(shipped) == set(every)
    assert len(final) == 2
    for name, value in shipped.items():
        assert np.array_equal(value, every[name][final], equal_nan=True)


def test_same_results_same_bytes(any_run, tmp_path):
    export_run(any_run.work, any_run.cohort, out=tmp_path / "again")
    assert contents(tmp_path / "again") == contents(any_run.champion)


def test_champion_holds_no_pickle(any_run):
    assert sorted(contents(any_run.champion)) == [
        "SHA256SUMS",
        "answers.json",
        "champion.json",
        "cohort.yaml",
        "example.json",
        "network.json",
        "novelty.safetensors",
        "reference.safetensors",
        "serve.py",
        "weights.safetensors",
    ]


def test_champion_holds_no_patient(any_run):
    everything = b"".join(contents(any_run.champion).values())
    for name in ("id", "name"):
        assert not [cell for cell in any_run.raw[name] if cell.encode() in everything]


def test_champion_says_what_it_is(ward):
    assert json.loads((ward.champion / "champion.json").read_text()) == {
        "strategy": "network",
        "reason": "It won.",
        "verdict": VERDICT,
        "outcome": {
            "name": "fate",
            "task": "binary",
            "classes": ["well", "ill"],
            "unit": "",
            "horizons": [],
        },
        "replicas": 2,
        "made": MADE,
    }


def test_design_without_final_is_named(ward, tmp_path):
    work = shutil.copytree(ward.work, tmp_path / "work")
    path = work / "prepared" / "design.parquet"
    pl.read_parquet(path).filter(pl.col("use") == "compare").write_parquet(path)
    seal(path.parent)
    before = contents(work / "champion")
    with pytest.raises(StageError, match=r"design.parquet: expected replicas of use 'final'"):
        export_run(work, ward.cohort, out=work / "champion")
    assert contents(work / "champion") == before


def test_shared_mode_ignores_the_rest(tmp_path):
    run = run_pipeline(tmp_path, "binary", "logistic", mode="shared")
    model = load(run.champion)
    assert list(model.records.columns) == ["age", "lab", "sex"]
    nonsense = run.raw.with_columns(extra=pl.lit("nonsense"))
    assert model.predict(nonsense).equals(model.predict(run.raw.drop("extra")))


FEATURES = {"features": [{"name": name} for name in ("age", "lab", "marker", "extra", "sex")]}


def description(**changes):
    outcome = OUTCOMES["binary"] | {"column": "end"}
    return CohortDescription.model_validate(DESCRIPTION | {"outcomes": {"fate": outcome}} | changes)


def test_unmeasured_at_one_site_may_miss():
    sites = {"a": {"file": "a", "without": ["age", "marker"]}, "b": {"file": "b"}}
    new = described(description(sites=sites), ["a", "b"], FEATURES)
    assert new.columns["age"].missing == "allowed"
    alone = described(description(sites=sites), ["b"], FEATURES)
    assert alone.columns["age"].missing == "never"
    assert list(alone.sites) == ["b"]


def test_delimiter_of_the_site_stays():
    sites = {"a": {"file": "a", "format": {"delimiter": ";"}}}
    assert described(description(sites=sites), ["a"], FEATURES).format.options == {"delimiter": ";"}


def test_codes_survive_the_journey(tmp_path):
    # YAML has its own idea of `no`, 01 and 2020-01-01.
    codes = {"no": "no", "01": "null", 2: "1", 1.5: "2020-01-01", "2020-01-01": "~"}
    columns = {"answer": {"kind": "category", "categories": codes}}
    features = {"features": [{"name": "answer"}]}
    before = described(description(columns=columns, sites={"a": {"file": "a"}}), ["a"], features)
    from medgraft.deployment.champion import as_yaml

    (tmp_path / "cohort.yaml").write_text(as_yaml(before))
    after = describe(tmp_path).columns["answer"].categories
    assert after == codes
    assert [type(code) for code in after] == [type(code) for code in codes]
    assert yaml.safe_load(as_yaml(before))["sites"] == {"a": {"file": "new.csv"}}

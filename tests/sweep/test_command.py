"""`medgraft sweep` from the command line to the winner as an experiment."""

import json

import pytest
import yaml

from medgraft import composition
from medgraft.errors import ConfigError
from medgraft.preparation.arrays import read_design
from medgraft.stages.run import PREPARED
from medgraft.sweep.best import summary
from medgraft.sweep.run import Sweep, search
from medgraft.sweep.score import Bench, validation_scores
from sites import OWN

from .conftest import SMALL


def test_sweep_ends_and_goes_on(project, ask, unlogged):
    """n trials, a table, an experiment; again nothing is trained; with another space, refused."""
    code, out, err = ask("n=3", *SMALL)
    assert (code, err) == (0, "")
    assert "3 trials finished; scores are means of scratch, fine_tune on validation" in out
    assert out.endswith("medgraft repro experiment=mine_best\n")
    folder = project / "work" / "sweeps" / "mine"
    told = json.loads((folder / "sweep.json").read_text())
    assert [one["trial"] for one in told["trials"]] == [0, 1, 2]
    assert [one["as_it_is"] for one in told["trials"]] == [True, False, False]
    assert told["best"]["values"][0] == max(one["values"][0] for one in told["trials"])
    assert (folder / "slices.svg").is_file()

    written = yaml.safe_load((project / "conf" / "experiment" / "mine_best.yaml").read_text())
    assert written["finetune"]["optimizer"]["lr"] == told["best"]["params"]["finetune.optimizer.lr"]

    code, out, _ = ask("n=3", *SMALL, "--json")
    best = told["best"]
    assert (code, json.loads(out)) == (
        0,
        {
            "sweep": "mine",
            "best": {
                "trial": best["trial"],
                "values": dict(zip(told["metrics"], best["values"], strict=True)),
                "params": best["params"],
            },
            "finished": 3,
            "refused": 0,
            "experiment": "conf/experiment/mine_best.yaml",
            "trials": "work/sweeps/mine/sweep.json",
        },
    )
    code, out, _ = ask("n=4", *SMALL)
    assert (code, "trial 3: auroc" in out, "(4 of 4)" in out) == (0, True, True)

    for changed, what in (
        (("trainer.patience=3",), "configuration"),
        (("sweep.strategies=[scratch]",), "score"),
        (("sweep.params={finetune.optimizer.lr:'interval(0.0001,1)'}",), "search space"),
    ):
        code, _, err = ask("n=4", *SMALL, *changed)
        assert (code, f"was made with another {what}; give" in err) == (2, True), err
    with (project / "data" / "mine" / "small.csv").open("a") as file:
        file.write("small-new,0,0,0,1,1\n")
    code, _, err = ask("n=4", *SMALL)
    assert (code, "was made with another data; give" in err) == (2, True), err


def test_values_drawn_before_are_not_trained_again(project, ask, unlogged):
    """A space smaller than n ends all the same."""
    (project / "conf" / "sweep" / "mine.yaml").write_text(
        "n: 4\nstrategies: [lora]\nparams:\n  strategies.lora.adapter.rank: int(interval(1, 2))\n"
    )
    small = [one for one in SMALL if not one.startswith("strategies=")]
    code, _, err = ask("sweep=mine", "strategies=[scratch,lora]", *small)
    assert (code, err) == (0, "")
    told = json.loads((project / "work" / "sweeps" / "mine" / "sweep.json").read_text())
    assert len(told["trials"]) == 4
    twins = [one for one in told["trials"] if (one["reason"] or "").startswith("the same as trial")]
    assert len(twins) == 2, "two values, four trials: the others are not trained again"


def test_refused_values_count_and_are_told(project, monkeypatch):
    """They would be refused again: the trial is finished, without a score and with the reason."""
    sweep = Sweep.read(project, ["n=3", *SMALL], mirror=None)
    scores = Bench.scores

    def fussy(self, params, metrics):
        if params["finetune"]["batch_size"] != 16:
            raise ConfigError("only batches of 16")
        return scores(self, params, metrics)

    monkeypatch.setattr(Bench, "scores", fussy)
    search(sweep, [], workers=1)
    told = summary(sweep)
    assert [one["reason"] for one in told["trials"]].count("only batches of 16") > 0
    assert {one["params"]["finetune.batch_size"] for one in told["trials"] if one["values"]} == {
        "16"
    }
    assert len(told["trials"]) == 3


@pytest.mark.slow
def test_study_may_lie_elsewhere(project, ask, unlogged):
    """A relative address is seen from the project, wherever the command was given."""
    assert ask("n=1", "sweep.storage=sqlite:///work/other.db", "sweep.name=apart", *SMALL)[0] == 0
    assert (project / "work" / "other.db").is_file()
    assert (project / "conf" / "experiment" / "apart_best.yaml").is_file()
    code, _, err = ask("n=1", *SMALL, "--workers=0")
    assert (code, err) == (2, "medgraft: --workers 0: expected 1 or more\n")


def test_second_score_makes_a_front(project, ask, unlogged):
    code, out, _ = ask("n=3", "sweep.calibration=brier", *SMALL)
    assert code == 0
    assert "No trial is better in both scores than: " in out
    told = json.loads((project / "work" / "sweeps" / "mine" / "sweep.json").read_text())
    assert told["metrics"] == ["auroc", "brier"]
    better = {tuple(one["values"]) for one in told["trials"]}
    for number in told["front"]:
        auroc, brier = told["trials"][number]["values"]
        assert not any(a >= auroc and b <= brier and (a, b) != (auroc, brier) for a, b in better)


@pytest.mark.parametrize(
    ("fixed", "values"),
    [
        (["experiment=simulated_table"], {"encoder": "resnet"}),
        (["experiment=heart", "encoder=one_hidden", "seed=3"], {"encoder": "mlp"}),
        (list(OWN), {"optimizer@finetune.optimizer": "sgd", "finetune.optimizer.lr": 0.1}),
    ],
)
def test_experiment_composes_to_the_trial(project, fixed, values):
    given = [f"{key}={value}" for key, value in values.items()]
    content = composition.experiment(project, [*fixed, *given], chosen=False)
    text = "# @package _global_\n" + yaml.safe_dump(content, sort_keys=False)
    (project / "conf" / "experiment" / "x_best.yaml").write_text(text)
    assert composition.compose(project, ["experiment=x_best"]) == composition.compose(
        project, [*fixed, *given]
    )


def test_experiment_starts_from_what_the_project_chose(project):
    composition.record(project, ["experiment=heart", "trainer.patience=3"])
    content = composition.experiment(project, ["finetune.batch_size=8"], chosen=True)
    assert content == {
        "defaults": ["heart", "_self_"],
        "trainer": {"patience": 3},
        "finetune": {"batch_size": 8},
    }


@pytest.mark.slow
def test_runs_in_mlflow_read_well(project, ask):
    from mlflow import MlflowClient

    assert ask("n=2", *SMALL)[0] == 0
    assert ask("n=2", *SMALL)[0] == 0
    client = MlflowClient(f"sqlite:///{project}/mlflow/mlflow.db")
    runs = client.search_runs([client.get_experiment_by_name("mine").experiment_id])
    (parent,) = [one for one in runs if "mlflow.parentRunId" not in one.data.tags]
    assert parent.info.run_name.startswith("sweep mine: auroc ")
    names = sorted(one.info.run_name.split(":")[0] for one in runs if one is not parent)
    assert names == ["trial 0", "trial 1", "winner"], "logged once"
    files = {one.path for one in client.list_artifacts(parent.info.run_id)}
    assert {"slices.svg", "sweep.json", "mine_best.yaml"} <= files


@pytest.mark.slow
def test_repro_of_the_winner_has_its_score(tmp_path):
    """`medgraft repro experiment=<name>_best` trains what the trial trained, and tests it."""
    from stages import project as clone

    folder = tmp_path / "project"
    clone.clone(folder)
    clone.own_cohort(folder)
    small = [*clone.OWN, *clone.SMALL, "cohort.outcome.target=died"]
    clone.done(clone.medgraft(folder, "sweep", "n=4", *small))
    told = json.loads((folder / "work" / "sweeps" / "mine" / "sweep.json").read_text())
    clone.done(clone.medgraft(folder, "repro", "experiment=mine_best"))
    metrics = Sweep.read(folder, ["n=4", *small], mirror=None).metrics
    assert read_design(folder / PREPARED / "design.parquet")["test"].list.len().max() > 0
    for name in told["strategies"]:
        piped = validation_scores(folder / PREPARED, folder / "work" / "finetuned" / name, metrics)
        assert told["best"]["scores"][name] == pytest.approx(piped, abs=1e-6)

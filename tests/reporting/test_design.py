"""What cards, checklists and reports say of designs and strategies that are not the usual ones."""

import re
from dataclasses import replace

import polars as pl
import pytest

from medgraft.config import Strategy, task_kinds
from medgraft.preparation.arrays import read
from medgraft.reporting import card, checklists
from medgraft.reporting.design import Configured, handed_over, listed, source_use

from .drawn import readings
from .papers import facts
from .simulated import LOGISTIC, PRETEXT, STRATEGIES, simulate

PAPERS = ("model_card.md", "tripod_ai.md", "probast_ai.md")
POOLED = {
    "scratch": STRATEGIES["scratch"],
    "fine_tune": STRATEGIES["fine_tune"],
    "joint": (2.5, True, 3_201, "Trained on source and target together."),
    "pooled": (1.1, True, 9, "Regression on source and target together."),
}


def said(simulated, folder) -> str:
    """All that is written of a study, without markup."""
    told = facts(simulated, folder)
    card.write(folder, told)
    checklists.write(folder, told)
    pages = [(folder / name).read_text().replace("\\", "") for name in PAPERS]
    report = re.sub(r"(?s)<(style|svg).*?</\1>|<[^>]*>", "", simulated.report())
    return "\n".join([*pages, report.replace("&#39;", "'")])


@pytest.fixture(scope="module")
def split(tmp_path_factory):
    folder = tmp_path_factory.mktemp("split")
    return said(simulate(folder, runs=1, tested=12), folder / "papers")


@pytest.fixture(scope="module")
def pooled(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pooled")
    return said(simulate(folder, strategies=POOLED, patients=160), folder / "papers")


def test_given_split_is_no_cross_validation(split):
    assert "Of the target patients, 12 of 48 were predicted" in split
    assert "Of the target’s patients, 12 of 48 were tested" in split
    assert split.count("1 training run on the one split that came with the target's files") == 4
    assert split.count("evaluated on the test part of the split that came with the files") == 1
    for false in (
        "cross-validation",
        "Folds are stratified",
        "No external evaluation",
        "divided 1",
    ):
        assert false not in split


@pytest.mark.parametrize("task", task_kinds())
def test_given_split_has_no_folds(task, tmp_path):
    """Neither on the page nor in a figure's caption or the reason why there is none."""
    told = simulate(tmp_path, task=task, runs=1, patients=90, tested=40)
    read = readings(told, tmp_path)
    captions = [figure["caption"] for figure in read["figures"].values()]
    reasons = [str(one["why"]) for one in read.values() if "why" in one]
    page = re.sub(r"(?s)<(style|svg).*?</\1>|<[^>]*>", "", told.report())
    assert re.findall(r"[^.]*\bfolds?\b[^.]*", " ".join([page, *captions, *reasons])) == []


def test_single_model_has_no_mean(split):
    assert "| Models handed over | 1 model, trained on 38 target rows and stopped by 10" in split
    assert "the answer is its own" in split
    assert "a single run does not show what another would" in split
    for false in ("their mean", "together they learned", "training runs, would have"):
        assert false not in split


def test_cross_validation_is_told_with_its_models(pooled):
    assert pooled.count("3 repetitions of 5-fold cross-validation") == 4
    assert pooled.count("Folds are stratified by the outcome") == 2
    assert "3 models, each trained on 150 target rows and stopped by 10 others" in pooled
    assert "together they learned from all 160" in pooled
    for false in ("every target patient", "trained with all", "split that came"):
        assert false not in pooled


def test_pooled_and_joint_learn_from_the_source(pooled):
    assert (
        pooled.count(
            "3 networks trained on it, the start of fine_tune and joint; patients learned from "
            "together with the target's, by joint and pooled"
        )
        == 2
    )
    for false in ("only pretrain", "start from 3 networks", "learned from the same patients"):
        assert false not in pooled


def test_settled_strategy_needs_no_more_patients(tmp_path):
    told = facts(simulate(tmp_path, strategies=POOLED, patients=160), tmp_path / "papers")
    verdicts = {name: row["verdict"] for name, row in told["verdict"]["strategies"].items()}
    assert verdicts["joint"] == "helps"
    assert "joint" in told["readings"]["sample_size"]["plans"]
    open_ = {name for name, verdict in verdicts.items() if verdict == "cannot tell"}
    assert {plan["strategy"] for plan in told["unsettled"]} == open_


def design(*parts: tuple[list[int], list[int]]) -> pl.DataFrame:
    rows = [{"use": "final", "train": train, "validation": held} for train, held in parts]
    return pl.DataFrame(rows, schema={"use": pl.String} | dict.fromkeys(
        ("train", "validation"), pl.List(pl.Int64)
    ))  # fmt: skip


TWO = design(([0, 1, 2], [3]), ([1, 2, 3], [0]))
OWN = Strategy(description="own", uses_source=False, baseline=LOGISTIC)


@pytest.mark.parametrize(
    ("drawn", "learn_from", "about", "told"),
    [
        (TWO, "target", {}, "2 models, each trained on 3 target rows and stopped by 1 others; "
         "together they learned from all 4"),
        (design(([0, 1, 2], [3]), ([0, 1], [2, 3])), "target", {"stopped": False},
         "2 models, each trained on 2 to 3 target rows; together they learned from 3 of 4"),
        (TWO, "target", {"fitted": False}, "2 models, fitted to no outcome of a target patient"),
        (TWO, "source", {}, "2 models, fitted to no outcome of a target patient"),
        (design(([0, 1], [2])), "both", {"stopped": False},
         "1 model, trained on 2 target rows; source patients are learned from as well"),
        (design(), "target", {}, "0 models"),
    ],
)  # fmt: skip
def test_models_say_whom_they_learned_from(drawn, learn_from, about, told):
    strategy = OWN.model_copy(update={"learn_from": learn_from})
    found = handed_over(drawn, strategy, **{"fitted": True, "stopped": True, **about})
    assert found["said"] == told


def configured(**more) -> Strategy:
    parts = {
        "init": {"_target_": "medgraft.transfer.init.source"},
        "trainable": {"_target_": "medgraft.transfer.trainable.everything"},
        "readout": {"_target_": "medgraft.networks.readout.LastLayer"},
    }
    return Strategy(description="a network", uses_source=True, **parts, **more)


def test_use_of_the_source_follows_the_configuration():
    """Its outcomes instead of the target's, its measurements alone, a checkpoint, or nothing."""
    alignment = {"_target_": "medgraft.transfer.alignment.Coral"}
    two = {
        "coral": configured(alignment=alignment),
        "unlabelled": configured(alignment=alignment, learn_from="source"),
    }
    assert source_use(Configured(two, PRETEXT, ""), networks=1) == (
        "1 network trained on it, the start of coral and unlabelled; patients learned from instead "
        "of the target's, by unlabelled; patients seen beside the target's, without their "
        "outcomes, by coral"
    )
    checkpoint = {"_target_": "medgraft.training.pretexts.checkpoint.Checkpoint"}
    assert "not trained on the cohort" in source_use(Configured(two, checkpoint, ""), networks=1)
    assert source_use(Configured({"own": OWN}, PRETEXT, ""), networks=1) == "nothing"


def test_names_are_listed_in_words():
    assert [listed(names) for names in ("a", "ab", "abc")] == ["a", "a and b", "a, b and c"]


def test_image_is_no_measurement(tmp_path, monkeypatch):
    """It is the input; a checklist that counts measurements has none to count."""

    def image(folder):
        found = read(folder)
        features = [{"name": "film", "kind": "image", "origin": "shared"}]
        return replace(found, schema=found.schema | {"modality": "image", "features": features})

    simulated = simulate(tmp_path / "study")
    monkeypatch.setattr("medgraft.reporting.facts.read", image)
    told = facts(simulated, tmp_path / "papers")
    card.write(tmp_path / "papers", told)
    checklists.write(tmp_path / "papers", told)
    pages = [(tmp_path / "papers" / name).read_text() for name in PAPERS]
    assert "from an input of the kind “image”" in pages[0]
    for page in pages:
        assert not re.search(r"\d (measurement|predictors|numbers)", page)

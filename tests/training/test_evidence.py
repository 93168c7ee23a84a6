"""Scores of a source see the target's training patients and nobody else."""

import dataclasses

import numpy as np
import polars as pl
import pytest

from medgraft.training import evidence as module

from . import simulated as sim


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory):
    return sim.two_sources(tmp_path_factory.mktemp("pretrained"))


@pytest.fixture
def scores(pretrained, tmp_path, monkeypatch):
    """The scores of every replica, of this cohort and design."""

    def of(target):
        design = sim.design((60, 40), 120).with_columns(use=pl.lit("compare"))
        monkeypatch.setattr(module, "read", lambda _: target)
        monkeypatch.setattr(module, "read_design", lambda _: design)
        return design, module.evidence(tmp_path, pretrained, head=sim.HEADS["binary"])

    return of


def disturbed(target, rows):
    x, y = target.x.copy(), target.y.copy()
    x[rows], y[rows] = 3 * x[rows] + 9, 1 - y[rows]
    return dataclasses.replace(target, x=x, y=y)


def test_held_out_patients_change_no_score(scores):
    """Other measurements and outcomes of a replica's validation and test patients."""
    target = sim.cohort(120)
    design, before = scores(target)
    for r in range(2):
        others = np.setdiff1d(np.arange(120), design["train"][r].to_list())
        assert scores(disturbed(target, others))[1][r] == before[r]
        train = design["train"][r].to_list()[:20]
        changed = scores(disturbed(target, train))[1][r]
        assert all(changed[name] != value for name, value in before[r].items())


def test_numbers_are_those_of_the_scores(scores):
    """LEEP of a replica: its training patients, through its own source network."""
    _, found = scores(sim.cohort(120))
    assert found[0].keys() == {
        "leep", "nce", "logme", "h_score", "shrunk_h_score", "transrate", "gbc", "diagonal_gbc",
    }  # fmt: skip
    assert np.log(0.5) - 0.02 < found[0]["leep"] <= 0, "no worse than the prevalence"
    assert found[0]["leep"] != found[1]["leep"]

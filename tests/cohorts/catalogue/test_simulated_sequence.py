import json

import numpy as np
import pytest
from scipy.special import expit
from sklearn.metrics import roc_auc_score

from medgraft.cohorts.catalogue import simulated_sequence
from medgraft.cohorts.load import load
from medgraft.errors import CohortError


def made(folder, **options):
    """Both hospitals, and the truth about them."""
    simulated_sequence.materialise(folder / "sequence", None, **options)
    large, small = (load(folder / "sequence", site, "illness") for site in ("large", "small"))
    return large, small, json.loads((folder / "sequence" / "truth.json").read_text())


def true_risk(cohort, truth):
    """Risk [n] by the mechanism as truth.json states it, from the letters alone."""
    motifs = [motif for pair in truth["motifs"] for motif in pair]
    texts = ["".join("ACGT"[i] for i in row) for row in cohort.values]
    there = np.array([[m in text for m in motifs] for text in texts]) - 0.5
    weights = np.array(truth[cohort.name]["weights"])
    first, second = there[:, ::2], there[:, 1::2]
    score = first @ np.maximum(weights, 0) + second @ np.maximum(-weights, 0)
    return expit(truth[cohort.name]["intercept"] + 6 * score)


@pytest.mark.parametrize("relatedness", [1.0, 0.0, -1.0])
def test_truth_is_what_was_planted(tmp_path, relatedness):
    """The stated mechanism ranks patients as well as stated, within chance."""
    large, small, truth = made(tmp_path, relatedness=relatedness, target_patients=2000, shift=0.3)
    for cohort in (large, small):
        risk = true_risk(cohort, truth)
        auroc = roc_auc_score(cohort.y, risk)
        assert auroc == pytest.approx(truth[cohort.name]["best_auroc"], abs=0.03)
        assert cohort.y.mean() == pytest.approx(0.4, abs=0.04)


def test_relatedness_turns_the_mechanism(tmp_path):
    for relatedness in (1.0, 0.0, -1.0):
        _, _, truth = made(tmp_path / str(relatedness), relatedness=relatedness)
        source, target = (np.array(truth[site]["weights"]) for site in ("large", "small"))
        assert source @ target == pytest.approx(relatedness, abs=1e-9)


def test_shift_enriches_small_hospital_alone(tmp_path):
    large, small, _ = made(tmp_path / "plain", target_patients=1000)
    also, rich, _ = made(tmp_path / "shifted", target_patients=1000, shift=1.0)
    assert np.array_equal(large.values, also.values)
    before, after = (np.isin(cohort.values, [1, 2]).mean() for cohort in (small, rich))
    assert after - before == pytest.approx(0.15 / 2, abs=0.03)


def test_missing_outcomes_are_accounted_for(tmp_path):
    large, _, _ = made(tmp_path, missing=0.2)
    assert large.accounting.excluded["illness not recorded"] == pytest.approx(600, abs=100)
    assert len(large) + large.accounting.excluded["illness not recorded"] == 3000


def test_same_options_same_bytes(tmp_path):
    for name in ("one", "two"):
        made(tmp_path / name, missing=0.1)
    for path in (tmp_path / "one" / "sequence").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / "sequence" / path.name).read_bytes()


def test_pairs_have_equal_letters():
    """A motif and its decoy differ in order alone."""
    assert all(sorted(one) == sorted(two) for one, two in simulated_sequence.MOTIFS)


def test_impossible_share_is_refused(tmp_path):
    with pytest.raises(CohortError, match="shift: got 2, expected a share, 0 to 1"):
        made(tmp_path, shift=2.0)

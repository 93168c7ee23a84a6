import json

import numpy as np
import pytest

from medgraft.cohorts.catalogue import simulated_image
from medgraft.cohorts.load import load
from medgraft.errors import CohortError


def made(folder, **options):
    simulated_image.materialise(folder, None, **({"source_patients": 400} | options))
    truth = json.loads((folder / "truth.json").read_text())
    return load(folder, "large", "illness"), load(folder, "small", "illness"), truth


def found_shadows(films: np.ndarray) -> np.ndarray:
    """Which shadows each film has, by the best match of the pattern in any field: [n, 2 pairs]."""
    fields = films.astype(float).reshape(-1, 3, 8, 3, 8).transpose(0, 1, 3, 2, 4)[..., :7, :7]
    fields = fields - fields.mean((-2, -1), keepdims=True)
    found = []
    for _, drawn in simulated_image.PATTERNS:
        pattern = np.array([[dot == "1" for dot in row] for row in drawn.split()], float)
        pattern -= pattern.mean()
        found.append((fields * pattern).sum((-2, -1)).max((1, 2)) / (pattern**2).sum())
    return np.stack(found, axis=1) > simulated_image.SHADOW


def auroc(y, score):
    order = score[y == 1][:, None] - score[y == 0]
    return (order > 0).mean() + (order == 0).mean() / 2


def test_truth_ranks_best(tmp_path):
    """Shadows found by matching patterns, weighed by the truth, rank as well as was stated."""
    large, _, truth = made(tmp_path / "image", source_patients=3000)
    weights = np.array(truth["large"]["weights"])
    there = found_shadows(large.values[:, 0])
    score = there[:, ::2] @ np.maximum(weights, 0) + there[:, 1::2] @ np.maximum(-weights, 0)
    assert auroc(large.y, score) == pytest.approx(truth["large"]["best_auroc"], abs=0.02)
    assert large.y.mean() == pytest.approx(0.4, abs=0.03)


@pytest.mark.parametrize("relatedness", [1, 0, -1])
def test_relatedness_is_the_cosine(tmp_path, relatedness):
    _, _, truth = made(tmp_path / "image", relatedness=relatedness)
    ours, theirs = (np.array(truth[site]["weights"]) for site in ("large", "small"))
    assert ours @ theirs == pytest.approx(relatedness, abs=1e-9)


def test_shift_darkens_and_flattens(tmp_path):
    """Half of the contrast and 40 levels of light are gone at shift 1; the patients stay."""
    _, plain, _ = made(tmp_path / "plain")
    _, dark, _ = made(tmp_path / "dark", shift=1.0)
    assert np.array_equal(plain.y, dark.y)
    expected = 128 + (plain.values.astype(float) - 128) / 2 - 40
    assert np.abs(dark.values - expected).max() <= 1


def test_missing_outcomes_are_left_out(tmp_path):
    _, small, _ = made(tmp_path / "image", missing=0.25, target_patients=400)
    assert small.accounting.rows_read == 400
    assert small.accounting.excluded["illness not recorded"] == pytest.approx(100, abs=30)


def test_options_are_checked(tmp_path):
    with pytest.raises(CohortError) as caught:
        simulated_image.materialise(tmp_path / "image", None, shift=2.0)
    assert str(caught.value) == "shift: got 2, expected a share, 0 to 1"
    assert not (tmp_path / "image").exists()

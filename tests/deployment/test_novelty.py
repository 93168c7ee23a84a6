"""Who is too unlike those learned from: how often by mistake, and who is found."""

import numpy as np
import polars as pl
import pytest
from sklearn.covariance import LedoitWolf

from medgraft.cohorts.alphabets import PADDING, UNKNOWN
from medgraft.deployment.novelty import fit, learn, read, write
from medgraft.preparation.arrays import Prepared


def cohort(x: np.ndarray, *, modality: str, features: list[dict], patient=None) -> Prepared:
    rows = np.arange(len(x))
    patients = pl.DataFrame({"row": rows, "patient": rows if patient is None else patient})
    return Prepared(x, np.zeros(len(x)), patients, {"modality": modality, "features": features})


def numbers(width: int) -> list[dict]:
    return [{"name": f"lab{i}", "kind": "number", "categories": []} for i in range(width)]


def table(n: int, *, seed: int, width: int = 8) -> np.ndarray:
    """Correlated measurements in units of their own, every tenth missing."""
    stream = np.random.default_rng(seed)
    mix = np.random.default_rng(99).normal(size=(width, width))
    x = (stream.normal(size=(n, width)) @ mix) * 10.0 ** np.arange(width) + 5
    x[stream.random(x.shape) < 0.1] = np.nan
    return x


def test_distance_is_that_of_sklearn():
    """Ledoit and Wolf's covariance of standardised columns, no component left out."""
    x = np.random.default_rng(0).normal(size=(60, 8)) @ np.random.default_rng(1).normal(size=(8, 8))
    z = (x - x.mean(0)) / x.std(0)
    theirs = LedoitWolf(assume_centered=True).fit(z).mahalanobis(z) / 8
    np.testing.assert_allclose(fit(x).distances(x), theirs, rtol=1e-6)


@pytest.mark.parametrize(("patients", "expected"), [(40, 1 / 41), (300, 0.01)])
def test_few_of_the_same_are_refused(patients, expected):
    """Mean over 30 cohorts, each asked about 1,000 others."""
    refused = [
        np.mean(
            [
                reason != ""
                for reason in learn(
                    cohort(table(patients, seed=s), modality="table", features=numbers(8))
                ).reasons(table(1000, seed=1000 + s))
            ]
        )
        for s in range(30)
    ]
    assert expected / 3 < np.mean(refused) < expected + 0.005


def test_impossible_together_though_each_is_usual():
    """Two measurements that always agree: a patient in whom they do not is unlike all others."""
    stream = np.random.default_rng(0)
    one = stream.normal(size=200)
    x = np.stack([one, one + 0.1 * stream.normal(size=200), stream.normal(size=200)], axis=1)
    found = learn(cohort(x, modality="table", features=numbers(3)))
    usual, odd = found.reasons(np.array([[1.5, 1.5, 0.0], [1.5, -1.5, 0.0]]))
    assert usual == ""
    assert "most of all in lab0, lab1 " in odd or "most of all in lab1, lab0 " in odd


def test_unseen_category_alone_is_no_reason():
    """None of 80 patients has it: the next may."""
    stream = np.random.default_rng(0)
    features = [{"name": "stage", "kind": "category", "categories": ["I", "II", "III"]}]
    x = np.c_[stream.normal(size=(80, 4)), stream.integers(0, 2, 80)]
    found = learn(cohort(x, modality="table", features=numbers(4) + features))
    assert found.reasons(np.array([[0.0, 0.0, 0.0, 0.0, 2.0]])) == [""]


def test_what_never_varied_and_what_was_never_measured_do_not_count():
    x = np.c_[table(50, seed=0, width=3), np.full(50, 7.0), np.full(50, np.nan)]
    found = learn(cohort(x, modality="table", features=numbers(5)))
    new = np.array([[*np.nanmean(x[:, :3], axis=0), 1e9, 5.0]])
    assert found.reasons(new) == [""]


def films(n: int, *, seed: int) -> np.ndarray:
    """A bright disc somewhere near the middle on a dark ground."""
    stream = np.random.default_rng(seed)
    y, x = np.mgrid[:28, :28]
    at = 14 + stream.normal(size=(n, 2, 1, 1))
    disc = (y - at[:, 0]) ** 2 + (x - at[:, 1]) ** 2 < 60
    noise = stream.normal(0, 12, size=(n, 28, 28))
    return np.clip(60 + 120 * disc + noise, 0, 255).astype(np.uint8)[:, None]


def test_other_pictures_are_refused():
    found = learn(cohort(films(120, seed=0), modality="image", features=[]))
    same = films(300, seed=1)
    assert np.mean([r != "" for r in found.reasons(same)]) < 0.05
    assert all(found.reasons(255 - same[:50]))  # film and negative
    assert all(found.reasons(np.roll(same[:50], 12, axis=3)))  # cut elsewhere
    snow = np.random.default_rng(2).integers(0, 256, same[:50].shape, dtype=np.uint8)
    assert all(found.reasons(snow))


def test_other_sequences_are_refused():
    stream = np.random.default_rng(0)
    features = [{"name": "site", "kind": "sequence", "letters": "ACGT"}]

    def drawn(n: int, shares: list[float]) -> np.ndarray:
        return stream.choice(4, size=(n, 80), p=shares).astype(np.uint8)

    found = learn(cohort(drawn(200, [0.25] * 4), modality="sequence", features=features))
    assert np.mean([r != "" for r in found.reasons(drawn(400, [0.25] * 4))]) < 0.04
    assert all(found.reasons(np.zeros((3, 80), np.uint8)))  # poly-A
    assert all(found.reasons(np.tile(np.array([0, 3], np.uint8), (3, 40))))  # TATATA


def test_record_that_tells_nothing_is_refused():
    """But whoever leaves one thing known is answered: what may be missing, cohort.yaml says."""
    one_left = np.full((2, 8), np.nan)
    one_left[0, 3] = 5e3
    found = learn(cohort(table(60, seed=0), modality="table", features=numbers(8)))
    assert found.reasons(one_left) == ["", "no answer: every measurement is missing"]


def test_sequence_without_a_known_letter_is_refused():
    stream = np.random.default_rng(0)
    features = [{"name": "site", "kind": "sequence", "letters": "ACGT"}]
    tokens = stream.integers(0, 4, size=(200, 80), dtype=np.uint8)
    found = learn(cohort(tokens, modality="sequence", features=features))
    asked = np.full((3, 80), PADDING, np.uint8)
    asked[1], asked[2, :5] = UNKNOWN, 0
    asked[2, 5] = UNKNOWN
    nothing, unknown, few = found.reasons(asked)
    assert nothing == unknown == "no answer: no letter is known"
    assert "known" not in few


@pytest.mark.parametrize("shade", [0, 100, 255])
def test_image_of_one_shade_is_refused(shade):
    """Whatever the patients looked like: here every thumbnail is as likely as the next."""
    stream = np.random.default_rng(0)
    found = learn(cohort(stream.integers(0, 256, (60, 1, 8, 8)), modality="image", features=[]))
    alike = np.full((1, 1, 8, 8), shade, np.uint8)
    assert found.reasons(alike) == ["no answer: all pixels are alike"]
    alike[0, 0, 0, 0] ^= 1
    assert "alike" not in found.reasons(alike)[0]


def test_rows_of_one_patient_stand_together():
    """Ten rows each: whoever is left out is left out with all rows, so reach is of new patients."""
    stream = np.random.default_rng(0)
    person = stream.normal(size=(30, 6)).repeat(10, axis=0)
    x = person + 0.05 * stream.normal(size=person.shape)
    apart = learn(
        cohort(x, modality="table", features=numbers(6), patient=np.arange(30).repeat(10))
    )
    mixed = learn(cohort(x, modality="table", features=numbers(6)))
    assert apart.reach > mixed.reach


def test_written_and_read_is_the_same(tmp_path):
    x = table(60, seed=0)
    found = learn(cohort(x, modality="table", features=numbers(8)))
    write(tmp_path, found)
    again = read(tmp_path, {"modality": "table", "features": numbers(8)})
    new = table(50, seed=1) * 2
    assert again.reasons(new) == found.reasons(new)
    assert any(found.reasons(new))

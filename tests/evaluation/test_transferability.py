import numpy as np
import pytest
from scipy.special import softmax
from sklearn.linear_model import BayesianRidge

from medgraft.evaluation import transferability as of

I = np.arange(60)  # noqa: E741
Y = I % 3
FEATURES = np.sin(0.37 * np.outer(I + 1, np.arange(1, 6))) + 0.5 * (Y[:, None] == np.arange(5))
SAID = softmax(
    np.cos(0.21 * np.outer(I + 1, np.arange(1, 5))) + (Y[:, None] == np.arange(4)) * 0.8, axis=1
)
NOISE = np.random.default_rng(0).normal(size=(400, 4))
LABELS = np.random.default_rng(1).integers(3, size=400)


# Numbers of the authors' implementations on the same arrays.
@pytest.mark.parametrize(
    ("score", "reference"),
    [
        (of.leep(SAID, Y), -1.0078896),
        (of.nce(SAID, Y), -0.9742137),
        (of.logme(FEATURES, Y), -0.8532972),
        (of.h_score(FEATURES, Y), 0.2876181),
        (of.shrunk_h_score(FEATURES, Y), 0.0),
        (of.transrate(FEATURES, Y), 0.0278928),
        (of.gbc(FEATURES, Y), -5.2911041),
        (of.gbc(FEATURES, Y, spherical=False), -5.2696910),
    ],
)
def test_published_implementations_agree(score, reference):
    assert score == pytest.approx(reference, abs=6e-8)


def test_logme_at_its_fixed_point():
    """Where the authors stop is a little short of the largest evidence."""
    stopped, fixed = (of.logme(FEATURES, Y, tolerance=tolerance) for tolerance in (0.01, 1e-9))
    assert fixed == pytest.approx(-0.8532965, abs=6e-8)
    assert stopped < fixed


def test_evidence_is_sklearns():
    """Bayesian ridge with flat hyperpriors climbs the same evidence."""
    value = np.sin(I) + FEATURES[:, 0]
    flat = dict.fromkeys(("alpha_1", "alpha_2", "lambda_1", "lambda_2"), 0.0)
    ridge = BayesianRidge(fit_intercept=False, compute_score=True, tol=1e-10, max_iter=999, **flat)
    ridge.fit(FEATURES, value)
    evidence = of.log_evidence(FEATURES, value, tolerance=1e-9)
    assert evidence == pytest.approx(ridge.scores_[-1] / 60, abs=1e-6)


def test_perfect_source_reaches_the_bounds():
    known = np.eye(3)[Y]
    assert of.leep(known, Y) == pytest.approx(0)
    assert of.nce(known, Y) == pytest.approx(0)
    assert of.h_score(known[:, :2], Y) == pytest.approx(2)
    assert of.gbc(known[:, :2] + 1e-9 * FEATURES[:, :2], Y) == pytest.approx(0)


def test_uninformative_source_knows_the_prevalence():
    """Target classes are balanced: the entropy is log 3, and no feature tells them apart."""
    alike = np.full((60, 4), 0.25)
    assert of.leep(alike, Y) == pytest.approx(-np.log(3))
    assert of.nce(alike, Y) == pytest.approx(-np.log(3))
    assert of.gbc(NOISE, LABELS) == pytest.approx(-6, abs=0.05)
    assert of.h_score(NOISE, LABELS) == pytest.approx(0, abs=0.05)
    assert of.transrate(NOISE, LABELS) == pytest.approx(0, abs=0.05)


@pytest.mark.parametrize("name", of.OF_FEATURES)
def test_order_of_patients_does_not_matter(name):
    mixed = np.random.default_rng(2).permutation(60)
    score = of.OF_FEATURES[name]
    assert score(FEATURES[mixed], Y[mixed]) == pytest.approx(score(FEATURES, Y), abs=1e-9)


def test_more_features_than_patients_stay_finite():
    """And a unit that never fires changes nothing."""
    wide = np.c_[np.random.default_rng(3).normal(size=(60, 200)), np.zeros(60)]
    assert all(np.isfinite(score(wide, Y)) for score in of.OF_FEATURES.values())
    assert of.gbc(np.c_[FEATURES, np.zeros(60)], Y, spherical=False) == pytest.approx(
        of.gbc(FEATURES, Y, spherical=False)
    )


def test_one_class_is_undefined():
    assert np.isnan(of.logme(FEATURES, np.zeros(60)))
    assert np.isnan(of.gbc(FEATURES, np.zeros(60)))
    assert np.isnan(of.gbc(FEATURES, np.where(I == 0, 1, 0)))
    assert np.isnan(of.log_evidence(FEATURES, np.ones(60)))

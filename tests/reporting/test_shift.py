import pytest

from medgraft.reporting.canvas import house_style
from medgraft.reporting.shift import _covariates, _outcome, _so, drift_figure, rate


def apart(auroc, p):
    return {"auroc": auroc, "p": p, "source": 303, "target": 200}


SHARE = {
    "name": "yes", "unit": "", "share": True, "p": 1e-6, "p_holm": 1e-6,
    "source": {"value": 0.25, "low": 0.2, "high": 0.3},
    "target": {"value": 0.54, "low": 0.47, "high": 0.61},
}  # fmt: skip


def found_by(covariates, same, *, p_holm=1e-6, missing=None):
    outcome = [{**SHARE, "p_holm": p_holm}]
    return {
        "covariates": covariates, "same_outcome": same, "missing": missing, "outcome": outcome
    }  # fmt: skip


def test_conclusion_names_classifier_and_outcome():
    tests = found_by(apart(0.93, 0.001), apart(0.9, 0.001), missing=apart(0.88, 0.001))
    assert _covariates(tests) == [
        "Measurements differ: a classifier tells target from source with AUROC 0.93 (0.5: not at "
        "all; p = 0.001); by what is missing alone, 0.88."
    ]
    assert _outcome(tests) == [
        "The outcome differs: yes 25% (95 % CI 20% to 30%) in the source, 54% (95 % CI 47% to 61%) "
        "in the target (p <0.001)."
    ]


@pytest.mark.parametrize(
    ("same", "p_holm", "says"),
    [
        (apart(0.9, 0.001), 1e-6, "in more than how often the outcome comes"),
        (apart(0.51, 0.4), 1e-6, "nothing speaks against a difference in frequency alone"),
        (apart(0.51, 0.4), 0.6, "Not found is not none"),
        (None, 0.6, "do not use it unchecked"),
    ],
)
def test_what_follows_depends_on_both_tests(same, p_holm, says):
    (told,) = _so(found_by(apart(0.93, 0.001), same, p_holm=p_holm))
    assert says in told


def test_untested_is_said():
    tests = found_by(apart(None, None), None, p_holm=None)
    assert "could not be tested" in _covariates(tests)[0]
    assert "could not be tested" in _outcome(tests)[0]
    assert _so(tests) == []


def test_rate_of_events_has_its_unit():
    entry = {**SHARE, "share": False, "unit": "per year"}
    assert rate(entry, "source") == "0.250 per year (95 % CI 0.200 to 0.300)"


def test_figure_names_the_feature_furthest_apart():
    drift = [
        {"feature": "age", "ks": 0.2, "p": 1e-4, "standardised_difference": 0.3},
        {"feature": "sex", "total_variation": 0.3, "p": 1e-9},
    ]
    with house_style():
        figure = drift_figure(drift, {}, source=303, target=200)
        assert drift_figure([], {}, source=303, target=200) is None
    assert figure.title == "Source and target differ most in sex (distance 0.30)"
    assert figure.caption.startswith("The 2 of 2 shared features")


@pytest.mark.parametrize(
    ("p", "title"),
    [
        ((0.04, 0.03), "No single feature was found to differ between source and target beyond c"),
        ((0.04, None), "Source and target differ most in age (distance 0.20)"),
        ((0.02, 0.90), "Source and target differ most in age (distance 0.20)"),
    ],
)
def test_title_names_no_feature_within_chance(p, title):
    """After Holm's correction; the furthest apart may be one that nothing is known of."""
    drift = [
        {"feature": "age", "ks": 0.2, "p": p[0], "standardised_difference": 0.3},
        {"feature": "sex", "total_variation": 0.3, "p": p[1]},
    ]
    with house_style():
        alone = drift_figure(drift, {}, source=303, target=200)
        tests = found_by(apart(0.93, 0.001), None)
        together = drift_figure(drift, tests, source=303, target=200)
    assert alone.title.startswith(title)
    assert together.title.endswith("; all together do") == title.startswith("No single")


def test_figure_shows_all_three_tests():
    """Features, the classifiers' AUROC, the outcome's shares: the numbers drawn are those found."""
    drift = [{"feature": "age", "ks": 0.2, "total_variation": None, "standardised_difference": 0.3}]
    tests = found_by(apart(0.93, 0.001), apart(0.51, 0.4), missing=apart(None, None))
    with house_style():
        figure = drift_figure(drift, tests, source=303, target=200)
        without = drift_figure([], tests, source=303, target=200)
    features, whole, outcome = figure.panels
    assert [word for _, word in features["y"]["ticks"]] == ["age"]
    assert [word for _, word in whole["y"]["ticks"]] == ["all measurements", "same outcome only"]
    assert [text for *_, text in whole["texts"]] == ["0.93, p = 0.001", "0.51, p = 0.400"]
    assert [sorted({x for x, _ in span}) for span in outcome["spans"]] == [[0.2, 0.3], [0.47, 0.61]]
    assert without.panels == [whole, outcome]
    assert without.title == "How the cohorts differ"

import pytest

from medgraft.evaluation.thresholds import Cost, Rate, Sensitivity, Threshold
from medgraft.reporting.canvas import house_style
from medgraft.reporting.thresholds import thresholds_figure

from .drawn import labels, points, readings, spans
from .simulated import simulate

RATES = [Rate("sensitivity", 0.84, 0.71, 0.97, 0), Rate("specificity", 0.98, 0.95, 1.0, 0)]
TUNED = Threshold("tuned", 0.9, 0.2, 0.4, RATES)


def test_figure_draws_what_readings_hold(tmp_path, sheets):
    drawn = sheets("thresholds")
    many = simulate(tmp_path / "many", patients=160)
    told = readings(many, tmp_path)["threshold"]["strategies"]
    panels = drawn["thresholds"].axes
    names = labels(panels[0])
    assert names[0] == many.evaluation.champion.strategy
    assert set(names) == set(told) == set(many.study.strategies)
    for panel, name in zip(panels, ("sensitivity", "specificity"), strict=True):
        rates = [next(r for r in told[one]["rates"] if r["name"] == name) for one in names]
        assert panel.get_xlabel() == name
        assert points(panel) == pytest.approx(
            {i: r["value"] for i, r in enumerate(rates)}, abs=1e-5
        )
        for place, rate in enumerate(rates):
            assert spans(panel)[place] == pytest.approx((rate["low"], rate["high"]), abs=1e-5)


def test_stated_sensitivity_is_marked(binary, sheets):
    drawn = sheets("thresholds")
    with house_style():
        figure = thresholds_figure(
            binary.study, {"tuned": TUNED, "other": "too few cases"}, Sensitivity(0.9)
        )
    sensitivity, specificity = drawn["thresholds"].axes
    marks = [line.get_xdata()[0] for line in sensitivity.get_lines() if line.get_linestyle() == ":"]
    assert marks == [0.9]
    assert not [line for line in specificity.get_lines() if line.get_linestyle() == ":"]
    assert labels(sensitivity) == ["tuned"]
    assert figure.title == (
        "tuned: meant to flag 90% of the cases, the threshold flags 84% (71% to 97%) and spares "
        "98% of the others"
    )


def test_no_threshold_no_figure(binary):
    assert thresholds_figure(binary.study, {"tuned": "few cases"}, Sensitivity(0.9)) is None


def test_costs_stand_beside_those_without_a_model(binary, sheets):
    drawn = sheets("thresholds")
    case = binary.study.outcome == 1
    tuned = Threshold("tuned", 5.0, 0.2, 0.4, [Rate("cost", 0.31, 0.2, 0.42, 0)])
    with house_style():
        figure = thresholds_figure(binary.study, {"tuned": tuned}, Cost(5.0))
    (panel,) = drawn["costs"].axes
    assert points(panel) == {0: pytest.approx(31.0)}
    assert spans(panel)[0] == pytest.approx((20.0, 42.0))
    marks = [line.get_xdata()[0] for line in panel.get_lines() if line.get_linestyle() == ":"]
    assert marks == [pytest.approx(100 * min((~case).mean(), 5 * case.mean()))]
    assert figure.title == (
        "tuned: 100 patients cost as much as 31 false alarms (20 to 42); flagging all of them "
        f"{100 * (~case).mean():.0f}, none {500 * case.mean():.0f}"
    )

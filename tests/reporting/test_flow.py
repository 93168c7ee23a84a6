from types import SimpleNamespace

from medgraft.reporting.canvas import house_style
from medgraft.reporting.flow import flow_figure

ACCOUNTING = [
    {
        "cohort": "emergency", "rows_read": 1500, "rows_used": 1390, "patients": 1200,
        "excluded": {"outcome missing": 70, "in the target, too": 40},
    },
    {"cohort": "ward", "rows_read": 50, "rows_used": 49, "patients": 40,
     "excluded": {"outcome missing": 1}},
    {"cohort": "clinic", "rows_read": 30, "rows_used": 30, "patients": 30, "excluded": {}},
]  # fmt: skip


def drawn(accounting, **told):
    study = SimpleNamespace(patients=70, runs=10)
    with house_style():
        return flow_figure(study, accounting, target=["ward", "clinic"], networks=20, **told)


def texts(figure) -> list[str]:
    """What the boxes say, without the arrows' empty words."""
    return [words for *_, words in figure.panels[0]["texts"] if words]


def test_every_row_is_in_a_box():
    """Read, left out by reason, used, then what is done with them: source first."""
    assert texts(drawn(ACCOUNTING)) == [
        "Source: read\nemergency: 1,500 rows",
        "110 rows left out\n70: outcome missing\n40: in the target, too",
        "1,390 rows of\n1,200 patients used",
        "20 networks trained on them, for\nstrategies that use the source",
        "Target: read\nward: 50 rows\nclinic: 30 rows",
        "1 row left out\n1: outcome missing",
        "79 rows of\n70 patients used",
        "70 patients predicted in each of\n10 runs by models that had not\nseen them",
    ]
    title = "1,390 rows of the source and 79 of the target were used; 111 left out"
    assert drawn(ACCOUNTING).title == title


def test_checkpoint_was_not_trained_on_the_source():
    assert texts(drawn(ACCOUNTING, published=True))[3] == (
        "20 networks from a published\ncheckpoint, not trained on them,\n"
        "for strategies that use the source"
    )


def test_rare_reasons_are_counted():
    many = {f"reason {i}": 10 - i for i in range(6)}
    figure = drawn([{**ACCOUNTING[0], "excluded": many}, *ACCOUNTING[1:]])
    assert texts(figure)[1].split("\n") == [
        "45 rows left out", "10: reason 0", "9: reason 1", "8: reason 2", "7: reason 3",
        "2 more reasons",
    ]  # fmt: skip

from pathlib import Path

import pytest

from medgraft.reporting import text


def row(difference: float | None, verdict: str = "cannot tell", **more: object) -> dict:
    about = {"value": 0.8, "low": -0.1, "high": 0.2, "p_holm": 0.0004, "higher_is_better": True}
    return {**about, "difference": difference, "verdict": verdict, **more}


def verdict(**strategies: dict) -> dict:
    return {
        "sentence": "Transfer learning helps: tuned reaches AUROC 0.800.",
        "primary": "auroc",
        "reference": "scratch",
        "strategies": strategies,
        "champion": {"strategy": "tuned", "reason": "It beats scratch."},
    }


def test_terminal_shows_exactly_this():
    found = verdict(frozen=row(-0.02, low=-0.1, p_holm=0.31), tuned=row(0.05, "helps", low=0.01))
    assert text.terminal(found, report=Path("work/evaluation/report.html")) == (
        "Transfer learning helps: tuned reaches AUROC 0.800.\n\n"
        "strategy  auroc  difference [95 % CI]     p (Holm)  verdict\n"
        "tuned     0.800  +0.050 [+0.010, +0.200]  <0.001    helps\n"
        "frozen    0.800  -0.020 [-0.100, +0.200]  0.310     cannot tell\n"
        "Differences are from scratch.\n\n"
        "Champion: tuned. It beats scratch.\n\n"
        "Report: work/evaluation/report.html"
    )


def test_terminal_keeps_to_width():
    wide = row(-12345.678, low=-98765.4321, high=-11111.11, value=123456.789)
    found = verdict(**{"a_very_long_name_" * 5: wide})
    found["sentence"] = found["champion"]["reason"] = "many words " * 60
    lines = text.terminal(found, report=Path("report.html")).splitlines()
    assert max(map(len, lines)) <= 100


def test_terminal_without_comparison_says_so():
    shown = text.terminal(verdict(), report=Path("r.html"))
    assert shown.split("\n\n")[1] == "Champion: tuned. It beats scratch."


def test_best_first_follows_direction():
    lower = {"higher_is_better": False}
    rows = [row(0.1, **lower), row(None, **lower), row(-0.2, **lower)]
    assert [r["difference"] for r in text.best_first(rows)] == [-0.2, 0.1, None]


@pytest.mark.parametrize(
    ("value", "low", "high", "undefined", "expected"),
    [
        (0.5, 0.4, 0.6, 0, "0.500 [0.400, 0.600]"),
        (0.5, 0.4, 0.6, 3, "0.500 [0.400, 0.600] (undefined in 3 of 100 draws)"),
        (0.5, None, None, 40, "0.500 [undefined (40 of 100 draws)]"),
        (float("nan"), None, None, 100, "undefined (100 of 100 draws)"),
        (None, None, None, 0, "undefined"),
    ],
)
def test_score_admits_undefined_draws(value, low, high, undefined, expected):
    found = {"value": value, "low": low, "high": high, "undefined": undefined}
    assert text.score({**found, "silent_folds": 0, "folds": 50}, draws=100) == expected
    assert text.score({**found, "silent_folds": 3, "folds": 50}, draws=100) == (
        f"{expected} (3 of 50 test parts have nothing to compare)"
    )


def test_p_never_reads_zero():
    assert [text.p_value(p) for p in (0.0, 0.00099, 0.001, None)] == [
        "<0.001",
        "<0.001",
        "0.001",
        "–",
    ]

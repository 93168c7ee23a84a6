"""The comparison of runs as a browser shows it."""

from dataclasses import replace

import pytest

from medgraft.reporting import comparison
from medgraft.reporting.comparison import side_by_side

from .test_browser import DESK, PHONE, barriers, keep, requested
from .test_comparison import HASHES, finished

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def page(binary, tmp_path_factory):
    """Three runs that differ in patients, parameters and strategies."""
    first = finished(binary, "/home/clinic/first_cohort")
    fewer = {name: row for name, row in first.metrics.items() if name != "linear_probe"}
    second = replace(
        first, name="cannot tell: cleveland → va", metrics=fewer,
        params={"seed": "2", "finetune.optimizer.lr": "0.003", "strategies.fine_tune.init": "x"},
    )  # fmt: skip
    third = replace(first, name="mailed", params={}, sizes={}, hashes=HASHES | {"target": ""})
    path = tmp_path_factory.mktemp("comparison") / "comparison.html"
    path.write_text(comparison.page(side_by_side([first, second, third])))
    return path


@pytest.mark.parametrize("colours", ["light", "dark"])
@pytest.mark.parametrize("viewport", [DESK, PHONE], ids=["desk", "phone"])
def test_no_barrier_is_found(colours, viewport, browser, page):
    context = browser.new_context(viewport=viewport, color_scheme=colours, bypass_csp=True)
    opened = context.new_page()
    opened.goto(page.as_uri())
    keep(opened, f"comparison_{colours}_{viewport['width']}")
    found = barriers(opened)
    wide = opened.evaluate("document.documentElement.scrollWidth")
    context.close()
    assert found == []
    assert wide <= viewport["width"], "the page itself scrolls sideways"


def test_nothing_else_is_requested(browser, page):
    assert requested(browser, page) == [page.as_uri()]

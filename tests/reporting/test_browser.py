"""The report as a browser shows it; needs Chromium, which nothing is downloaded for."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medgraft.reporting import explanation
from medgraft.reporting.canvas import NAMES
from medgraft.reporting.readings import Asked, read_off
from medgraft.reporting.report import write

from .simulated import METRICS, Simulated

pytestmark = pytest.mark.slow

PHONE = {"width": 360, "height": 740}
DESK = {"width": 1280, "height": 900}
# Levels of axe-core that keep somebody from reading.
BARRIERS = ("serious", "critical")
# What a PDF says of a page is compressed, but not that there is one.
PDF_PAGE = re.compile(rb"/Type\s*/Page\b")


@pytest.fixture(scope="module")
def report(binary: Simulated, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report with everything that can be read off two classes."""
    folder: Path = tmp_path_factory.mktemp("evaluation")
    figures = read_off(
        binary.study, binary.evaluation, METRICS, prepared=binary.prepared,
        finetuned=binary.folder / "finetuned", asked=Asked(0.8, 0.9, 5.0), seed=0, folder=folder,
    )  # fmt: skip
    write(
        folder / "report.html", study=binary.study, evaluation=binary.evaluation, metrics=METRICS,
        prepared=binary.prepared, figures=figures,
        configured=binary.configured("Simulated patients."),
        provenance={"git_commit": "0123abc" * 5, "reproduce": "medgraft repro " * 9},
    )  # fmt: skip
    return folder / "report.html"


@pytest.fixture
def opened(browser: Any, report: Path) -> Iterator[Any]:
    """Call it with a context's options: the report in a fresh page."""
    contexts = []

    def _open(**options: Any) -> Any:
        contexts.append(browser.new_context(**options))
        page = contexts[-1].new_page()
        page.goto(report.as_uri())
        return page

    yield _open
    for context in contexts:
        context.close()


def keep(page: Any, name: str) -> None:
    """Leave a picture to look at where MEDGRAFT_SCREENSHOTS names a folder."""
    if folder := os.environ.get("MEDGRAFT_SCREENSHOTS"):
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


def requested(browser: Any, path: Path) -> list[str]:
    """Every address a page asks for, its own the first."""
    context = browser.new_context()
    asked: list[str] = []
    context.on("request", lambda request: asked.append(request.url))
    page = context.new_page()
    page.goto(path.as_uri())
    page.wait_for_load_state("networkidle")
    context.close()
    return asked


def barriers(page: Any) -> list[tuple[str, str, list[str]]]:
    """What axe-core finds serious: contrast, names, structure, what a keyboard reaches."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    found = axe.Axe().run(page).response
    assert len(found["passes"]) > 10, "axe-core has looked"
    return [
        (one["id"], one["impact"], [node["html"][:120] for node in one["nodes"]])
        for one in found["violations"]
        if one["impact"] in BARRIERS
    ]


def test_nothing_else_is_requested(browser, report):
    """The page itself, and not a font, picture or script more."""
    assert requested(browser, report) == [report.as_uri()]


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_contributions_of_pixels_are_shown(colours, browser, tmp_path):
    """Pictures inside the page are no addresses that it may not ask for."""
    grey = np.linspace(0, 1, 64).reshape(8, 8)
    figure = explanation.pixels(grey, 1 - grey, explanation.counts(80, 2))
    explanation.write(tmp_path / "page.html", strategy="pixel_cox", figure=figure)
    context = browser.new_context(color_scheme=colours)
    page, said = context.new_page(), []
    page.on("console", lambda message: said.append(message.text))
    page.goto((tmp_path / "page.html").as_uri())
    page.wait_for_load_state("networkidle")
    keep(page, f"pixels_{colours}")
    assert page.locator("svg image").count() >= 3
    context.close()
    assert said == []


@pytest.mark.parametrize("colours", ["light", "dark"])
@pytest.mark.parametrize("viewport", [DESK, PHONE], ids=["desk", "phone"])
def test_no_barrier_is_found(colours, viewport, opened):
    page = opened(viewport=viewport, color_scheme=colours, bypass_csp=True)
    keep(page, f"{colours}_{viewport['width']}")
    assert barriers(page) == []


def test_barrier_would_be_found(opened):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    page = opened(bypass_csp=True)
    page.evaluate("document.querySelector('.kicker').style.color = '#ddd'")
    violations = axe.Axe().run(page).response["violations"]
    assert "color-contrast" in {one["id"] for one in violations}


def test_dark_is_dark(opened):
    ground = "getComputedStyle(document.body).backgroundColor"
    assert opened(color_scheme="light").evaluate(ground) == "rgb(255, 255, 255)"
    assert opened(color_scheme="dark").evaluate(ground) == "rgb(22, 24, 27)"


GROUND = "getComputedStyle(document.querySelector('figure svg path')).fill"
PALETTE = "names => names.map(n => getComputedStyle(document.body).getPropertyValue('--' + n))"


def test_figures_follow_the_page(opened):
    """Dark in the dark, but not on paper."""
    assert opened(color_scheme="light").evaluate(GROUND) == "rgb(255, 255, 255)"
    dark = opened(color_scheme="dark")
    assert dark.evaluate(GROUND) == "rgb(22, 24, 27)"
    dark.emulate_media(media="print")
    assert dark.evaluate(GROUND) == "rgb(255, 255, 255)"


def lightness(colour: str) -> float:
    """Relative luminance of `#rrggbb`, as in WCAG 2."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return float(np.dot((0.2126, 0.7152, 0.0722), linear))


def test_marks_stand_out_in_the_dark(opened):
    """Three to one against the ground, as WCAG 2 asks of graphics."""
    names = sorted(set(NAMES.values()) - {"faint", "band"})
    found = opened(color_scheme="dark").evaluate(PALETTE, names)
    light = {name: lightness(colour.strip()) for name, colour in zip(names, found, strict=True)}
    ground = light.pop("paper")
    assert len(light) == 7
    assert min(light.values()) + 0.05 >= 3 * (ground + 0.05)


def test_phone_needs_no_sideways_scrolling(opened):
    """Of the page; a wide table or figure scrolls in its own frame."""
    page = opened(viewport=PHONE)
    wide = page.evaluate("document.documentElement.scrollWidth")
    assert wide <= PHONE["width"]
    inside = page.evaluate(
        "[...document.querySelectorAll('main *')]"
        ".filter(e => !e.closest('.scroll') && e.getBoundingClientRect().right > innerWidth + 1)"
        ".map(e => e.outerHTML.slice(0, 80))"
    )
    assert inside == []


def test_first_screen_answers(opened):
    """On a phone, in its upper half: the answer, before anything that explains it."""
    box = opened(viewport=PHONE).locator(".verdict .sentence strong").bounding_box()
    assert box["y"] + box["height"] < PHONE["height"] / 2


def test_keyboard_reaches_the_verdict(opened):
    page = opened()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the verdict"
    assert page.locator(".skip").bounding_box()["x"] >= 0, "focused, but out of sight"


def test_print_loses_nothing(opened):
    """On A4: no part is wider than the paper, dark becomes light, and the menu is gone."""
    page = opened(viewport={"width": 680, "height": 960}, color_scheme="dark")
    page.emulate_media(media="print")
    assert not page.locator("nav").is_visible()
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
    wide = page.evaluate(
        "[...document.querySelectorAll('figure, table')]"
        ".filter(part => part.getBoundingClientRect().right > innerWidth)"
        ".map(part => part.innerText.slice(0, 60))"
    )
    assert wide == []
    assert 3 < len(PDF_PAGE.findall(page.pdf(format="A4"))) < 40

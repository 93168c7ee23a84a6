import re
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from html import escape
from io import BytesIO
from typing import Any

from medgraft.evaluation.predictions import Study
from medgraft.evaluation.sentence import counted
from medgraft.reporting.panels import Panel, panels

WIDTH = 7.5
"""Inches; one column of the report."""
INK = "#222222"
# Okabe & Ito 2008 (Color Universal Design): told apart by colour-blind eyes and, in this order, by
# their lightness in grey print.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#7A3E6B")
# What report.css calls the colours on a page, which has others for the dark.
NAMES = {
    **dict.fromkeys(("#000000", INK), "ink"),
    **dict.fromkeys(("#555555", "#666666", "#767676"), "quiet"),
    **dict.fromkeys(("#8a8a8a", "#8c8c8c", "#999999", "#cccccc"), "middle"),
    "#e6e6e6": "faint",
    "#ffffff": "paper",
    "#9cc3dd": "band",
    **dict(zip(map(str.lower, COLOURS), ("blue", "orange", "green", "purple"), strict=True)),
}
DASHES = ("-", "--", "-.", ":")
STYLE = {
    "svg.hashsalt": "medgraft",
    "svg.fonttype": "path",
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "text.parse_math": False,  # a name may hold a dollar sign
    "text.color": INK,
    "axes.edgecolor": "#767676",
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 9,
    "xtick.color": INK,
    "ytick.color": INK,
    "lines.linewidth": 1.6,
    "figure.titlesize": 11,
    "figure.titleweight": "bold",
}
UNDATED = {"Date": None, "Creator": None, "Format": None, "Type": None}
BOILERPLATE = re.compile(
    r"<\?xml.*?\?>|<!DOCTYPE.*?>|<!--.*?-->|<metadata>.*?</metadata>|<style.*?</style>", re.DOTALL
)
COLOUR = re.compile("|".join(NAMES), re.IGNORECASE)
REFERENCE = re.compile(r'(\bid="|href="#|url\(#)')


@dataclass(frozen=True)
class Figure:
    """A drawn figure: its message, what is drawn of how many patients, the file, the numbers."""

    name: str
    title: str
    caption: str
    svg: str
    panels: list[Panel] = field(default_factory=list)

    @property
    def numbers(self) -> dict[str, Any]:
        """What a reader can take from it without measuring the drawing."""
        return {"title": self.title, "caption": self.caption, "panels": self.panels}

    def inline(self) -> str:
        """Return the SVG element to put into a page, named by its title for those who cannot see.

        Its ids are made unique among the figures of the page; the caption is to have the id
        <name>-caption. Its colours are the page's where that has any of their names.
        """
        svg = REFERENCE.sub(rf"\g<1>{self.name}-", BOILERPLATE.sub("", self.svg)).strip()
        svg = COLOUR.sub(lambda found: f"var(--{NAMES[found[0].lower()]}, {found[0]})", svg)
        described = f'aria-label="{escape(self.title)}" aria-describedby="{self.name}-caption"'
        return svg.replace("<svg ", f'<svg role="img" {described} ', 1)


@contextmanager
def house_style() -> Iterator[None]:
    """Draw alike on every machine, whatever the user's matplotlibrc says."""
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        yield


def sheet(height: float, **grid: Any) -> tuple[Any, Any]:
    """Return an empty matplotlib figure, `height` inches tall, and its axes."""
    from matplotlib.figure import Figure as Sheet  # not pyplot, which keeps global state

    figure = Sheet(figsize=(WIDTH, height), layout="constrained")
    return figure, figure.subplots(**grid)


def finish(figure: Any, name: str, *, title: str, caption: str) -> Figure:
    """Title a matplotlib figure and make it an SVG, with the same bytes every time."""
    figure.suptitle(textwrap.fill(title, 80), x=0.01, ha="left")
    svg = BytesIO()
    figure.savefig(svg, format="svg", metadata={**UNDATED, "Title": title})
    return Figure(name, title, caption, svg.getvalue().decode(), panels(figure))


def size(study: Study) -> str:
    """Write how many patients, rows and runs a figure rests on."""
    rows = len(study.outcome)
    patients = counted(study.patients, "patient")
    records = "" if rows == study.patients else f" ({counted(rows, 'row')})"
    return f"{patients}{records}, {counted(study.runs, 'run')}"

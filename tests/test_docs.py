"""The documentation: whole, and nothing in it that is not so."""

import ast
import os
import re
import subprocess
import sys

import pytest
import yaml

from medgraft import __version__
from test_tutorials import ROOT

DOCS = ROOT / "docs"
REPORTING = ROOT / "src" / "medgraft" / "reporting"


def figures() -> set[str]:
    """Names that `finish` is called with anywhere in `reporting/`, literally or as NAME."""
    found = set()
    for path in REPORTING.glob("*.py"):
        tree = ast.parse(path.read_text())
        named = {
            node.targets[0].id: node.value.value
            for node in tree.body
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "finish":
                name = node.args[1]
                found.add(named[name.id] if isinstance(name, ast.Name) else name.value)
    return found


def test_every_figure_is_explained():
    page = (DOCS / "reading.md").read_text()
    rows = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `")]
    told = set(re.findall(r"`(\w+)`", "".join(rows)))
    assert len(figures()) > 20
    assert told - {"helps", "harms", "cannot tell"} == figures()


def test_every_strategy_named_exists():
    page = (DOCS / "choosing.md").read_text()
    table = [line for line in page.splitlines() if line.startswith("| ")]
    named = set(re.findall(r"`(\w+)`", "".join(line.split("|")[2] for line in table)))
    strategies = {path.stem for path in (ROOT / "conf" / "strategies").glob("*.yaml")}
    assert len(named) > 15
    assert named <= strategies


def test_citation_and_changelog_are_of_this_version():
    """Neither is looked at when a version is raised."""
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert (citation["version"], citation["license"]) == (__version__, "Apache-2.0")
    assert set(citation) >= {"cff-version", "message", "title", "authors"}
    assert f"\n## {__version__}" in (ROOT / "CHANGELOG.md").read_text()


def test_links_of_contributors_lead_somewhere():
    for name in ("CONTRIBUTING.md", "CHANGELOG.md"):
        text = (ROOT / name).read_text()
        links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text)
        paths = re.findall(r"`((?:docs|tests)/[\w./-]+)`", text)
        assert [path for path in [*links, *paths] if not (ROOT / path).exists()] == [], name


@pytest.mark.slow
def test_pages_are_built_strictly(tmp_path):
    """A dead link, a missing anchor or a page that no menu names is an error."""
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "true"}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    pages = [page.read_text() for page in tmp_path.rglob("*.html")]
    loaded = re.findall(
        r'<(?:script|link|img)[^>]* (?:src|href)="?(https?:[^" >]+)', "".join(pages)
    )
    assert [url for url in loaded if "canonical" not in url] == [], "loads from another machine"
    api = (tmp_path / "api" / "index.html").read_text()
    for name in ("deployment.predict.predict", "evaluation.metrics.metric.Metric", "errors"):
        assert f'id="medgraft.{name}"' in api

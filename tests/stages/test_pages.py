"""MLflow's own pages, as somebody who ran two experiments reads them; needs Chromium."""

import os
import re
import shutil
import sys
from collections import defaultdict
from types import SimpleNamespace

import pytest

from medgraft.tracking import session
from services import free_port, running

from .project import SMALL, STRATEGIES, done, medgraft

pytestmark = pytest.mark.slow

PATIENCE = 60_000  # ms, for pages on a busy machine
DESK = {"width": 2200, "height": 1600}
INTERVAL = ("auroc_low", "auroc", "auroc_high")
DIFFERENCE = ("difference_low", "difference", "difference_high")
# Telemetry off, and none of the processes that serve what is not looked at here.
QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
}
# Of a table that draws only what is in sight: each cell's place and text.
CELLS = """() => [...document.querySelectorAll(
    '.ReactVirtualized__Grid__innerScrollContainer > div')].map(cell => {
        const box = cell.getBoundingClientRect();
        return [cell.style.top, box.x, cell.innerText.trim()];
    })"""


@pytest.fixture(scope="module")
def two_experiments(browser, finished_once, tmp_path_factory):
    """A project run twice, with two learning rates; its folder and MLflow's runs, newest first."""
    folder = tmp_path_factory.mktemp("pages") / "project"
    shutil.copytree(finished_once, folder, symlinks=True)
    done(medgraft(folder, "repro", *SMALL, "finetune.optimizer.lr=0.01"))
    with session(f"sqlite:///{folder / 'mlflow' / 'mlflow.db'}", folder) as client:
        experiment = client.get_experiment_by_name("breast").experiment_id
        runs = list(client.search_runs([experiment], max_results=1000))
    assert sum(run.data.tags["dvc_stage"] == "pipeline" for run in runs) == 2
    return SimpleNamespace(folder=folder, experiment=experiment, runs=runs)


@pytest.fixture(scope="module")
def server(two_experiments):
    """The address of `mlflow ui` on this machine alone."""
    port = free_port()
    address, folder = f"http://127.0.0.1:{port}", two_experiments.folder
    command = [sys.executable, "-m", "mlflow", "ui", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--workers", "1", "--backend-store-uri", "sqlite:///mlflow/mlflow.db"]
    with running(
        command, f"{address}/health", folder / "server.log", cwd=folder, env=os.environ | QUIET
    ):
        yield address


@pytest.fixture
def opened(browser, server, tmp_path):
    """Call it with what follows `#` of an address; leaves a picture of every page in tmp_path."""
    context = browser.new_context(viewport=DESK)
    context.set_default_timeout(PATIENCE)
    # MLflow's pages ask strangers about news; nothing may leave this machine.
    context.route(lambda url: not url.startswith(server), lambda route: route.abort())

    def _open(place: str):
        page = context.new_page()
        page.goto(f"{server}/#{place}")
        return page

    yield _open
    for number, page in enumerate(context.pages):
        page.screenshot(path=tmp_path / f"{number}.png", full_page=True)
    context.close()


@pytest.fixture
def followed(opened, two_experiments):
    """Call it with a link of the experiment's description: the page behind it."""

    def _follow(link: str):
        place = f"/experiments/{two_experiments.experiment}/runs?workflowType=machine_learning"
        first = opened(place)
        with first.context.expect_page() as new:
            first.get_by_role("link", name=link, exact=True).first.click()
        page = new.value
        page.get_by_role("link", name=STRATEGIES[0], exact=True).first.wait_for()
        return page

    return _follow


@pytest.fixture
def view(followed):
    """The strategies of both experiments, reached as a reader does."""
    return followed("Strategies, best first")


def strategies(project, *, of: int = 0) -> dict:
    """Strategy -> run, of the newest pipeline run (`of=1`: the one before)."""
    pipelines = [run for run in project.runs if run.data.tags["dvc_stage"] == "pipeline"]
    parent = pipelines[of].info.run_id
    return {
        run.info.run_name: run
        for run in project.runs
        if run.data.tags.get("mlflow.parentRunId") == parent and run.info.run_name in STRATEGIES
    }


def compare(page) -> None:
    """Press Compare, and wait for the page that it opens."""
    page.get_by_role("button", name="Compare", exact=True).click()
    page.get_by_text("Run details").wait_for()
    page.get_by_role("switch", name="Parameters - Show diff only").wait_for()


def parameters(page) -> dict[str, list[str]]:
    """Name -> value in each run, as the Compare page shows them."""
    table = page.get_by_role("table").nth(1)
    rows = [
        [cell.strip() for cell in row.locator("th, td, [role=cell]").all_inner_texts()]
        for row in table.get_by_role("row").all()
    ]
    return {row[0]: row[1:] for row in rows}


def metrics(page) -> dict[str, list[str]]:
    """Name -> value in each run; the table is scrolled, since it draws only what is in sight."""
    cells: dict[str, dict[float, str]] = defaultdict(dict)
    body = page.locator(".ReactVirtualized__Grid").last
    height = body.evaluate("grid => grid.scrollHeight")
    for top in range(0, height, 150):
        body.evaluate("(grid, top) => { grid.scrollTop = top; }", top)
        page.wait_for_timeout(200)
        for row, x, text in page.evaluate(CELLS):
            cells[row][x] = text
    rows = ([text for _, text in sorted(row.items())] for row in cells.values())
    return {row[0]: row[1:] for row in rows}


def test_view_says_by_how_much(view):
    """One row per strategy and run, best first, with intervals, difference and verdict."""
    names = view.get_by_role("link", name=re.compile(f"^({'|'.join(STRATEGIES)})$"))
    assert sorted(names.all_inner_texts()) == sorted(2 * STRATEGIES)
    heads = set(view.get_by_role("columnheader").all_inner_texts())
    assert {"verdict", *INTERVAL, *DIFFERENCE, "p_holm"} <= heads
    shown = view.locator(".ag-center-cols-container [role=row] [col-id='metrics.`auroc`']")
    values = [float(text) for text in shown.all_inner_texts()]
    assert len(values) == 2 * len(STRATEGIES)
    assert values == sorted(values, reverse=True)


def test_bars_say_by_how_much(followed):
    """The primary metric and the difference, side by side, a bar for each strategy and run."""
    page = followed("as bars")
    page.get_by_text("Which strategy, by how much").wait_for()
    bars = page.locator(".js-plotly-plot .bars .point")
    bars.nth(2 * 2 * len(STRATEGIES) - 1).wait_for(state="attached")
    assert bars.count() == 2 * 2 * len(STRATEGIES)
    titles = page.get_by_text(re.compile("^(auroc|difference)$")).all_inner_texts()
    assert set(titles) == {"auroc", "difference"}


def test_compare_answers(view, two_experiments):
    """Which strategy, by how much: names, the primary metric with its interval, the difference."""
    view.get_by_role("checkbox", name="Select all runs").check()
    compare(view)
    names = view.get_by_role("row").filter(has_text="Run Name:").locator("td, th").all_inner_texts()
    assert sorted(names[1:]) == sorted(2 * STRATEGIES)
    shown = metrics(view)
    for place, name in enumerate(names[1:]):
        known = [strategies(two_experiments, of=of)[name].data.metrics for of in (0, 1)]
        told = [float(shown[metric][place]) for metric in (*INTERVAL, *DIFFERENCE)]
        assert any(
            told == pytest.approx([run[metric] for metric in (*INTERVAL, *DIFFERENCE)], abs=5e-4)
            for run in known
        )


def test_compare_shows_what_differs(view):
    """Between strategies their choices, between experiments the learning rate; nothing else."""
    view.get_by_role("checkbox", name="Select all runs").check()
    compare(view)
    everything = parameters(view)
    assert everything["encoder"] == 2 * len(STRATEGIES) * ["Mlp"]
    view.get_by_role("switch", name="Parameters - Show diff only").click()
    view.get_by_role("cell", name="encoder", exact=True).wait_for(state="detached")
    differing = parameters(view)
    assert all(len(set(values)) > 1 for values in differing.values())
    assert differing == {k: v for k, v in everything.items() if len(set(v)) > 1}
    assert set(differing["finetune.optimizer.lr"]) == {"0.001", "0.01"}
    assert {name for name in differing if not name.startswith("strategy")} == {
        "finetune.optimizer.lr"
    }


def test_chart_starts_from_the_strategy(opened, two_experiments):
    """By the link of a pipeline run's description: its strategies, and the metric that decides."""
    run_id = strategies(two_experiments)["scratch"].data.tags["mlflow.parentRunId"]
    page = opened(f"/experiments/{two_experiments.experiment}/runs/{run_id}")
    page.get_by_text("Show more").click()
    figure = page.locator("img[src*='comparison.svg']")
    figure.wait_for()
    page.wait_for_function("image => image.naturalWidth > 100", arg=figure.element_handle())
    with page.context.expect_page() as followed:
        page.get_by_role("link", name="Compare the strategies").click()
    chart = followed.value
    chart.get_by_text("Run details").wait_for()
    titles = chart.locator(".js-plotly-plot .axis-title")
    titles.first.wait_for()
    axes = titles.all_text_contents()
    assert axes[0] == "strategy"
    assert axes[-1] == "auroc"


def test_cohorts_are_shown(opened, two_experiments):
    """On a strategy's page, with digest and use, and how many patients there are."""
    run = strategies(two_experiments)["fine_tune"]
    used = {one.dataset.name: one.dataset for one in run.inputs.dataset_inputs}
    page = opened(f"/experiments/{two_experiments.experiment}/runs/{run.info.run_id}")
    page.get_by_text(f"({used['reference_laboratory'].digest})").first.click()
    page.get_by_text("patients: 497").wait_for()
    page.get_by_text(f"clinic ({used['clinic'].digest})").click()
    page.get_by_text("patients: 72").wait_for()


def test_model_says_how_to_ask_it(opened):
    """The registered model's page, and that of the version that the alias is on."""
    page = opened("/models/medgraft-breast")
    page.get_by_text("for patients of").first.wait_for()
    assert page.get_by_text("models:/medgraft-breast@champion").count() == 1
    page.get_by_role("link", name=re.compile("^Version")).first.click()
    page.get_by_text("This is").first.wait_for()
    page.get_by_text("@ champion").first.wait_for()

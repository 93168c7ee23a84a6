"""A team's MLflow server: its runs in PostgreSQL, its files in an S3 store, accounts."""

import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from base64 import b64encode
from collections import Counter, defaultdict
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from medgraft import entries
from medgraft.config import read_params
from medgraft.runs import read_run
from medgraft.stages.made import writer
from medgraft.stages.run import WORK
from medgraft.stages.track import stages
from medgraft.tracking import WRITER, session
from services import STORE_KEYS, free_port, mlflow_server, postgres_server, s3_store

from .project import SMALL, done, medgraft

pytestmark = pytest.mark.slow
CLIENTS, AWAY = 8, 20
BUCKET, DATABASE_PASSWORD = "mlflow-artifacts", "of the database alone"
KEEPER, TEAM = ("keeper", "a word of more than twelve"), ("anna", "ben")
WORD = "another of more than twelve"
ACCOUNTS = """\
[mlflow]
default_permission = EDIT
database_uri = {address}
auth_cache_ttl_seconds = 60
"""


class Team:
    """The three servers; `mlflow` can be killed and begun again."""

    def __init__(self, folder, database, store) -> None:
        self.folder, self.database, self.store, self.port = folder, database, store, free_port()
        self.uri = f"http://127.0.0.1:{self.port}"
        (folder / "accounts.ini").write_text(ACCOUNTS.format(address=database.address))
        self.up = ExitStack()

    def start(self) -> None:
        told = {"MLFLOW_S3_ENDPOINT_URL": self.store, "PGPASSWORD": DATABASE_PASSWORD}
        told |= {"MLFLOW_AUTH_ADMIN_USERNAME": KEEPER[0], "MLFLOW_AUTH_ADMIN_PASSWORD": KEEPER[1]}
        server = mlflow_server(
            self.folder,
            self.port,
            "--app-name",
            "basic-auth",
            store=self.database.address,
            artifacts=f"s3://{BUCKET}",
            env=told | STORE_KEYS,
        )
        self.up.enter_context(server)

    def kill(self) -> None:
        self.up.close()

    def rows(self, query: str) -> list[tuple]:
        """From the database itself."""
        import psycopg

        address = self.database.address.replace("+psycopg", "")
        with closing(psycopg.connect(address, password=DATABASE_PASSWORD)) as connection:
            return connection.execute(query).fetchall()

    def ask(self, path: str, account: tuple[str, str] | None, **options) -> bytes:
        headers = {"Content-Type": "application/json"}
        if account:
            headers["Authorization"] = f"Basic {b64encode(':'.join(account).encode()).decode()}"
        request = urllib.request.Request(f"{self.uri}{path}", headers=headers, **options)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.read()


@pytest.fixture
def team(tmp_path):
    pytest.importorskip("psycopg", reason="needs psycopg (the extra postgres)")
    folder = tmp_path / "server"
    folder.mkdir()
    with postgres_server(DATABASE_PASSWORD) as database, s3_store(folder, BUCKET) as store:
        team = Team(folder, database, store)
        team.start()
        try:
            for name in TEAM:
                body = f'{{"username": "{name}", "password": "{WORD}"}}'.encode()
                team.ask("/api/2.0/mlflow/users/create", KEEPER, data=body)
            yield team
        finally:
            team.kill()


def log(folder, team, account) -> subprocess.Popen:
    """The last stage, as DVC starts it; no keys of the store are at hand."""
    told = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    told |= {"MLFLOW_TRACKING_USERNAME": account, "MLFLOW_TRACKING_PASSWORD": WORD}
    told |= {"PYTHONPATH": str(folder / "src"), "OMP_NUM_THREADS": "1"}
    with (folder / "output.txt").open("a") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "medgraft.stages.track"],
            cwd=folder,
            env=told,
            stdout=output,
            stderr=output,
        )


def wait_for(wanted, *, seconds: int, told) -> None:
    until = time.monotonic() + seconds
    while not wanted():
        assert time.monotonic() < until, told()
        time.sleep(0.1)


def expected(folder, monkeypatch) -> dict[str, entries.Entry]:
    """What the project at `folder` has to tell, by stage."""
    monkeypatch.chdir(folder)
    params = stages(read_params(folder))
    return entries.entries(WORK, params=params, tags={}, status="FINISHED")


def check_runs(team, folders, monkeypatch) -> None:
    """One finished pipeline run for each project, whole; nothing seems to run still."""
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", TEAM[0])
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", WORD)
    with session(team.uri, WORK) as client:
        place = client.get_experiment_by_name("breast")
        assert place.artifact_location.startswith("mlflow-artifacts:/"), "clients need store keys"
        runs = client.search_runs([place.experiment_id], max_results=5000)
        statuses = Counter(run.info.status for run in runs)
        assert statuses["KILLED"] > 0, "no run was open when the server was killed"
        assert statuses.keys() <= {"FINISHED", "FAILED", "KILLED"}
        finished = [run for run in runs if run.info.status == "FINISHED"]
        pipelines = [run for run in finished if run.data.tags["dvc_stage"] == entries.PIPELINE]
        by_writer = {run.data.tags[WRITER]: run.info.run_id for run in pipelines}
        assert len(pipelines) == CLIENTS
        metrics, files = logged_metrics(team), 0
        for folder in folders:
            found, parent = expected(folder, monkeypatch), by_writer.pop(writer())
            ids = {entries.PIPELINE: parent} | {
                run.data.tags["dvc_stage"]: run.info.run_id
                for run in finished
                if run.data.tags.get("mlflow.parentRunId") == parent
            }
            assert ids.keys() == found.keys()
            for stage, entry in found.items():
                assert metrics[ids[stage]] == points(entry), stage
                files += same_files(client, ids[stage], entry, folder / "from_server" / stage)
        assert by_writer == {}
        assert read_run(parent).metrics == read_run(".").metrics, "report --compare"
        assert files > CLIENTS * len(entries.RESULTS)
        version = client.get_model_version_by_alias("medgraft-breast", "champion")
        into = folders[0] / "from_server"
        champion = client.download_artifacts(version.run_id, "model/artifacts/champion", str(into))
        assert contents(Path(champion)) == contents(folders[0] / WORK / "champion")


def logged_metrics(team) -> dict[str, dict[tuple[str, int], float]]:
    """Every point of every metric by run, as the database has it, without system metrics."""
    found: dict = defaultdict(dict)
    for run, key, step, value in team.rows("SELECT run_uuid, key, step, value FROM metrics"):
        if not key.startswith("system/"):
            found[run][key, step] = value
    return found


def points(entry) -> dict[tuple[str, int], float]:
    return {(name, 0): value for name, value in entry.metrics.items()} | entry.curves


def same_files(client, run_id: str, entry, into) -> int:
    """How many files of the run came back from the server, all equal to those on disk."""
    sent = {f"{folder}/{path.name}" if folder else path.name: path.read_bytes()
            for path, folder in entry.artifacts.items()}  # fmt: skip
    into.mkdir(parents=True)
    names = [one.path for one in client.list_artifacts(run_id) if one.path != "model"]
    for name in names:
        client.download_artifacts(run_id, name, str(into))
    assert contents(into) == sent
    return len(sent)


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def check_outsiders(team) -> None:
    """Runs, models and files: each answers a member, and nobody without the right password."""
    ((run, place),) = team.rows("SELECT run_uuid, artifact_uri FROM runs WHERE name LIKE '%→%' "
                                "AND status = 'FINISHED' LIMIT 1")  # fmt: skip
    stored = place.removeprefix("mlflow-artifacts:/")
    asked = {
        "/": None,
        "/api/2.0/mlflow/experiments/get-by-name?experiment_name=breast": None,
        "/api/2.0/mlflow/runs/search": b'{"experiment_ids": ["1"]}',
        f"/api/2.0/mlflow/runs/get?run_id={run}": None,
        f"/api/2.0/mlflow/artifacts/list?run_id={run}": None,
        f"/api/2.0/mlflow-artifacts/artifacts/{stored}/verdict.json": None,
        f"/get-artifact?path=verdict.json&run_uuid={run}": None,
        "/api/2.0/mlflow/registered-models/search": None,
    }
    for path, body in asked.items():
        assert team.ask(path, (TEAM[1], WORD), data=body)
        for account in (None, (TEAM[1], f"{WORD} not"), ("visitor", WORD)):
            with pytest.raises(urllib.error.HTTPError) as refused:
                team.ask(path, account, data=body)
            assert refused.value.code == 401, path


def test_eight_at_once_and_the_server_away_lose_nothing(finished_once, team, tmp_path, monkeypatch):
    first, *others = folders = [tmp_path / f"project{number}" for number in range(CLIENTS)]
    shutil.copytree(finished_once, first, symlinks=True)
    shutil.rmtree(first / "mlflow")
    done(medgraft(first, "compose", *SMALL, "tracking=server", f"tracking.uri={team.uri}"))
    for folder in others:
        shutil.copytree(first, folder, symlinks=True)
    accounts = {folder: TEAM[number % len(TEAM)] for number, folder in enumerate(folders)}

    def told() -> str:
        return "\n".join((folder / "output.txt").read_text()[-500:] for folder in folders)

    commands = {folder: log(folder, team, accounts[folder]) for folder in folders}

    def in_the_middle() -> bool:
        found = dict(team.rows("SELECT status, count(*) FROM runs GROUP BY status"))
        return found.get("FINISHED", 0) >= 1 and found.get("RUNNING", 0) >= 4

    wait_for(in_the_middle, seconds=400, told=told)
    team.kill()
    time.sleep(AWAY)
    team.start()
    codes = {folder: command.wait(timeout=400) for folder, command in commands.items()}
    failed = [folder for folder, code in codes.items() if code]
    assert failed, "the server was away and nobody noticed"
    for folder in failed:
        assert f"MLflow at {team.uri} failed: " in (folder / "output.txt").read_text()
    again = [log(folder, team, accounts[folder]) for folder in failed]
    assert [command.wait(timeout=400) for command in again] == [0] * len(failed), told()

    check_runs(team, folders, monkeypatch)
    check_outsiders(team)
    assert "X-Amz-Signature" not in (team.folder / "s3.log").read_text(), "went past the server"
    secrets = [WORD, DATABASE_PASSWORD, STORE_KEYS["AWS_SECRET_ACCESS_KEY"]]
    for folder in [*folders, team.folder]:
        for name, content in contents(folder).items():
            assert not [secret for secret in secrets if secret.encode() in content], name

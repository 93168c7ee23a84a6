"""A real MLflow server: where it listens, who may write to it, what its death loses."""

import subprocess

import psutil
import pytest

from medgraft import tracking
from medgraft.errors import MedgraftError
from services import end, free_port, mlflow_server
from test_tracking import PARAMS, TAGS, _client, _make_work, _track

pytestmark = pytest.mark.slow
SECRET = "a secret of more than twelve"
ACCOUNTS = """\
[mlflow]
default_permission = NO_PERMISSIONS
database_uri = sqlite:///{folder}/accounts.db
admin_username = nurse
admin_password = {secret}
authorization_function = mlflow.server.auth:authenticate_request_basic_auth
"""


def listening(process: subprocess.Popen) -> set[str]:
    """Addresses that a process and its children accept connections at."""
    family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    return {
        connection.laddr.ip
        for one in family
        for connection in one.net_connections()
        if connection.status == psutil.CONN_LISTEN
    }


def runs(uri: str) -> dict:
    """Finished runs by stage, the newest pipeline's."""
    client = _client(uri)
    found = client.search_runs([client.get_experiment_by_name("heart").experiment_id])
    done = [run for run in found if run.info.status == "FINISHED"]
    return {run.data.tags["dvc_stage"]: run for run in done}


def test_accounts_decide_and_nobody_else_is_asked(tmp_path, monkeypatch):
    """Listens on loopback unless told otherwise; writes nothing without the right password."""
    (tmp_path / "accounts.ini").write_text(ACCOUNTS.format(folder=tmp_path, secret=SECRET))
    port = free_port()
    uri, work = f"http://127.0.0.1:{port}", _make_work(tmp_path / "work")
    with mlflow_server(tmp_path, port, "--app-name", "basic-auth") as process:
        assert listening(process) == {"127.0.0.1"}
        for name, word in (("", ""), ("nurse", f"{SECRET} not"), ("visitor", SECRET)):
            monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", name)
            monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", word)
            with pytest.raises(MedgraftError) as refused:
                _track(work, uri)
            assert str(refused.value).startswith(f"MLflow at {uri} failed: ")
            assert SECRET not in str(refused.value)
        monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "nurse")
        monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", SECRET)
        _track(work, uri)
        assert set(runs(uri)) == {"pipeline", *PARAMS}
    assert SECRET not in (tmp_path / "server.log").read_text()


def test_server_that_dies_loses_nothing(tmp_path, monkeypatch):
    """Killed in the middle of logging and begun again: the next tracking delivers everything."""
    port, tags = free_port(), TAGS | {tracking.WRITER: "this test"}
    uri, work = f"http://127.0.0.1:{port}", _make_work(tmp_path / "work")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    filled, real = [], tracking._fill
    with mlflow_server(tmp_path, port) as process:

        def fill(client, run_id, entry):
            filled.append(entry.name)
            if len(filled) == 3:
                end(process)
            real(client, run_id, entry)

        with monkeypatch.context() as patch:
            patch.setattr(tracking, "_fill", fill)
            with pytest.raises(MedgraftError, match=r"failed: .* The results in .* are kept"):
                _track(work, uri, tags=tags)
    with mlflow_server(tmp_path, port):
        ids = _track(work, uri, tags=tags)
        found = {stage: _client(uri).get_run(identity) for stage, identity in ids.items()}
        assert {run.info.status for run in found.values()} == {"FINISHED"}
        assert set(found) == {"pipeline", *PARAMS}
        fine = found["finetune@from_scratch"].info.run_id
        assert len(_client(uri).get_metric_history(fine, "train_loss")) == 600
        assert found["finetune@fine_tune"].data.metrics["auroc"]
        client = _client(uri)
        heart = client.get_experiment_by_name("heart").experiment_id
        left = client.search_runs([heart], "attributes.status = 'KILLED'")
        assert left
        assert {run.data.tags["resumed_by"] for run in left} == {ids["pipeline"]}
        assert client.search_runs([heart], "attributes.status = 'RUNNING'") == []

"""What services/ says of a team's server: whole, pinned, on loopback, without a secret."""

import json
import re
import shutil
import subprocess
import sys
from configparser import ConfigParser

import pytest
import yaml

from test_docs import ROOT

HERE = ROOT / "services"
SECRET = re.compile(r"password|secret|access_key", re.IGNORECASE)


@pytest.fixture(scope="module")
def compose() -> dict:
    return yaml.safe_load((HERE / "docker-compose.yaml").read_text())


def test_every_image_is_of_one_version(compose):
    bases = re.findall(r"^FROM (\S+)", (HERE / "Dockerfile").read_text(), flags=re.M)
    images = [service["image"] for service in compose["services"].values()]
    assert len(images) == 3
    for image in (*images, *bases):
        assert re.fullmatch(r"[\w./-]+:\d+\.\d+(\.\d+)?[\w.-]*", image), image


def test_server_is_of_the_version_that_was_tested(compose):
    pinned = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().split())
    assert compose["services"]["mlflow"]["image"].endswith(f":{pinned['mlflow']}")


def test_loopback_alone_is_published(compose):
    ports = {name: service.get("ports", []) for name, service in compose["services"].items()}
    assert ports == {"database": [], "store": [], "mlflow": ["127.0.0.1:5000:5000"]}
    unit = (HERE / "mlflow.service").read_text()
    assert re.findall(r"--host (\S+)", unit) == ["127.0.0.1"]


def test_database_and_store_reach_nothing_outside(compose):
    assert compose["networks"]["inside"]["internal"] is True
    assert compose["services"]["database"]["networks"] == ["inside"]
    assert compose["services"]["store"]["networks"] == ["inside"]


def test_no_secret_is_written_down(compose):
    told = [
        (name, value)
        for service in compose["services"].values()
        for name, value in service.get("environment", {}).items()
        if SECRET.search(name)
    ]
    assert len(told) >= 5
    for name, value in told:
        assert re.fullmatch(r"\$\{\w+:\?see example.env\}", value), name
    given = dict(re.findall(r"^(\w+)=(.*)$", (HERE / "example.env").read_text(), flags=re.M))
    asked = set(re.findall(r"\$\{(\w+):", (HERE / "docker-compose.yaml").read_text()))
    assert asked == set(given)
    assert {name for name, value in given.items() if value} == {"MLFLOW_HOSTS"}
    (identity,) = json.loads((HERE / "example.s3.json").read_text())["identities"]
    assert identity["credentials"] == [{"accessKey": "", "secretKey": ""}]
    for path in HERE.iterdir():
        assert not re.search(r"://[^/@\s]*:[^/@\s]+@", path.read_text()), path
    accounts = ConfigParser()
    accounts.read(HERE / "accounts.ini")
    assert "admin_password" not in accounts["mlflow"]


def test_what_holds_secrets_is_ignored(compose):
    names = [".env", compose["secrets"]["s3"]["file"]]
    command = ["git", "check-ignore", *names]
    assert subprocess.run(command, cwd=HERE, check=False, capture_output=True).returncode == 0
    ignored = subprocess.run(command, cwd=HERE, check=True, capture_output=True, text=True).stdout
    assert ignored.split() == names


def test_both_ways_start_the_same_server(compose):
    """Compose and systemd differ in addresses only."""
    unit = re.search(r"^ExecStart=\S+ (.*)$", (HERE / "mlflow.service").read_text(), flags=re.M)
    options = [set(re.findall(r"--[a-z-]+", text)) for text in (
        unit.group(1), " ".join(compose["services"]["mlflow"]["command"]),
    )]  # fmt: skip
    assert options[0] == options[1]


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd on this machine")
def test_systemd_knows_the_unit(tmp_path):
    """Every directive and what it says; the server itself need not be installed."""
    unit = (HERE / "mlflow.service").read_text().replace("/opt/mlflow/bin/mlflow", sys.executable)
    (tmp_path / "mlflow.service").write_text(unit)
    command = ["systemd-analyze", "verify", "--man=no", tmp_path / "mlflow.service"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")

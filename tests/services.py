"""Servers of the tests' own, on loopback alone: PostgreSQL, an S3 store, MLflow, SLURM."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

# The store's own; nobody else is to hold them.
STORE_KEYS = {"AWS_ACCESS_KEY_ID": "store-user", "AWS_SECRET_ACCESS_KEY": "store-password"}


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@contextmanager
def running(command: list[str], health: str, log: Path, **options: Any) -> Iterator:
    """A server, once it answers; it and its workers are a process group of their own."""
    with log.open("ab") as file:
        process = subprocess.Popen(
            command, stdout=file, stderr=file, start_new_session=True, **options
        )
    try:
        wait_for(health, process, log)
        yield process
    finally:
        end(process)


def wait_for(health: str, process: subprocess.Popen, log: Path) -> None:
    for _ in range(1500):
        with suppress(OSError), urllib.request.urlopen(health):
            return
        assert process.poll() is None, log.read_text()
        time.sleep(0.2)
    pytest.fail(f"no answer within five minutes: {log.read_text()[-2000:]}")


def end(process: subprocess.Popen) -> None:
    """The server and its workers."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@contextmanager
def mlflow_server(
    folder: Path,
    port: int,
    *options: str,
    store: str = "",
    artifacts: str = "",
    env: dict[str, str] | None = None,
) -> Iterator[subprocess.Popen]:
    """As the documentation starts one; `folder` holds its log and what has no other place."""
    command = [sys.executable, "-m", "mlflow", "server", "--port", str(port), "--workers", "1"]
    kept = ["--backend-store-uri", store or f"sqlite:///{folder}/mlflow.db"]
    kept += ["--artifacts-destination", artifacts or str(folder / "artifacts")]
    accounts = folder / "accounts.ini"
    own = {"MLFLOW_FLASK_SERVER_SECRET_KEY": "of this test alone"}
    own |= {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"} | (env or {})
    own |= {"MLFLOW_AUTH_CONFIG_PATH": str(accounts)} if accounts.is_file() else {}
    with running(
        [*command, *kept, *options],
        f"http://127.0.0.1:{port}/health",
        folder / "server.log",
        cwd=folder,
        env=os.environ | own,
    ) as process:
        yield process


@contextmanager
def s3_store(folder: Path, bucket: str) -> Iterator[str]:
    """The address of an S3 store in memory with one empty bucket."""
    pytest.importorskip("moto", reason="needs moto (the extra dev)")
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with running(command, f"{address}/moto-api/data.json", folder / "s3.log"):
        bucket_of(address, bucket).create()
        yield address


def bucket_of(address: str, name: str) -> Any:
    """The bucket, as one who holds the store's keys sees it."""
    boto3 = pytest.importorskip("boto3", reason="needs boto3 (the extra s3)")
    store = boto3.resource(
        "s3",
        endpoint_url=address,
        region_name="us-east-1",
        aws_access_key_id=STORE_KEYS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=STORE_KEYS["AWS_SECRET_ACCESS_KEY"],
    )
    return store.Bucket(name)


class Postgres:
    """A PostgreSQL of one's own on loopback; it refuses to run as root."""

    def __init__(self, folder: Path, programs: Path, password: str) -> None:
        self.folder, self.programs, self.port = folder, programs, free_port()
        self.address = f"postgresql+psycopg://medgraft@127.0.0.1:{self.port}/postgres"
        told = folder / "password"
        told.write_text(f"{password}\n")
        told.chmod(0o644)  # in a folder that only PostgreSQL may enter
        how = ["-A", "scram-sha-256", "--pwfile", str(told)] if password else ["-A", "trust"]
        self.run("initdb", *how, "-U", "medgraft", "-D", str(folder / "data"))

    def run(self, program: str, *arguments: str) -> None:
        command = [str(self.programs / program), *arguments]
        other = {"user": "postgres", "group": "postgres"} if os.geteuid() == 0 else {}
        with (self.folder / "log.txt").open("a") as log:
            subprocess.run(command, check=True, cwd="/", stdout=log, stderr=log, **other)

    def start(self) -> None:
        options = f"-p {self.port} -h 127.0.0.1 -k {self.folder}"
        data = str(self.folder / "data")
        self.run("pg_ctl", "-w", "-D", data, "-l", str(self.folder / "server.txt"), "-o", options,
                 "start")  # fmt: skip

    def stop(self) -> None:
        if not (self.folder / "data" / "postmaster.pid").exists():
            return
        self.run("pg_ctl", "-w", "-m", "immediate", "-D", str(self.folder / "data"), "stop")


@contextmanager
def postgres_server(password: str = "") -> Iterator[Postgres]:
    """Without a password whoever reaches it may enter."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        pytest.skip("needs PostgreSQL's programs (Debian: postgresql)")
    folder = Path(tempfile.mkdtemp(prefix="medgraft-pg-"))
    if os.geteuid() == 0:
        try:
            owner = pwd.getpwnam("postgres")
        except KeyError:
            pytest.skip("needs a user postgres: PostgreSQL does not run as root")
        os.chown(folder, owner.pw_uid, owner.pw_gid)
    try:
        server = Postgres(folder, found[-1].parent, password)
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder)


SLURM = """\
ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmdPort={node}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
SlurmUser=root
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
RequeueExit=75
NodeName={host} NodeAddr=127.0.0.1 CPUs=4 State=UNKNOWN
PartitionName=all Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


@contextmanager
def slurm_cluster(folder: Path) -> Iterator[dict[str, str]]:
    """The environment in which SLURM's commands find a cluster of this machine alone."""
    programs = ("munged", "slurmctld", "slurmd", "sbatch")
    path = f"{os.environ['PATH']}{os.pathsep}/usr/sbin"
    found = {name: shutil.which(name, path=path) for name in programs}
    if os.geteuid() != 0 or not all(found.values()):
        pytest.skip("needs root and Debian's slurmctld, slurmd, slurm-client and munge")
    for name in ("state", "spool"):
        (folder / name).mkdir()
    key = folder / "munge.key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o400)
    host = socket.gethostname().partition(".")[0]
    told = SLURM.format(host=host, folder=folder, controller=free_port(), node=free_port())
    (folder / "slurm.conf").write_text(told)
    own = {"SLURM_CONF": str(folder / "slurm.conf")}
    munge = {
        option: folder / f"munge.{option.partition('-')[0]}"
        for option in ("socket", "pid-file", "log-file", "seed-file")
    }
    given = [f"--{option}={place}" for option, place in {"key-file": key, **munge}.items()]
    commands = [
        [found["munged"], "--foreground", "--force", *given],
        [found["slurmctld"], "-D"],
        [found["slurmd"], "-D"],
    ]
    processes = []
    try:
        with (folder / "slurm.log").open("wb") as log:
            for command in commands:
                processes.append(
                    subprocess.Popen(
                        command,
                        stdout=log,
                        stderr=log,
                        start_new_session=True,
                        env=os.environ | own,
                    )
                )
                time.sleep(1)
        for _ in range(60):
            state = subprocess.run(
                ["sinfo", "--noheader", "--format=%T"],
                capture_output=True,
                text=True,
                check=False,
                env=os.environ | own,
            )
            if state.stdout.strip() == "idle":
                break
            time.sleep(0.5)
        else:
            pytest.skip(f"SLURM does not run here: {(folder / 'slurm.log').read_text()[-500:]}")
        yield own
    finally:
        for process in reversed(processes):
            end(process)

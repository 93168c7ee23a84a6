"""Data in a DVC remote: a colleague gets equal bytes or a refusal, and the project holds no key."""

import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from medgraft.cohorts.seal import folder_md5
from services import STORE_KEYS, bucket_of, s3_store
from stages.project import OWN, clone, done, dvc, medgraft, own_cohort

pytestmark = pytest.mark.slow
BUCKET = "hospital-data"
RAW_DATA, RAW = "data.dvc", Path("data") / "mine" / "small.csv"


@dataclass
class Remote:
    """Where it is, how to say so to DVC, and how to change what it keeps under a name."""

    url: str
    settings: dict[str, str]
    secrets: dict[str, str]
    put: Callable[[str, bytes], object]


@pytest.fixture(scope="module", params=["s3", "disk"])
def remote(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("remote")
    with ExitStack() as stack:
        if request.param == "disk":

            def put(name: str, content: bytes) -> None:
                (folder / name).chmod(0o644)
                (folder / name).write_bytes(content)

            yield Remote(str(folder), {}, {}, put)
            return
        pytest.importorskip("dvc_s3", reason="needs dvc-s3 (the extra s3)")
        address = stack.enter_context(s3_store(folder, BUCKET))
        bucket = bucket_of(address, BUCKET)
        yield Remote(
            f"s3://{BUCKET}/medgraft",
            {"endpointurl": address, "region": "us-east-1"},
            {name.lower().removeprefix("aws_"): key for name, key in STORE_KEYS.items()},
            lambda name, content: bucket.put_object(Key=f"medgraft/{name}", Body=content),
        )


@pytest.fixture(scope="module", autouse=True)
def no_keys():
    """Whoever runs the tests may hold some of their own."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
        patch.setenv("AWS_CONFIG_FILE", "/nonexistent")
        yield


@pytest.fixture(scope="module")
def sealed(tmp_path_factory):
    """A project with a cohort of its own in data/."""
    folder = clone(tmp_path_factory.mktemp("sealed") / "project")
    own_cohort(folder)
    done(medgraft(folder, "compose", *OWN, "cohort.outcome.target=died"))
    done(dvc(folder, "add", "--quiet", "data"))
    return folder


@pytest.fixture(scope="module")
def pushed(sealed, remote, tmp_path_factory):
    """The same committed, its raw data in the remote; see docs/team.md."""
    folder = tmp_path_factory.mktemp("pushed") / "project"
    shutil.copytree(sealed, folder, symlinks=True)
    done(dvc(folder, "remote", "add", "--default", "hospital", remote.url))
    for name, value in {**remote.settings, "verify": "true"}.items():
        done(dvc(folder, "remote", "modify", "hospital", name, value))
    introduce(folder, remote)
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "Describe our cohort")
    done(dvc(folder, "push", RAW_DATA))
    return folder


def git(folder: Path, *arguments: str) -> str:
    author = ["-c", "user.name=anna", "-c", "user.email=anna@localhost"]
    command = ["git", *author, *arguments]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout


def introduce(folder: Path, remote: Remote) -> None:
    """Tell this checkout alone the keys."""
    for name, secret in remote.secrets.items():
        done(dvc(folder, "remote", "modify", "--local", "hospital", name, secret))


@pytest.fixture
def colleague(pushed, remote, tmp_path):
    """A fresh clone, by somebody who holds the keys; no data yet."""
    folder = tmp_path / "colleague"
    git(tmp_path, "clone", "--quiet", str(pushed), str(folder))
    introduce(folder, remote)
    assert not (folder / "data").exists()
    return folder


@pytest.fixture
def flipped(pushed, remote):
    """One byte of one raw file is another in the remote."""
    content = (pushed / RAW).read_bytes()
    md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
    name = f"files/md5/{md5[:2]}/{md5[2:]}"
    remote.put(name, content[:-2] + bytes([content[-2] ^ 1]) + content[-1:])
    yield
    remote.put(name, content)


def test_colleague_gets_equal_bytes(pushed, colleague):
    done(dvc(colleague, "pull", RAW_DATA))
    assert folder_md5(colleague / "data") == folder_md5(pushed / "data")


def test_keys_are_needed_and_in_no_tracked_file(pushed, remote, tmp_path):
    tracked = git(pushed, "ls-files").split("\n")
    assert ".dvc/config" in tracked
    assert ".dvc/config.local" not in tracked
    for secret in remote.secrets.values():
        assert secret in (pushed / ".dvc" / "config.local").read_text()
        assert secret not in git(pushed, "log", "--patch", "--all", "--text")
    if remote.secrets:
        git(tmp_path, "clone", "--quiet", str(pushed), "stranger")
        refused = dvc(tmp_path / "stranger", "pull", RAW_DATA)
        assert refused.returncode != 0
        assert "Unable to locate credentials" in refused.stdout + refused.stderr
        assert not (tmp_path / "stranger" / "data").exists()


def test_flipped_byte_is_refused_on_pull(pushed, colleague, remote, flipped):
    """And nothing of it is kept: the same pull works once the remote is mended."""
    assert dvc(colleague, "pull", RAW_DATA).returncode != 0
    assert not (colleague / RAW).exists()
    md5 = folder_md5(pushed / "data")
    right = (pushed / RAW).read_bytes()
    name = hashlib.md5(right, usedforsecurity=False).hexdigest()
    remote.put(f"files/md5/{name[:2]}/{name[2:]}", right)
    done(dvc(colleague, "pull", RAW_DATA))
    assert folder_md5(colleague / "data") == md5


def test_seal_refuses_what_dvc_did_not_verify(pushed, colleague, flipped):
    """Without `verify` DVC takes any bytes for those it asked for: docs/team.md says so."""
    done(dvc(colleague, "remote", "modify", "--local", "hospital", "verify", "false"))
    done(dvc(colleague, "pull", RAW_DATA))
    assert (colleague / RAW).read_bytes() != (pushed / RAW).read_bytes()
    assert "up to date" in done(dvc(colleague, "status", RAW_DATA))
    refused = medgraft(colleague, "repro")
    assert refused.returncode == 2
    assert "mine/small.csv" in refused.stderr
    assert not (colleague / "work" / "prepared").exists()

"""What a killed run leaves half-written is put right; nothing of anybody else's is touched."""

import json
import os
import subprocess
import sys

import pytest

from medgraft import raw_data
from medgraft.recovery import drop_dead, recover

LOCK = "schema: '2.0'\nstages:\n  preprocess:\n    cmd: x\n"


@pytest.mark.parametrize(
    ("text", "kept"), [(LOCK, True), (LOCK[:-8], False), (LOCK[:30], False), ("", False)]
)
def test_half_written_lock_is_removed(tmp_path, text, kept):
    (tmp_path / "dvc.lock").write_text(text)
    recover(tmp_path)
    assert (tmp_path / "dvc.lock").exists() == kept


def test_unfinished_folders_are_removed(tmp_path):
    half = ("data/.unfinished-ab12_xyz", "work/.prepared.ab12_xyz", "work/a/.x.parquet.ab12_xyz")
    others = ("data/.heart", "data/x/.hidden", "work/.scratch/pretrain", "work/prepared")
    for name in (*half, *others):
        (tmp_path / name).mkdir(parents=True)
    recover(tmp_path)
    assert not [name for name in half if (tmp_path / name).exists()]
    assert all((tmp_path / name).is_dir() for name in others)


@pytest.fixture
def claims(tmp_path):
    return tmp_path / "rwlock"


def test_claims_of_dead_processes_are_dropped(claims):
    me = {"pid": os.getpid(), "cmd": "x"}
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    dead = me | {"pid": gone.pid}
    claims.write_text(json.dumps({"write": {"a": me, "b": dead}, "read": {"c": [me, dead]}}))
    drop_dead(claims)
    assert json.loads(claims.read_text()) == {"write": {"a": me}, "read": {"c": [me]}}


def test_number_given_out_again_claims_nothing(claims):
    """The file was written long before the process that has the number now began."""
    claims.write_text(json.dumps({"write": {"a": {"pid": os.getpid(), "cmd": "x"}}, "read": {}}))
    os.utime(claims, (1, 1))
    drop_dead(claims)
    assert not claims.exists()


def test_half_written_claims_are_removed(claims):
    claims.write_text('{"write": {')
    drop_dead(claims)
    assert not claims.exists()


@pytest.mark.parametrize("before", ["outs: []\n", ""])
def test_interrupted_sealing_is_undone(tmp_path, before):
    """A kill leaves the copy in place and the seal cut; an empty copy says there was no seal."""
    sealed, kept = tmp_path / "data.dvc", tmp_path / raw_data.KEPT
    if before:
        sealed.write_text(before)
    with raw_data.sealing(tmp_path):
        copy = kept.read_text()
    assert not kept.exists()
    kept.write_text(copy)
    sealed.write_text("ou")
    recover(tmp_path)
    assert (sealed.read_text() if sealed.exists() else "") == before
    assert not kept.exists()


def test_hidden_folders_of_others_stay(tmp_path):
    kept = tmp_path / "data" / ".notes.settings"
    kept.mkdir(parents=True)
    recover(tmp_path)
    assert kept.is_dir()

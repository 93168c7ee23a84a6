"""A table whose parts are read by the processes of a Ray cluster is the table read here."""

import os
import signal
import sys
from pathlib import Path

import pytest

from medgraft.cohorts import load as loading
from medgraft.cohorts.load import load
from medgraft.cohorts.on_ray import in_order
from medgraft.cohorts.parts import Part
from medgraft.errors import CohortError, MedgraftError

from .test_parts import DESCRIPTION, patients, write

SHARE = 60  # rows of a task, so that 400 rows need seven


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    (tmp_path / "cohort.yaml").write_text(DESCRIPTION.format(form="parquet"))
    write(patients(400, 1), tmp_path / "large.parquet")
    monkeypatch.setattr(loading, "SOME", SHARE)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    return tmp_path


def test_absent_ray_is_named(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MedgraftError, match=r"cohort.read_on=ray needs ray: pip install 'medg"):
        load(folder, "large", "ill", read_on="ray")


def test_what_cannot_be_shared_out_is_read_here(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    (tmp_path / "cohort.yaml").write_text(DESCRIPTION.format(form="csv"))
    write(patients(90, 2), tmp_path / "small.csv")
    assert len(load(tmp_path, "small", "ill", read_on="ray")) == 88


@pytest.mark.slow
def test_same_cohort_and_same_complaints(folder):
    pytest.importorskip("ray", reason="needs ray (the extra ray)")
    here, there = (load(folder, "large", "ill", read_on=on) for on in ("here", "ray"))
    for name in ("values", "y", "patient", "source_rows"):
        assert getattr(there, name).tobytes() == getattr(here, name).tobytes(), name
    assert there.subgroups["sex"].tolist() == here.subgroups["sex"].tolist()
    assert there.accounting == here.accounting
    write(patients(400, 1).with_columns(chol=1250.5), folder / "large.parquet")
    told = []
    for on in ("here", "ray"):
        with pytest.raises(CohortError) as error:
            load(folder, "large", "ill", read_on=on)
        told.append(str(error.value))
    assert told[0] == told[1]
    assert told[0].endswith("… and 380 more")


@pytest.mark.slow
def test_process_that_dies_is_replaced(tmp_path):
    pytest.importorskip("ray", reason="needs ray (the extra ray)")
    died = tmp_path / "died"

    def read(start: int, rows: int):
        if start == 2 and not died.exists():
            died.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        yield Part(None, wrong=start * 10 + rows)

    found = in_order(read, [(start, 1) for start in range(9)])
    assert [part.wrong for part in found] == [start * 10 + 1 for start in range(9)]
    assert died.exists()

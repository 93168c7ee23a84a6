from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from medgraft.errors import CohortError, StageError
from medgraft.preparation import arrays
from medgraft.preparation.arrays import (
    FILES,
    SEAL,
    Prepared,
    read,
    read_design,
    read_json,
    replacing,
    write,
    write_json,
    write_table,
)


@pytest.fixture
def prepared():
    x = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    x[3, 1] = np.nan
    patients = pl.DataFrame(
        {"row": range(50), "patient": range(50), "site": ["clinic"] * 50},
        schema={"row": pl.Int32, "patient": pl.Int32, "site": pl.String},
    )
    return Prepared(x, x[:, 0].copy(), patients, {"features": [{"name": n} for n in "abc"]})


def test_what_is_written_is_read(prepared, tmp_path):
    write(tmp_path / "target", prepared)
    again = read(tmp_path / "target")
    assert np.array_equal(again.x, prepared.x, equal_nan=True)
    assert np.array_equal(again.y, prepared.y)
    assert again.patients.equals(prepared.patients)
    assert again.schema == prepared.schema
    assert isinstance(again.x, np.memmap)


def test_parts_are_what_numpy_saves(prepared, tmp_path, monkeypatch):
    """Written in parts, from numbers of any precision: one array of float32."""
    monkeypatch.setattr(arrays, "SOME", 7)
    write(tmp_path / "target", replace(prepared, x=prepared.x.astype(np.float64)))
    np.save(tmp_path / "whole.npy", prepared.x)
    assert (tmp_path / "target/x.npy").read_bytes() == (tmp_path / "whole.npy").read_bytes()


def test_two_writes_are_byte_identical(prepared, tmp_path):
    for name in ("one", "two"):
        write(tmp_path / name, prepared)
    for name in FILES:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def unsealed(folder, prepared):
    """A cohort without its seal: what is spoilt then has to be found by reading it."""
    write(folder, prepared)
    (folder / SEAL).unlink()


def test_writing_replaces_the_whole_folder(prepared, tmp_path):
    folder = tmp_path / "target"
    folder.mkdir()
    (folder / "stale.npy").write_text("from an earlier run")
    write(folder, prepared)
    assert sorted(path.name for path in folder.iterdir()) == sorted([SEAL, *FILES])
    assert list(tmp_path.iterdir()) == [folder]


def test_failure_leaves_old_folder(tmp_path):
    folder = tmp_path / "target"
    folder.mkdir()
    (folder / "x.npy").write_text("old")

    def fail():
        with replacing(folder) as fresh:
            (fresh / "x.npy").write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert (folder / "x.npy").read_text() == "old"
    assert list(tmp_path.iterdir()) == [folder]


@pytest.mark.parametrize("name", FILES)
def test_missing_file_is_named(prepared, tmp_path, name):
    write(tmp_path, prepared)
    (tmp_path / name).unlink()
    with pytest.raises(StageError) as caught:
        read(tmp_path)
    assert str(caught.value) == f"{tmp_path / name} not found: run the stage that writes it first"


@pytest.mark.parametrize("name", FILES)
def test_garbled_file_is_named(prepared, tmp_path, name):
    unsealed(tmp_path, prepared)
    (tmp_path / name).write_bytes(b"\x93garbled")
    with pytest.raises(StageError) as caught:
        read(tmp_path)
    assert str(caught.value).startswith(f"{tmp_path / name}: not ")


def test_pickled_array_is_refused(prepared, tmp_path):
    unsealed(tmp_path, prepared)
    np.save(tmp_path / "y.npy", np.array([{}] * 50, dtype=object))
    with pytest.raises(StageError, match=r"y\.npy: not a numpy array"):
        read(tmp_path)


def test_disagreeing_shapes_are_told(prepared, tmp_path):
    unsealed(tmp_path, prepared)
    np.save(tmp_path / "y.npy", np.zeros(49, dtype=np.float32))
    with pytest.raises(StageError) as caught:
        read(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}: x has shape [50, 3], y 49 values, patients 50 rows, schema 3 features; "
        "they belong together"
    )


@pytest.mark.parametrize("name", [*FILES, SEAL])
def test_any_flipped_byte_is_found(prepared, tmp_path, name):
    write(tmp_path, prepared)
    sound = (tmp_path / name).read_bytes()
    for at in range(0, len(sound), 7):
        (tmp_path / name).write_bytes(sound[:at] + bytes([sound[at] ^ 1]) + sound[at + 1 :])
        with pytest.raises(StageError):
            read(tmp_path)


def test_double_precision_is_refused(prepared, tmp_path):
    unsealed(tmp_path, prepared)
    np.save(tmp_path / "x.npy", np.zeros((50, 3)))
    with pytest.raises(StageError, match=r"x\.npy: expected float32 or uint8, got float64"):
        read(tmp_path)


def test_infinity_is_refused(prepared, tmp_path):
    prepared.x[0, 0] = np.inf
    with pytest.raises(CohortError, match="infinite or too large for float32"):
        write(tmp_path / "target", prepared)
    assert list(tmp_path.iterdir()) == []


def test_json_is_sorted_with_newline(tmp_path):
    write_json({"b": 1, "a": ["µm"]}, tmp_path / "a.json")
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert text == '{\n  "a": [\n    "µm"\n  ],\n  "b": 1\n}\n'
    assert read_json(tmp_path / "a.json") == {"a": ["µm"], "b": 1}


def test_json_refuses_nan(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json({"value": float("nan")}, tmp_path / "a.json")
    assert list(tmp_path.iterdir()) == []


def test_design_without_column_is_refused(tmp_path):
    write_table(pl.DataFrame({"replica": [0], "init_seed": [1]}), tmp_path / "design.parquet")
    with pytest.raises(StageError, match="expected the columns train, validation, not found"):
        read_design(tmp_path / "design.parquet")

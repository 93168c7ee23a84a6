from pathlib import Path

import pytest

from medgraft.cohorts.catalogue import files
from medgraft.errors import CohortError


def test_nothing_is_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk fills up after the first file: neither the folder nor a leftover remains."""
    write_bytes = Path.write_bytes

    def full(path: Path, data: bytes) -> int:
        if path.name == "b":
            raise OSError(28, "No space left on device")
        return write_bytes(path, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(CohortError, match="new: cannot be written: No space left on device"):
        files.write(tmp_path / "new", {"a": b"1", "b": b"2"})
    assert not list(tmp_path.iterdir())


def test_equal_folder_is_left(tmp_path: Path) -> None:
    files.write(tmp_path / "new", {"a": b"1"})
    before = (tmp_path / "new" / "a").stat().st_mtime_ns
    files.write(tmp_path / "new", {"a": b"1"})
    assert (tmp_path / "new" / "a").stat().st_mtime_ns == before


def test_empty_folder_is_filled(tmp_path: Path) -> None:
    files.write(tmp_path, {"a": b"1"})
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    with pytest.raises(CohortError, match="exists and differs in a; move it away"):
        files.write(tmp_path, {"a": b"2"})

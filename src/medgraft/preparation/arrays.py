"""Prepared cohorts on disk: written whole or not at all, the same bytes every time."""

import hashlib
import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from medgraft.errors import CohortError, StageError

FILES = ("x.npy", "y.npy", "patients.parquet", "schema.json")
SEAL = "SHA256SUMS"
# Rows of a role whose drift is measured, drawn from more: a share is then known to 0.003.
MOST_ROWS = 100_000
SOME = 100_000  # rows looked at or written together
DESIGN_COLUMNS = ("replica", "init_seed", "train", "validation")


@dataclass(frozen=True, eq=False)
class Prepared:
    """One prepared cohort, memory-mapped.

    `x` raw values: float32 [n, d] (NaN = missing, category = index into its labels), or a block
    uint8 [n, ...]; `y` float32 [n] class index or value, or [n, k]; `patients` one row per row of
    `x` (`row`, `patient`, `site`, subgroups), `schema` as in `docs/architecture.md`.
    """

    x: NDArray[Any]
    y: NDArray[np.float32]
    patients: pl.DataFrame
    schema: dict[str, Any]

    def __len__(self) -> int:
        return len(self.y)

    @property
    def patient(self) -> NDArray[np.int32]:
        """Patient code of every row, int32 [n]."""
        return self.patients["patient"].to_numpy()


def read(folder: Path) -> Prepared:
    """Open the prepared cohort in `folder` without loading its arrays.

    Raises StageError naming the file that is missing or unreadable, or the shapes that disagree.
    """
    for name in FILES:
        _require(folder / name)
    check_seal(folder)
    prepared = Prepared(
        x=_load(folder / "x.npy", np.float32, np.uint8),
        y=_load(folder / "y.npy", np.float32),
        patients=_read_table(folder / "patients.parquet"),
        schema=read_json(folder / "schema.json"),
    )
    _check_shapes(prepared, folder)
    return prepared


def write(folder: Path, prepared: Prepared) -> None:
    """Write a prepared cohort to `folder`, replacing what is there in one step.

    Numbers of `x` may have any precision, and lie in a file. Raises CohortError when a value is too
    large for float32, StageError when shapes disagree.
    """
    _check_shapes(prepared, folder)
    with replacing(folder) as fresh:
        for name in ("x", "y"):
            _save(fresh / f"{name}.npy", getattr(prepared, name), folder)
        write_table(prepared.patients, fresh / "patients.parquet")
        write_json(prepared.schema, fresh / "schema.json")
        seal(fresh)


def _save(path: Path, array: NDArray[Any], folder: Path) -> None:
    """Write what `np.save` would, as float32 unless it is uint8, a part at a time."""
    kind = np.dtype(np.uint8 if array.dtype == np.uint8 else np.float32)
    head = {"descr": kind.str, "fortran_order": False, "shape": array.shape}
    with path.open("wb") as file, np.errstate(over="ignore"):
        np.lib.format.write_array_header_1_0(file, head)
        for start in range(0, len(array), SOME):
            part = np.ascontiguousarray(array[start : start + SOME], dtype=kind)
            if np.isinf(part).any():
                where = folder / path.name
                raise CohortError(f"{where}: a value is infinite or too large for float32")
            part.tofile(file)


def read_design(path: Path) -> pl.DataFrame:
    """Read `design.parquet` or `source_design.parquet`.

    Raises StageError when it is missing, unreadable or lacks a column.
    """
    _require(path)
    check_seal(path.parent)
    design = _read_table(path)
    lacking = [name for name in DESIGN_COLUMNS if name not in design.columns]
    if lacking:
        raise StageError(f"{path}: expected the columns {', '.join(lacking)}, not found")
    return design


def write_table(frame: pl.DataFrame, path: Path) -> None:
    """Write a parquet file whose bytes depend on `frame` alone; whole or not at all."""
    with _replacing_file(path) as fresh:
        frame.write_parquet(fresh, compression="zstd", compression_level=3, statistics=False)


def write_json(content: Mapping[str, Any] | list[Any], path: Path) -> None:
    """Write JSON with sorted keys and a final newline; whole or not at all.

    Raises ValueError for NaN and infinity, which JSON cannot hold.
    """
    text = json.dumps(content, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False)
    with _replacing_file(path) as fresh:
        fresh.write_text(text + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """Read a JSON file. Raises StageError when it is missing or not JSON."""
    _require(path)
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise StageError(f"{path}: not JSON ({error}); run the stage that writes it") from None


def seal(folder: Path) -> None:
    """Write the sha256 of every file in `folder` beside them, as `sha256sum` does."""
    paths = sorted(path for path in folder.iterdir() if path.is_file() and path.name != SEAL)
    lines = [f"{_sha256(path)}  {path.name}\n" for path in paths]
    (folder / SEAL).write_text("".join(lines), encoding="utf-8")


def check_seal(folder: Path, *, required: bool = False) -> None:
    """Raise StageError unless every file in `folder` is as `seal` found it.

    A folder without a seal passes unless one is `required`.
    """
    path = folder / SEAL
    if not required and not path.exists():
        return
    _require(path)
    wrong = f"{path}: not a list of sha256 sums; run the stage that writes it"
    try:
        sums = [line.split("  ", 1) for line in path.read_text(encoding="utf-8").splitlines()]
        told = {name: digest for digest, name in sums}
    except ValueError:
        raise StageError(wrong) from None
    present = {entry.name for entry in folder.iterdir() if entry.is_file()} - {SEAL}
    for name in sorted(present ^ told.keys()):
        raise StageError(f"{folder / name}: {'not sealed' if name in present else 'is absent'}")
    for name, digest in told.items():
        if _sha256(folder / name) != digest:
            raise StageError(
                f"{folder / name}: damaged or changed: its sha256 is not that in {SEAL}; "
                "run the stage that writes it"
            )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def replacing(folder: Path) -> Iterator[Path]:
    """Give an empty sibling of `folder` to fill; it takes the place of `folder` at the end.

    An error in between leaves `folder` as it was.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as place:
        fresh, old = Path(place) / "new", Path(place) / "old"
        fresh.mkdir()
        yield fresh
        if folder.exists():
            folder.rename(old)
        fresh.rename(folder)


@contextmanager
def _replacing_file(path: Path) -> Iterator[Path]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as place:
        fresh = Path(place) / path.name
        yield fresh
        fresh.replace(path)


def _require(path: Path) -> None:
    if not path.is_file():
        raise StageError(f"{path} not found: run the stage that writes it first")


def _load(path: Path, *kinds: type[np.generic]) -> NDArray[Any]:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise StageError(f"{path}: not a numpy array ({error})") from None
    if array.dtype not in kinds:
        expected = " or ".join(kind.__name__ for kind in kinds)
        raise StageError(f"{path}: expected {expected}, got {array.dtype}")
    return array


def _read_table(path: Path) -> pl.DataFrame:
    try:
        return pl.read_parquet(path, glob=False)
    except pl.exceptions.PolarsError as error:
        raise StageError(f"{path}: not a parquet table ({error})") from None


def _check_shapes(prepared: Prepared, folder: Path) -> None:
    features, rows = len(prepared.schema.get("features", ())), len(prepared.y)
    wide = prepared.x.dtype == np.uint8 or prepared.x.shape[1:] == (features,)
    if len(prepared.x) != rows or not wide or prepared.patients.height != rows:
        raise StageError(
            f"{folder}: x has shape {list(prepared.x.shape)}, y {rows} values, patients "
            f"{prepared.patients.height} rows, schema {features} features; they belong together"
        )

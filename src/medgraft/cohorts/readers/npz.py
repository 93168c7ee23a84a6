"""Images and labels in one numpy archive, as MedMNIST publishes them."""

from collections.abc import Iterator, Sequence
from math import prod
from pathlib import Path

import numpy as np
import polars as pl
from numpy.lib.npyio import NpzFile

from medgraft.cohorts.images import archives
from medgraft.cohorts.table import RawTable, did_you_mean, header_problems, quoted
from medgraft.errors import CohortError

# Parts of an archive, and what a cohort calls them.
PARTS = {"train": "train", "val": "validation", "test": "test"}
HELD = ("images", "labels")  # by every part


def read(
    path: Path,
    *,
    expected: Sequence[str],
    header: bool = True,
    optional: Sequence[str] = (),
    image: str = "image",
    label: str = "label",
    split: str = "split",
) -> RawTable:
    """Read `{train,val,test}_{images,labels}`; parts that are absent are passed over.

    An image's cell is its place, `file.npz#train_images/17`; labels [n] or [n, 1] become the column
    `label`, several of them, [n, L], `label_0` and so on; `split` is the part. A record's number is
    its place in the whole file, train before validation before test, from 1.

    Args:
        path: The file.
        expected: Names of the columns described.
        header: Archives name their arrays: always True.
        optional: Names of columns the file may hold as well.
        image: What the description calls the images.
        label: What it calls the labels.
        split: What it calls the parts.

    Raises:
        CohortError: the file is cut short, holds no part or an unknown one, or images and labels do
            not match.
    """
    del header
    with archives.opened(path) as archive:
        known = [part for part in PARTS if f"{part}_images" in archive.files]
        if not known:
            raise CohortError(
                f"{path}: expected arrays train_images and train_labels (or val, test), "
                f"found {archives.names(archive)}"
            )
        _refuse_others(path, archive)
        sizes = archives.shapes(path)
        frames = [
            _part(path, archive, part, sizes, image=image, label=label, split=split)
            for part in known
        ]
    cells = pl.concat(frames)
    cells = cells.select(name for name in cells.columns if name in {*expected, *optional})
    if problems := list(header_problems(cells.columns, [*expected])):
        raise CohortError("\n".join(f"{path}: {problem}" for problem in problems))
    return RawTable(cells, np.arange(1, len(cells) + 1, dtype=np.int64))


def blocks(path: Path, *, image: str, rows: int) -> Iterator[RawTable]:
    """The images of an archive without labels, at most `rows` at a time; at least one table.

    Every array [n, h, w] or [n, h, w, c] is taken to be of images, in the archive's order; a record
    is numbered and its cell made as `read` does, under the name `image`.

    Raises:
        CohortError: the file is cut short, or holds no such array.
    """
    named = 0
    for name, count in _stacks(path).items():
        for start in range(0, max(1, count), rows):
            places = range(start, min(count, start + rows))
            cells = pl.Series(image, [place(path, name, row) for row in places], dtype=pl.String)
            lines = named + 1 + np.arange(start, start + len(places), dtype=np.int64)
            yield RawTable(cells.to_frame(), lines, names=cells)
        named += count


def count(path: Path) -> int:
    """How many images `blocks` gives."""
    return sum(_stacks(path).values())


def place(path: Path, name: str, row: int) -> str:
    """The cell of one image."""
    return f"{path.name}#{name}/{row}"


def _stacks(path: Path) -> dict[str, int]:
    """Arrays that can be images, and how many each holds."""
    with archives.opened(path) as archive:
        shapes = archives.shapes(path)
        found = {name: shape[0] for name, shape in shapes.items() if len(shape) in (3, 4)}
        for name in (name for name in shapes if name.endswith("_images") and name not in found):
            raise CohortError(
                f"{path}: {name} has shape {list(shapes[name])}, expected [n, height, width] or "
                "[n, height, width, channels]"
            )
        if not found:
            raise CohortError(
                f"{path}: expected an array of images [n, height, width] or [n, height, width, "
                f"channels], found {archives.names(archive)}"
            )
    return found


def _refuse_others(path: Path, archive: NpzFile) -> None:
    """Refuse an array named as a part's that would be passed over, and its patients with it."""
    for name in archive.files:
        part, _, held = name.rpartition("_")
        if held not in HELD:
            continue
        if part not in PARTS:
            hint = did_you_mean(name, [f"{known}_{held}" for known in PARTS])
            raise CohortError(
                f"{path}: holds {quoted(name)}, expected images and labels of train, val or test"
                f"{hint}"
            )
        for other in HELD:
            if f"{part}_{other}" not in archive.files:
                raise CohortError(f"{path}: holds {name} without {part}_{other}")


def _part(
    path: Path,
    archive: NpzFile,
    part: str,
    sizes: dict[str, tuple[int, ...]],
    *,
    image: str,
    label: str,
    split: str,
) -> pl.DataFrame:
    name = f"{part}_labels"
    for single in (f"{part}_{held}" for held in HELD if not sizes[f"{part}_{held}"]):
        raise CohortError(f"{path}: {single} is a single number, expected a list")
    labels, rows = archive[name], sizes[f"{part}_images"][0]
    if len(labels) != rows:
        raise CohortError(f"{path}: {rows} {part}_images, {len(labels)} {name}")
    labels = labels.reshape(rows, prod(labels.shape[1:]))
    several = labels.shape[1] > 1
    columns = {
        image: [place(path, f"{part}_images", row) for row in range(rows)],
        split: [PARTS[part]] * rows,
    } | {
        f"{label}_{i}" if several else label: [str(value) for value in labels[:, i].tolist()]
        for i in range(labels.shape[1])
    }
    return pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String))

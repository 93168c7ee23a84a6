"""Text cells that name images -> arrays: a file, a place in an archive, or the image itself."""

import base64
import binascii
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from medgraft.cohorts import files
from medgraft.cohorts.images import archives, pictures
from medgraft.cohorts.images.pictures import UnreadableImageError, Window
from medgraft.errors import CohortError

PLACE = re.compile(r"(?P<file>[^#]+\.npz)#(?P<array>\w+)/(?P<row>\d+)", re.IGNORECASE)
URI = re.compile(r"data:[\w/+.-]*;base64,", re.IGNORECASE)
MODES = {1: "L", 3: "RGB"}
CALLED = {"L": "8-bit grey", "RGB": "8-bit colour"}

Wrong = dict[int, str]


@dataclass(frozen=True)
class Form:
    """What every image has to be: channels 1 (grey) or 3 (colour), height and width in pixels.

    `fit` scales an image of another size until it fits, and fills with black; otherwise the size
    has to be exact. `window` is for DICOM files, see `pictures.picture`.
    """

    channels: int
    height: int
    width: int
    fit: bool = False
    window: Window | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """As an array: channels, height, width."""
        return self.channels, self.height, self.width


def read(cells: Sequence[str], folder: Path, form: Form) -> tuple[NDArray[np.uint8], Wrong]:
    """All images, uint8 [n, c, h, w], and why those that could not be read were not (left black).

    A cell is a path relative to `folder`, `file.npz#array/row`, or a data URI.
    """
    images = np.zeros((len(cells), *form.shape), dtype=np.uint8)
    wrong: Wrong = {}
    kept: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for row, cell in enumerate(cells):
        if place := PLACE.fullmatch(cell):
            key = place["file"], place["array"]
            kept.setdefault(key, []).append((row, int(place["row"])))
        else:
            try:
                images[row] = _array(_bytes(cell, folder), form)
            except UnreadableImageError as error:
                wrong[row] = str(error)
    for (file, array), places in kept.items():
        wrong |= _from_archive(images, places, folder, file, array, form)
    return images, wrong


def uri(picture: Image.Image) -> str:
    """A picture as text: `data:image/png;base64,…`."""
    data = io.BytesIO()
    picture.save(data, format="PNG")
    return "data:image/png;base64," + base64.b64encode(data.getvalue()).decode("ascii")


def _bytes(cell: str, folder: Path) -> bytes:
    if start := URI.match(cell):
        try:
            return base64.b64decode(cell[start.end() :], validate=True)
        except binascii.Error:
            raise UnreadableImageError("is not base64 text") from None
    path = _inside(folder, cell)
    try:
        if path.is_fifo():  # would be waited for
            raise OSError
        return path.read_bytes()
    except OSError:
        raise UnreadableImageError("cannot be read: is there such a file?") from None


def _inside(folder: Path, name: str) -> Path:
    try:
        return files.inside(folder, name)
    except CohortError as error:
        raise UnreadableImageError(str(error).rpartition(": ")[2]) from None


def _array(data: bytes, form: Form) -> NDArray[np.uint8]:
    """One file's bytes as [c, h, w]."""
    picture = pictures.picture(data, window=form.window)
    mode = MODES[form.channels]
    if picture.mode != mode:
        found = CALLED.get(picture.mode, f"mode {picture.mode}")
        raise UnreadableImageError(f"is {found}, expected {CALLED[mode]}")
    size = form.width, form.height
    if picture.size != size and not form.fit:
        raise UnreadableImageError(_sized(*picture.size, form))
    picture = pictures.loaded(picture)
    if picture.size != size:
        picture = ImageOps.pad(picture, size)
    return archives.channels_first(np.asarray(picture)[None])[0]


def _sized(width: int, height: int, form: Form) -> str:
    return f"is {width} × {height} pixels (width × height), expected {form.width} × {form.height}"


def _from_archive(
    images: NDArray[np.uint8],
    places: list[tuple[int, int]],
    folder: Path,
    file: str,
    array: str,
    form: Form,
) -> Wrong:
    """Fill in the images that lie in one array of an archive."""
    try:
        found = _archived(_inside(folder, file), array, form)
    except UnreadableImageError as error:
        return dict.fromkeys((row for row, _ in places), str(error))
    fits = [(row, place) for row, place in places if place < len(found)]
    rows, taken = np.array(fits, dtype=np.int64).reshape(-1, 2).T
    images[rows] = found[taken]
    absent = f"is not there: {array} holds {len(found)} images"
    return {row: absent for row, place in places if place >= len(found)}


def _archived(path: Path, name: str, form: Form) -> NDArray[np.uint8]:
    """One array of an archive, [n, c, h, w]; refused unless it is as described."""
    try:
        with archives.opened(path) as archive:
            if name not in archive.files:
                there = archives.names(archive)
                raise UnreadableImageError(f"is not there: its archive holds {there}")
            raw = archive[name]
    except CohortError as error:
        why = str(error).removeprefix(f"{path}: ")
        raise UnreadableImageError(f"is said to be in an archive: {why}") from None
    if raw.dtype != np.uint8 or raw.ndim not in (3, 4):
        raise UnreadableImageError(
            f"is {raw.dtype} [{', '.join(map(str, raw.shape))}], expected uint8 "
            "[n, height, width] or [n, height, width, channels]"
        )
    found = archives.channels_first(raw)
    if found.shape[1] != form.channels:
        raise UnreadableImageError(f"has {found.shape[1]} channels, expected {form.channels}")
    if found.shape[2:] == form.shape[1:]:
        return found
    if not form.fit:
        raise UnreadableImageError(_sized(found.shape[3], found.shape[2], form))
    return np.stack([_fitted(one, form) for one in found])


def _fitted(image: NDArray[np.uint8], form: Form) -> NDArray[np.uint8]:
    """One image [c, h, w] scaled until it fits."""
    plain = image[0] if form.channels == 1 else np.moveaxis(image, 0, -1)
    picture = ImageOps.pad(Image.fromarray(plain), (form.width, form.height))
    return archives.channels_first(np.asarray(picture)[None])[0]

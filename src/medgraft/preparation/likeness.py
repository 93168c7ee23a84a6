"""Images that look alike although their bytes differ: other light, another compression."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

SIDE = 8  # of the thumbnail an average hash is taken of
FINE = 32  # of the thumbnail two candidates are compared by, at most
CORRELATED = 0.99  # chest films of different patients reach 0.96 at 28 × 28 pixels
CHUNK = 1024
MOST = 200  # images with one hash that are compared: blank images all share theirs

Floats = NDArray[np.float32]


def summaries(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Brightness (mean level) and contrast (standard deviation) of each image: [n, 2]."""
    found = np.empty((len(images), 2))
    for at in range(0, len(images), CHUNK):
        flat = images[at : at + CHUNK].reshape(-1, images[0].size).astype(np.float32)
        found[at : at + CHUNK] = np.stack([flat.mean(1), flat.std(1)], axis=1)
    return found


def near_copies(images: NDArray[np.uint8], others: NDArray[np.uint8]) -> list[tuple[int, int]]:
    """Pairs of rows (i of `images`, j of `others`) that are alike and not equal.

    Candidates share the average hash (8 × 8 means above or below their mean; Krawetz 2011); alike
    are those whose thumbnails correlate. What changes light and contrast changes neither; a shifted
    or mirrored copy is not found.
    """
    hashes, theirs = average_hashes(images), average_hashes(others)
    both = set(hashes) & set(theirs)
    return sorted(
        pair
        for one in both
        for pair in _confirmed(images, others, _rows(hashes, one), _rows(theirs, one))
    )


def average_hashes(images: NDArray[np.uint8]) -> list[bytes]:
    """64 bits per image: which of its 8 × 8 means lie above their mean."""
    found: list[bytes] = []
    for at in range(0, len(images), CHUNK):
        small = thumbnails(images[at : at + CHUNK], SIDE).reshape(-1, SIDE * SIDE)
        bits = np.packbits(small > small.mean(axis=1, keepdims=True), axis=1)
        found.extend(row.tobytes() for row in bits)
    return found


def thumbnails(images: NDArray[np.uint8], side: int) -> Floats:
    """Block means over channels and pixels, [n, side, side]."""
    grey = images.mean(axis=1, dtype=np.float32)
    for axis in (1, 2):
        length = grey.shape[axis]
        starts = np.arange(side) * length // side
        sizes = np.maximum(np.diff(np.append(starts, length)), 1)
        shape = (-1, 1) if axis == 1 else (1, -1)
        grey = np.add.reduceat(grey, starts, axis=axis) / sizes.reshape(shape).astype(np.float32)
    return grey


def _rows(hashes: list[bytes], wanted: bytes) -> list[int]:
    return [row for row, one in enumerate(hashes) if one == wanted][:MOST]


def _confirmed(
    images: NDArray[np.uint8], others: NDArray[np.uint8], rows: list[int], theirs: list[int]
) -> Iterator[tuple[int, int]]:
    side = min(FINE, *images.shape[2:])
    ours, yours = (
        _standardised(thumbnails(x[i], side)) for x, i in ((images, rows), (others, theirs))
    )
    for i, j in np.argwhere(ours @ yours.T > CORRELATED).tolist():
        if not np.array_equal(images[rows[i]], others[theirs[j]]):
            yield rows[i], theirs[j]


def _standardised(small: Floats) -> Floats:
    """Each row centred and of length one; blank ones are all zero, and like nothing."""
    flat = small.reshape(len(small), -1)
    flat = flat - flat.mean(axis=1, keepdims=True)
    length = np.linalg.norm(flat, axis=1, keepdims=True)
    return np.divide(flat, length, out=np.zeros_like(flat), where=length > 1e-3)

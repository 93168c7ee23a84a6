"""PneumoniaMNIST: children's chest films, 28 × 28, as an archive and a clinic that share them out.

Kermany D. S. et al. Identifying medical diagnoses and treatable diseases by image-based deep
learning. Cell 172 (2018) 1122-1131; Yang J. et al. MedMNIST v2. Scientific Data 10 (2023) 41.
"""

import io
from importlib.resources import files as package_files
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medgraft.cohorts.catalogue import files
from medgraft.cohorts.parsing import NAME
from medgraft.errors import CohortError

MIRRORED = "pneumoniamnist_reconstructed/pneumoniamnist_28_reconstructed.npz"
SHA256 = "20568c3c8f7ddebe016ab049006f1eb241ab4249e8eff13c3a5d09d11900d8b0"
SEED = 28
ARCHIVE, CLINIC = "archive.npz", "clinic.npz"

Images = NDArray[np.uint8]


def materialise(folder: Path, mirror: Path | None, *, source_share: float = 0.5) -> None:
    """Write archive.npz, clinic.npz and cohort.yaml into `folder`. Always the same bytes.

    The published training images are divided once, at random within each class, equal images
    together: `source_share` of them are the archive (the source), the others train the clinic (the
    target), which also has the published validation and test images as they are.

    Args:
        folder: Usually data/pneumonia; must not exist, or hold the same bytes.
        mirror: Holds the reconstruction of the published file, see its PROVENANCE.md.
        source_share: Between 0 and 1, neither included.

    Raises:
        CohortError: no mirror, another file in it, or `folder` holds something else.
    """
    if not 0 < source_share < 1:
        raise CohortError(f"source_share: got {source_share:g}, expected a share between 0 and 1")
    if mirror is None:
        raise CohortError(
            "the reconstructed PneumoniaMNIST lies at no public address; "
            f"give a folder that holds {MIRRORED} with --mirror"
        )
    data = files.obtain("", sha256=SHA256, mirror=mirror, kept_as=MIRRORED)
    with np.load(io.BytesIO(data), allow_pickle=False) as published:
        arrays = dict(published)
    images, labels = arrays["train_images"], arrays["train_labels"]
    archived = _archived(images, labels[:, 0], source_share)
    source = {"train_images": images[archived], "train_labels": labels[archived]}
    target = arrays | {"train_images": images[~archived], "train_labels": labels[~archived]}
    description = package_files(__package__).joinpath("pneumonia.yaml").read_bytes()
    files.write(folder, {NAME: description, ARCHIVE: _npz(source), CLINIC: _npz(target)})


def _archived(images: Images, labels: NDArray, share: float) -> NDArray[np.bool_]:
    """Which images are the archive's, [n]; equal images go the same way.

    `RandomState`, because numpy promises its stream never changes.
    """
    random = np.random.RandomState(SEED)
    _, kind = np.unique(images.reshape(len(images), -1), axis=0, return_inverse=True)
    first = np.unique(kind, return_index=True)[1]
    chosen = np.zeros(len(first), dtype=bool)
    for label in np.unique(labels):
        mine = np.flatnonzero(labels[first] == label)
        chosen[random.permutation(mine)[: round(share * len(mine))]] = True
    return chosen[kind.ravel()]


def _npz(arrays: dict[str, NDArray]) -> bytes:
    """Not compressed: another zlib would write other bytes."""
    data = io.BytesIO()
    np.savez(data, allow_pickle=False, **{name: arrays[name] for name in sorted(arrays)})
    return data.getvalue()

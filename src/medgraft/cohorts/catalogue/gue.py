"""Sites of GUE, the genome understanding evaluation: DNA windows with a published split.

Zhou Z. et al. DNABERT-2: efficient foundation model and benchmark for multi-species genomes. ICLR
2024, arXiv 2306.15006. From the copy in github.com/wds-seu/DeepGene (Apache-2.0).
"""

from collections.abc import Mapping
from pathlib import Path

from medgraft.cohorts.catalogue import files
from medgraft.cohorts.parsing import NAME

COMMIT = "486343e5212361d6cd7ed03c624f430ed3d5f02e"
URL = f"https://raw.githubusercontent.com/wds-seu/DeepGene/{COMMIT}/data/GUE"
MIRRORED = "gue"
PARTS = ("train", "dev", "test")
HEADER = b"sequence,label\n"


def obtain(task: str, hashes: tuple[str, str, str], mirror: Path | None) -> bytes:
    """One csv of a task's train, dev and test files, with a column `split` that names the file.

    Raises:
        CohortError: a file cannot be had or is not the pinned one.
    """
    rows = []
    for part, sha256 in zip(PARTS, hashes, strict=True):
        name = f"{task}/{part}.csv"
        data = files.obtain(
            f"{URL}/{name}", sha256=sha256, mirror=mirror, kept_as=f"{MIRRORED}/{name}"
        )
        text = data.replace(b"\r\n", b"\n").removeprefix(HEADER).decode()
        rows += [f"{row},{part}\n" for row in text.splitlines()]
    return "".join(["sequence,label,split\n", *rows]).encode()


def write(
    folder: Path,
    mirror: Path | None,
    *,
    sites: Mapping[str, tuple[str, tuple[str, str, str]]],
    description: bytes,
) -> None:
    """Write `<site>.csv` of every site (its task and hashes) and cohort.yaml into `folder`.

    Raises:
        CohortError: a file cannot be had, is not the pinned one, or `folder` holds something else.
    """
    tables = {f"{site}.csv": obtain(task, hashes, mirror) for site, (task, hashes) in sites.items()}
    files.write(folder, {NAME: description, **tables})

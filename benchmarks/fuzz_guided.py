"""Mutate raw files guided by coverage (atheris): every reader refuses in words or reads.

    pip install atheris          # no wheel for every Python; not a dependency
    python benchmarks/fuzz_guided.py --minutes 10

The first byte of an input chooses a file of a sound cohort, the rest takes its place. Whatever is
raised but a message of ours ends the run, and libFuzzer writes the input to the working directory.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import warnings
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["medgraft.cohorts", "dnaio", "yaml", "numpy.lib"]):
    from medgraft.cohorts import files
    from medgraft.cohorts.load import load
from medgraft.errors import MedgraftError

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))
from hostile.typed import SOUND  # noqa: E402

LONGEST = 16_384  # bytes of an input


def targets(place: Path) -> list[Path]:
    """One file of each kind in each of the sound cohorts: descriptions, tables, what they name."""
    chosen = []
    for name, make in SOUND.items():
        folder = place / name
        folder.mkdir()
        make(folder)
        own = [path for path in sorted(folder.iterdir()) if "big" not in path.name]
        chosen += {path.suffix: path for path in own}.values()
    return chosen


def attack(path: Path, data: bytes) -> None:
    """Read the cohort with these bytes in the place of a file; mend the file."""
    sound = path.read_bytes()
    path.write_bytes(data)
    try:
        load(path.parent, "small", "ill")
    except MedgraftError:
        pass
    finally:
        path.unlink()  # a new file each time: a memory map may hold the old one
        path.write_bytes(sound)


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    asked.add_argument("--minutes", type=float, default=10)
    asked.add_argument("--seed", type=int, default=1)
    chosen = asked.parse_args()
    warnings.simplefilter("ignore")
    files.MOST_BYTES = 10_000_000
    with tempfile.TemporaryDirectory() as place:
        paths = targets(Path(place))
        corpus = Path(place) / "corpus"
        corpus.mkdir()
        for number, path in enumerate(paths):
            seeded = bytes([number]) + path.read_bytes()[: LONGEST - 1]
            (corpus / str(number)).write_bytes(seeded)
        limits = {
            "max_total_time": round(60 * chosen.minutes),
            "max_len": LONGEST,
            "timeout": 30,
            "seed": chosen.seed,
            "rss_limit_mb": 4096,
        }
        options = [f"-{name}={value}" for name, value in limits.items()]

        def one(data: bytes) -> None:
            if data:
                attack(paths[data[0] % len(paths)], data[1:])

        atheris.Setup([sys.argv[0], *options, str(corpus)], one)
        atheris.Fuzz()


if __name__ == "__main__":
    main()

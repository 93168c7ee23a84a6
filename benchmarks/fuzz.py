"""Mutate raw files at random: every reader refuses in words or reads; nothing else may happen.

python benchmarks/fuzz.py --minutes 10 --seed 1
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path

import numpy as np

from medgraft.cohorts.load import load
from medgraft.errors import MedgraftError

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))
from hostile.typed import SOUND  # noqa: E402

TOKENS = (b"\0", b"\xff", b'"', b"\n", b",", b"nan", b"inf", b"1e309", b"-", b">", b"@", b"../")
SLOW = 10.0  # seconds after which an input counts as a hang


def mutated(data: bytes, stream: np.random.Generator) -> bytes:
    """One to eight changes: a byte, a token, a piece lost, doubled or moved."""
    changed = bytearray(data)
    for _ in range(stream.integers(1, 9)):
        size = len(changed)
        at, length = int(stream.integers(0, size + 1)), int(stream.integers(1, 40))
        piece = changed[at : at + length]
        match stream.integers(0, 6):
            case 0 if at < size:
                changed[at] = int(stream.integers(0, 256))
            case 1:
                changed[at:at] = TOKENS[stream.integers(len(TOKENS))]
            case 2:
                del changed[at : at + length]
            case 3:
                changed[at:at] = piece
            case 4:
                elsewhere = int(stream.integers(0, size + 1))
                changed[elsewhere : elsewhere + length] = piece
            case 5 if stream.random() < 0.2:
                del changed[at:]
    return bytes(changed)


def attack(folder: Path, stream: np.random.Generator) -> tuple[str, str]:
    """Spoil one file of a sound cohort, read the cohort, mend the file: what came of it."""
    used = [path for path in sorted(folder.iterdir()) if "big" not in path.name]
    path = used[stream.integers(len(used))]
    sound = path.read_bytes()
    path.write_bytes(mutated(sound, stream))
    started = time.monotonic()
    try:
        load(folder, "small", "ill")
        outcome = "read"
    except MedgraftError as error:
        outcome = "refused" if len(str(error)) < 20_000 else "a message without end"
    except BaseException:
        outcome = traceback.format_exc(limit=-2)
    if time.monotonic() - started > SLOW:
        outcome = "took too long"
    if outcome not in ("read", "refused"):
        (Path(tempfile.gettempdir()) / f"crash-{path.name}").write_bytes(path.read_bytes())
    path.write_bytes(sound)
    return path.suffix, outcome


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--minutes", type=float, default=10)
    asked.add_argument("--seed", type=int, default=0)
    chosen = asked.parse_args()
    warnings.simplefilter("ignore")
    stream = np.random.default_rng(chosen.seed)
    told: Counter[tuple[str, str]] = Counter()
    crashes: Counter[str] = Counter()
    end = time.monotonic() + 60 * chosen.minutes
    with tempfile.TemporaryDirectory() as place:
        for kind, make in SOUND.items():
            (Path(place) / kind).mkdir()
            make(Path(place) / kind)
        while time.monotonic() < end:
            kind = list(SOUND)[stream.integers(len(SOUND))]
            suffix, outcome = attack(Path(place) / kind, stream)
            crashed = outcome not in ("read", "refused")
            told[kind, "crashed" if crashed else outcome] += 1
            if crashed:
                crashes[f"{kind} {suffix}: {outcome}"] += 1
    for kind in SOUND:
        counts = {what: told[kind, what] for what in ("read", "refused", "crashed")}
        print(f"{kind:14}", ", ".join(f"{number} {what}" for what, number in counts.items()))
    for text, number in crashes.most_common():
        print(f"{number} × {text}")
    raise SystemExit(bool(crashes))


if __name__ == "__main__":
    main()

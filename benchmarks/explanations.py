"""Do the champion's contributions lie where the simulation put the cause?

    medgraft repro experiment=simulated_sequence 'strategies=[scratch,fine_tune]'
    python benchmarks/explanations.py

Runs in a project whose champion is of a simulated cohort. Prints the share of the contributions
that lies on what was planted, what chance would put there, and how often chance does as well: over
all sets of as many markers, else over 999 rearrangements within every record.
"""

import json
from itertools import combinations
from pathlib import Path

import numpy as np

from medgraft.cohorts.catalogue import simulated_image, simulated_sequence
from medgraft.config import project_root, read_params
from medgraft.deployment.explain import load
from medgraft.preparation.arrays import read

DRAWS = 999
MATCH = 0.6  # correlation of a field with a shadow's pattern that tells it is there


def main() -> None:
    root = project_root()
    model, target = load(root / "work" / "champion"), read(root / "work" / "prepared" / "target")
    truth = json.loads(
        (root / Path(read_params(root)["cohort"]["folder"]) / "truth.json").read_text()
    )
    blocks = [target.x[at : at + 64] for at in range(0, len(target), 64)]
    parts = np.concatenate([np.abs(model.shares(block).mean().parts[0, :, 0]) for block in blocks])
    weights = np.array(truth["small"]["weights"])
    if "markers" in truth:
        names, planted = model.records.features, np.array(truth["markers"])[weights != 0]
        markers(parts.mean(0), np.isin(names, planted), np.isin(names, truth["markers"]))
    elif "motifs" in truth:
        rearranged(parts, motifs(np.asarray(target.x), weights))
    else:
        rearranged(fields(parts).sum(-1), shadows(np.asarray(target.x)[:, 0], weights))


def markers(mass: np.ndarray, planted: np.ndarray, marker: np.ndarray) -> None:
    """Against all sets of as many markers."""
    found = mass[planted].sum() / mass.sum()
    sets = list(combinations(np.flatnonzero(marker), int(planted.sum())))
    chance = np.array([mass[list(one)].sum() for one in sets]) / mass.sum()
    tell(found, chance.mean(), (chance >= found - 1e-12).mean(), f"{len(sets)} sets of markers")


def rearranged(mass: np.ndarray, planted: np.ndarray) -> None:
    """Against the same masks turned around by a random distance in every record ``[n, places]``."""
    random = np.random.default_rng(1)
    mass = mass / mass.sum(1, keepdims=True)
    rows, places = mass.shape
    turned = [
        mass[planted[np.arange(rows)[:, None], (np.arange(places) + shift) % places]].sum() / rows
        for shift in random.integers(0, places, (DRAWS, rows, 1))
    ]
    found = mass[planted].sum() / rows
    p = (1 + np.sum(np.array(turned) >= found)) / (1 + DRAWS)
    tell(found, planted.mean(), p, f"{DRAWS} rearrangements of {rows} records")


def motifs(x: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Which positions hold a motif that counts, ``[n, length]``."""
    planted = np.zeros(x.shape, dtype=bool)
    letters = "".join(simulated_sequence.LETTERS)
    for weight, pair in zip(weights, simulated_sequence.MOTIFS, strict=True):
        motif = np.array([letters.index(one) for one in pair[int(weight < 0)]])
        windows = np.lib.stride_tricks.sliding_window_view(x, len(motif), axis=1)
        for row, at in np.argwhere((windows == motif).all(-1)) if weight else ():
            planted[row, at : at + len(motif)] = True
    return planted


def fields(images: np.ndarray) -> np.ndarray:
    """``[n, 24, 24]`` as ``[n, 9, 64]``."""
    size, across = simulated_image.FIELD, simulated_image.ACROSS
    parts = images.reshape(-1, across, size, across, size).swapaxes(2, 3)
    return parts.reshape(len(images), across**2, size**2)


def shadows(films: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Which fields hold a shadow that counts, ``[n, 9]``: the pattern that fits best, if well."""
    size = simulated_image.FIELD
    seen = fields(films.astype(float)).reshape(len(films), -1, size, size)[:, :, :7, :7]
    seen = seen.reshape(*seen.shape[:2], -1)
    drawn = np.array(
        [[dot == "1" for dot in p.replace(" ", "")] for _, p in simulated_image.PATTERNS]
    )
    drawn = (drawn - drawn.mean(1, keepdims=True)) / drawn.std(1, keepdims=True)
    seen = (seen - seen.mean(-1, keepdims=True)) / seen.std(-1, keepdims=True)
    fit = seen @ drawn.T / drawn.shape[1]
    counts = np.stack([weights > 0, weights < 0], axis=1).ravel()
    return (fit.max(-1) > MATCH) & counts[fit.argmax(-1)]


def tell(found: float, chance: float, p: float, of: str) -> None:
    print(f"{found:.3f} of the contributions lies on what was planted; chance {chance:.3f}; "
          f"as much by chance p = {p:.4f} ({of})")  # fmt: skip


if __name__ == "__main__":
    main()

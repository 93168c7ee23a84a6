"""What the scores of some patients say of the next one's, if all are exchangeable.

Vovk, Gammerman & Shafer 2005 (Algorithmic Learning in a Random World), chapter 2.
"""

from math import ceil

import numpy as np

from medgraft.tasks.task import Floats, Integers


def threshold(scores: Floats, level: float) -> float:
    """Return the score up to which answers are kept: the ceil((n + 1) level)-th smallest of n.

    Infinite where n is under level / (1 - level): everything is kept, or truths would be missed
    more often than stated.
    """
    rank = ceil((len(scores) + 1) * level - 1e-9)
    return float(np.sort(scores)[rank - 1]) if rank <= len(scores) else float("inf")


def worst(patient: Integers, scores: Floats) -> Floats:
    """One score per patient, the largest: rows of one patient are not exchangeable with others."""
    people, place = np.unique(patient, return_inverse=True)
    found = np.full(len(people), -np.inf)
    np.maximum.at(found, place, scores)
    return found


def least(level: float) -> int:
    """Fewest patients with whom a threshold is finite."""
    return ceil(level / (1 - level) - 1e-9)

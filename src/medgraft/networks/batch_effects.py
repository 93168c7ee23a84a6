"""Where a cohort's genes lie and how far they spread, given another cohort's.

All values are tensors ``[G]``, NaN where a gene was never seen. Corrections take the cohort's own
``mean``, ``scale`` (population standard deviation) and ``count`` of measured patients, and the
reference's ``mean`` and ``scale``; they answer what to subtract and what to divide by.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

ROUNDS = 10  # the two posteriors settle to 1e-4 in fewer
LEAST = 1e-8  # a spread over genes below this is none


def own(
    mean: Tensor, scale: Tensor, count: Tensor, reference_mean: Tensor, reference_scale: Tensor
) -> tuple[Tensor, Tensor]:
    """Per-cohort standardisation: every gene by the cohort's own mean and scale."""
    del count, reference_mean, reference_scale
    return mean, scale


def combat(
    mean: Tensor, scale: Tensor, count: Tensor, reference_mean: Tensor, reference_scale: Tensor
) -> tuple[Tensor, Tensor]:
    """ComBat with the reference as its reference batch: shifts and spreads shrunken over genes.

    Johnson, Li, Rabinovic, "Adjusting batch effects in microarray expression data using empirical
    Bayes methods", Biostatistics 8 (2007) 118-127; parametric priors. A cohort of few patients
    borrows the shift that all genes share. The reference itself is standardised.
    """
    shift = (mean - reference_mean) / reference_scale
    ratio = (scale / reference_scale) ** 2 * count / (count - 1).clamp_min(1)
    shift, ratio = shrunken(shift, ratio, count)
    return reference_mean + shift * reference_scale, ratio.sqrt() * reference_scale


def shrunken(shift: Tensor, variance: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
    """Posterior means of ``shift [G]`` and ``variance [G]`` (sample variances of ``count [G]``).

    Equations 3.1 and 3.2 of Johnson et al.; the sum of squares follows from the variance, so no
    patient is needed.
    """
    known = ~torch.isnan(shift) & ~torch.isnan(variance)
    centre, spread = _over_genes(shift, known)
    average, disorder = _over_genes(variance, known)
    a = 2 + average**2 / disorder
    b = average + average**3 / disorder
    posterior, noise = shift, variance
    for _ in range(ROUNDS):
        posterior = (spread * count * shift + noise * centre) / (spread * count + noise)
        squares = (count - 1) * variance + count * (shift - posterior) ** 2
        noise = (squares / 2 + b) / (count / 2 + a - 1)
    return posterior, noise


def _over_genes(value: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and sample variance of the known entries of ``[G]``."""
    count = known.sum().clamp_min(1)
    mean = torch.where(known, value, 0).sum() / count
    squares = torch.where(known, value - mean, 0).square().sum()
    return mean, (squares / (count - 1).clamp_min(1)).clamp_min(LEAST)


CORRECTIONS: Mapping[str, Callable[..., tuple[Tensor, Tensor]]] = {"own": own, "combat": combat}

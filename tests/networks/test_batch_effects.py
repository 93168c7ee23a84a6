import numpy as np
import pytest
import torch

from medgraft.networks.batch_effects import combat

# Two patients of batch b as neuroCombat 0.2.12 (MIT) corrects them with `ref_batch="a"`.
NEUROCOMBAT = [
    [7.10729, 6.17174, 5.91138, 9.55573, 8.47400, 3.03738],
    [9.04349, 5.98896, 6.04385, 9.79965, 8.38037, 2.73405],
]


def batches() -> tuple[torch.Tensor, torch.Tensor]:
    """Twelve patients of one batch, seven of another that is shifted and spread differently."""
    rng = np.random.RandomState(0)  # its stream never changes
    genes = 6
    level = rng.normal(5, 2, genes)
    a = level + rng.normal(0, 1, (12, genes)) * rng.uniform(0.5, 2, genes)
    shift = rng.normal(0, 0.5, genes)
    b = level + 1 + shift + rng.normal(0, 1, (7, genes)) * rng.uniform(0.5, 3, genes)
    return torch.tensor(a.round(2)), torch.tensor(b.round(2))


def moments(x):
    return x.mean(0), x.std(0, correction=0)


def count(x):
    return torch.full((x.shape[1],), float(len(x)))


def test_correction_equals_neurocombat():
    a, b = batches()
    centre, spread = combat(*moments(b), count(b), *moments(a))
    corrected = (b - centre) / spread * moments(a)[1] + moments(a)[0]
    np.testing.assert_allclose(corrected[:2], NEUROCOMBAT, atol=2e-5)


def test_reference_is_standardised():
    a, _ = batches()
    centre, spread = combat(*moments(a), count(a), *moments(a))
    torch.testing.assert_close(centre, moments(a)[0])
    torch.testing.assert_close(spread, a.std(0))


@pytest.mark.parametrize("patients", [5, 100_000])
def test_few_patients_borrow_from_genes(patients):
    """With many patients a gene's own shift counts, with few the shift all genes share."""
    generator = torch.Generator().manual_seed(1)
    shifts = 2 + 0.1 * torch.randn(200, generator=generator, dtype=torch.float64)
    noise = torch.randn(200, generator=generator, dtype=torch.float64) / patients**0.5
    one = torch.ones(200, dtype=torch.float64)
    centre, _ = combat(shifts + noise, one, patients * one, 0 * one, one)
    kept = float(centre.std() / (shifts + noise).std())
    assert kept > 0.99 if patients > 1000 else kept < 0.6


def test_unseen_gene_leaves_others():
    a, b = batches()
    whole = combat(*moments(b), count(b), *moments(a))
    gap = torch.tensor([torch.nan])
    own = [torch.cat([value, gap]) for value in (*moments(b), count(b))]
    found = combat(*own, *(torch.cat([value, gap]) for value in moments(a)))
    for before, after in zip(whole, found, strict=True):
        torch.testing.assert_close(after[:-1], before)
        assert after[-1].isnan()

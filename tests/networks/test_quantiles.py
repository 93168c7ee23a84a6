import torch
from torch.func import vmap

from medgraft.networks.quantiles import curve, normalised

# Four genes of three samples, as in https://en.wikipedia.org/wiki/Quantile_normalization.
SAMPLES = torch.tensor([[5.0, 2, 3, 4], [4, 1, 4, 2], [3, 4, 6, 8]])


def test_worked_example_is_met():
    reference = curve(SAMPLES).mean(0)
    expected = [[5.67, 2.00, 3.00, 4.67], [5.17, 2.00, 5.17, 3.00], [2.00, 3.00, 4.67, 5.67]]
    found = normalised(SAMPLES, reference)
    torch.testing.assert_close(found, torch.tensor(expected), atol=0.006, rtol=0)


def test_platform_does_not_matter():
    """Any rising transformation of a sample, another platform's scale say, gives the same."""
    x = torch.randn(20, 300, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    reference = curve(x).mean(0)
    torch.testing.assert_close(
        normalised(torch.exp(3 * x) + 7, reference), normalised(x, reference)
    )


def test_missing_genes_stay_missing():
    x = torch.tensor([[3.0, torch.nan, 1.0, 2.0], [torch.nan] * 4])
    found = normalised(x, torch.tensor([0.0, 10.0, 20.0, 30.0]))
    torch.testing.assert_close(
        found, torch.tensor([[30, torch.nan, 0, 15], [torch.nan] * 4]), equal_nan=True
    )
    levels = curve(x)
    torch.testing.assert_close(levels[0], torch.tensor([1.0, 5 / 3, 7 / 3, 3]))
    assert levels[1].isnan().all()


def test_replicas_together_equal_alone():
    x = torch.randn(3, 7, 20)
    x[:, 2, 3] = torch.nan
    references = torch.randn(3, 20).sort().values
    each = [normalised(*pair) for pair in zip(x, references, strict=True)]
    torch.testing.assert_close(vmap(normalised)(x, references), torch.stack(each), equal_nan=True)

import pytest

from medgraft.transfer import learning_rate

NAMES = [
    "encoder.first",
    "encoder.layers.0.weight",
    "encoder.layers.1.weight",
    "encoder.layers.2.weight",
    "readout.gamma",
    "head.linear.weight",
]


def test_flat_changes_nothing():
    assert learning_rate.flat(NAMES) == {}


def test_ulmfit_divides_by_each_layer():
    """Howard and Ruder: the rate of a layer is that of the one above it over 2.6."""
    rates = learning_rate.discriminative(NAMES)
    top_down = [rates[f"encoder.layers.{i}.weight"] for i in (2, 1, 0)]
    assert top_down == pytest.approx([1 / 2.6, 1 / 2.6**2, 1 / 2.6**3])
    assert rates["encoder.first"] == pytest.approx(1 / 2.6**4)
    assert not {"readout.gamma", "head.linear.weight"} & set(rates)


def test_decay_of_one_is_flat():
    assert set(learning_rate.layer_decay(NAMES, decay=1.0).values()) == {1.0}
    assert learning_rate.layer_decay(iter(NAMES))["encoder.layers.1.weight"] == 0.75**2

"""What a pretext says of patients that it cannot learn from."""

import pytest

from contracts import found
from medgraft.construct import construct
from medgraft.errors import ConfigError

FEATURES = {
    "number": {"kind": "number", "may_be_missing": False, "origin": "shared"},
    "sequence": {"kind": "sequence", "letters": "ACGT", "length": 12},
    "image": {"kind": "image", "channels": 1, "height": 8, "width": 8},
}
LEARNS = {
    "masked_feature": "number or category",
    "masked_token": "sequence",
    "masked_image": "image",
    "simclr": "image",
}
CASES = [(name, given) for name in LEARNS for given in FEATURES if given not in LEARNS[name]]
PRETEXTS = {path.stem: found.read(path) for path in found.of("pretext")}


@pytest.mark.parametrize(("name", "given"), CASES)
def test_patients_of_another_kind_are_refused(name, given):
    """Before a network is built of a schema that does not describe it."""
    with pytest.raises(ConfigError) as caught:
        construct(PRETEXTS[name]).network({}, {"features": [FEATURES[given]]}, seed=0)
    assert str(caught.value) == (
        f"the pretext {name} learns from features of kind {LEARNS[name]}, got {given}: "
        "expected another pretrain.pretext"
    )


def test_every_pretext_is_known_here():
    assert {*LEARNS} == {*PRETEXTS} - {"supervised"}

import numpy as np
import pytest
import torch

from medgraft.cohorts import alphabets
from medgraft.errors import StageError
from medgraft.networks.inputs.sequence import UNKNOWN, SequenceInput

DNA = [{"name": "sequence", "kind": "sequence", "letters": "ACGT", "length": 6}]


def test_letters_become_channels():
    x = torch.tensor([[0, 3, 2, 1, 254, 255]], dtype=torch.uint8)
    found = SequenceInput(DNA)(x)
    assert found.dtype == torch.float32
    assert found[0].argmax(0)[:4].tolist() == [0, 3, 2, 1]
    assert found[0].sum(0).tolist() == [1, 1, 1, 1, 0, 0], "unknown letters and padding are zeros"


def test_code_is_the_cohorts():
    """Networks do not import cohorts; the one token they write must still mean the same."""
    assert UNKNOWN == alphabets.UNKNOWN


def test_nothing_is_fitted():
    first = SequenceInput(DNA)
    assert first.fit(np.zeros((3, 6), np.uint8)) == {}
    assert first.state_dict() == {}
    assert first.width == 4


def test_other_features_are_refused():
    with pytest.raises(StageError, match="expected one sequence feature, got number"):
        SequenceInput([{"name": "age", "kind": "number"}])

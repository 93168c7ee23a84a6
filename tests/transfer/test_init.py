import pytest
import torch

from medgraft.transfer import init

NAN = torch.nan


@pytest.fixture
def states():
    fresh = {
        "input.mean": torch.tensor([[1.0, 2.0]]),
        "encoder.layers.0.weight": torch.full((1, 2, 2), 3.0),
        "encoder.steps": torch.tensor([0]),
        "head.weight": torch.full((1, 2), 4.0),
        "readout.scores": torch.zeros(1, 2),
    }
    source = {
        "input.mean": torch.tensor([[9.0, NAN]]),
        "encoder.layers.0.weight": torch.full((1, 2, 2), 8.0),
        "encoder.steps": torch.tensor([5]),
        "head.weight": torch.full((1, 2), 7.0),
    }
    return fresh, source


def plain(state):
    return {name: value.tolist() for name, value in state.items()}


def test_random_ignores_the_source(states):
    fresh, source = states
    assert init.random(fresh, source) is fresh


@pytest.mark.parametrize("start", [init.source, init.source_shared])
def test_cohort_keeps_its_own(start):
    """What describes the target's platform is not the source's to say."""
    own, other = torch.tensor([[1.0]]), torch.tensor([[9.0]])
    names = ("input.own_mean", "input.mean")
    found = start(dict.fromkeys(names, own), dict.fromkeys(names, other))
    assert plain(found) == {"input.own_mean": [[1.0]], "input.mean": [[9.0]]}


def test_source_copies_all_but_unseen(states):
    assert plain(init.source(*states)) == {
        "input.mean": [[9.0, 2.0]],
        "encoder.layers.0.weight": [[[8.0, 8.0], [8.0, 8.0]]],
        "encoder.steps": [5],
        "head.weight": [[7.0, 7.0]],
        "readout.scores": [[0.0, 0.0]],
    }


def test_shared_leaves_the_head(states):
    found = plain(init.source_shared(*states))
    assert found["head.weight"] == [[4.0, 4.0]]
    assert found | {"head.weight": [[7.0, 7.0]]} == plain(init.source(*states))


def test_head_of_other_classes_stays(states):
    fresh, source = states
    found = init.source(fresh, source | {"head.weight": torch.ones(1, 5)})
    assert found["head.weight"] is fresh["head.weight"]

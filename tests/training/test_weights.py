import pytest
import torch

from medgraft.errors import StageError
from medgraft.training import weights


def test_values_return_unchanged(tmp_path):
    state = {
        "b": torch.randn(3, 4, 2).transpose(1, 2),
        "a": torch.tensor([1, 2, 3]),
        "c": torch.tensor([torch.nan, 1.0, -0.0]),
    }
    weights.write(tmp_path / "new" / "folder", state, {"network": {"widths": [1]}})
    found, description = weights.read(tmp_path / "new" / "folder")
    assert description == {"network": {"widths": [1]}}
    assert found.keys() == state.keys()
    for name, value in state.items():
        assert found[name].dtype == value.dtype
        torch.testing.assert_close(found[name], value, rtol=0, atol=0, equal_nan=True)


def test_bytes_ignore_the_order(tmp_path):
    state = {"b": torch.ones(2), "a": torch.zeros(2)}
    weights.write(tmp_path / "1", state, {})
    weights.write(tmp_path / "2", dict(reversed(state.items())), {})
    one, two = (tmp_path / name / "weights.safetensors" for name in "12")
    assert one.read_bytes() == two.read_bytes()


def test_missing_file_is_named(tmp_path):
    path = tmp_path / "weights.safetensors"
    with pytest.raises(StageError) as caught:
        weights.read(tmp_path)
    assert str(caught.value) == f"{path} not found: run the stage that writes it first"


@pytest.mark.parametrize("keep", [0, 5, 60])
def test_damaged_file_is_named(tmp_path, keep):
    weights.write(tmp_path, {"a": torch.ones(30)}, {})
    path = tmp_path / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(StageError) as caught:
        weights.read(tmp_path)
    assert str(caught.value).startswith(f"{path}: not a safetensors file (")


def test_shorter_tensors_end_nan():
    stacked = weights.pad([torch.ones(2, 1), torch.full((1, 3), 2.0)])
    nan = torch.nan
    expected = torch.tensor([[[1, nan, nan], [1, nan, nan]], [[2, 2, 2], [nan, nan, nan]]])
    torch.testing.assert_close(stacked, expected, equal_nan=True)

"""What ships: the guard's choice, or another by force and with a reason."""

import shutil

import pytest
import yaml

from medgraft import composition, config
from medgraft.errors import ConfigError, MedgraftError
from medgraft.promotion import promote

CANDIDATES = [{"strategy": name} for name in ("scratch", "fine_tune", "linear_probe")]
FOLLOWED = {
    "champion": {"strategy": "scratch", "reason": "It is the best.", "candidates": CANDIDATES}
}
OVERRULED = {
    "champion": {**FOLLOWED["champion"], "strategy": "fine_tune", "overruled": "scratch"},
}


@pytest.fixture
def project(root, tmp_path):
    shutil.copytree(root / "conf", tmp_path / "conf")
    (tmp_path / "conf" / "chosen.yaml").unlink(missing_ok=True)
    config.settle(tmp_path, composition.compose(tmp_path), trusted=True)
    return tmp_path


def shipped(project) -> tuple[str | None, str | None]:
    """What params.yaml says, which is what conf/ composes to."""
    params = yaml.safe_load((project / "params.yaml").read_text())
    assert composition.compose(project) == params
    return params["evaluation"]["ship"], params["evaluation"]["ship_why"]


@pytest.mark.parametrize(
    ("force", "why"), [(False, None), (True, None), (True, "  "), (False, "Because.")]
)
def test_against_the_guard_needs_force_and_reason(project, force, why):
    with pytest.raises(MedgraftError, match=r"fine_tune is not what the guard chose\. It is the"):
        promote(project, FOLLOWED, "fine_tune", force=force, why=why)
    assert shipped(project) == (None, None)


def test_force_and_reason_are_written_down(project):
    promote(project, FOLLOWED, "fine_tune", force=True, why='it\'s "wanted":\n by {all}')
    assert shipped(project) == ("fine_tune", 'it\'s "wanted": by {all}.')


def test_reason_is_no_reference(project):
    """Composing put the environment's value in the place of what looked like its name."""
    why = "${oc.env:HOME} and ${seed} are words here."
    promote(project, FOLLOWED, "fine_tune", force=True, why=why)
    assert shipped(project) == ("fine_tune", why)


def test_reason_that_would_move_a_cursor_is_refused(project):
    """It goes wherever the model goes: cards, MLflow, terminals."""
    with pytest.raises(ConfigError, match="ship_why: expected text without control characters"):
        promote(project, FOLLOWED, "fine_tune", force=True, why="good \x1b[2J")
    assert shipped(project) == (None, None)


def test_guards_choice_needs_nothing_and_undoes_the_other(project):
    promote(project, FOLLOWED, "fine_tune", force=True, why="We say so.")
    promote(project, OVERRULED, "scratch", force=False, why=None)
    assert shipped(project) == (None, None)


def test_unknown_strategy_is_named(project):
    with pytest.raises(ConfigError, match=r"fine_tun: was not evaluated.*fine_tune"):
        promote(project, FOLLOWED, "fine_tun", force=True, why="We say so.")


def test_ship_without_reason_is_no_configuration(project):
    params = composition.compose(project)
    params["evaluation"]["ship"] = "fine_tune"
    with pytest.raises(ConfigError, match="ships with a reason in ship_why"):
        config.validate(params)

"""A result says how to make it again."""

import html
import re
import shlex

import pytest
import yaml

from medgraft import composition, config
from medgraft.preparation.arrays import read_json
from medgraft.provenance import raw_data

from .project import SMALL, commit, done, git, medgraft, ran, results

pytestmark = pytest.mark.slow


def test_report_has_the_command_that_makes_it_again(finished_once):
    """It composes to what was run."""
    page = (finished_once / "work" / "evaluation" / "report.html").read_text()
    told = dict(re.findall(r'<dt>(.*?)</dt><dd class="verbatim">(.*?)</dd>', page))
    command = shlex.split(html.unescape(told["To reproduce, in a clone with the same raw data"]))
    assert command[:2] == ["medgraft", "repro"]
    again = composition.compose(finished_once, command[2:])
    assert again == config.read_params(finished_once)


def test_champion_tells_the_hash_of_the_folder_it_learned_from(finished_once, tmp_path):
    """Not of everything that lies in data/."""
    lock = yaml.safe_load((finished_once / "dvc.lock").read_text())
    read = {one["path"]: one["md5"] for one in lock["stages"]["preprocess"]["deps"]}
    made = read_json(finished_once / "work" / "champion" / "champion.json")["made"]
    assert made["data"] == read["data/breast"]
    assert raw_data(finished_once, "data/another") == raw_data(tmp_path, "data/breast") == ""


def test_old_commit_gives_what_was_stored(finished, tmp_path):
    """The same bits, where nothing was ever run, and the settings have been others since."""
    stored = results(finished)
    commit(finished)
    first = git(finished, "rev-parse", "HEAD").strip()
    done(medgraft(finished, "repro", *SMALL, "trainer.max_steps=20"))
    assert results(finished) != stored
    commit(finished)
    colleague = tmp_path / "colleague"
    git(tmp_path, "clone", "--quiet", str(finished), str(colleague))
    git(colleague, "checkout", "--quiet", first)
    assert {"pretrain", "evaluate"} <= set(ran(done(medgraft(colleague, "repro"))))
    assert results(colleague) == stored

import json

import numpy as np
import pytest

from medgraft.deployment.explain import load
from medgraft.deployment.survey import survey
from medgraft.errors import NotExplained
from medgraft.stages import explain as stage


def test_page_tells_every_kind_of_champion(any_run, tmp_path, monkeypatch, capsys):
    """A figure, or one sentence that says why there is none; two runs give the same bytes."""
    places = {"CHAMPION": any_run.champion, "PREPARED": any_run.work / "prepared"}
    pages = []
    for name in ("a", "b"):
        for key, value in places.items():
            monkeypatch.setattr(stage, key, value)
        monkeypatch.setattr(stage, "EXPLANATION", tmp_path / name)
        monkeypatch.setattr(stage, "PAGE", tmp_path / name / "explanation.html")
        stage.explain()
        pages.append((tmp_path / name / "explanation.html").read_bytes())
    assert pages[0] == pages[1]
    refused = b"Not offered: the champion is the baseline" in pages[0]
    assert refused != (b"<svg role" in pages[0])
    told = json.loads((tmp_path / "a" / "contributions.json").read_text())
    assert refused == ("not_explained" in told)


def test_planted_features_lead(ward):
    """Only age and lab decide; 1 in 10 orders of five features puts both on top by chance."""
    found = survey(ward.champion, ward.work / "prepared")
    names = np.array(found.names)
    assert set(names[np.argsort(-found.value)[:2]]) == {"age", "lab"}
    assert (found.low <= found.value).all()
    assert (found.value <= found.high).all()
    assert found.gap < 0.02


def test_trees_are_refused(any_run):
    if any_run.strategy != "boosting":
        pytest.skip("not trees")
    with pytest.raises(NotExplained, match="gradient_boosting, whose answers are not explained"):
        load(any_run.champion)

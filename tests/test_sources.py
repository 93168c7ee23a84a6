import json

import pytest

from medgraft import cli, sources
from sites import OWN, files, lay


@pytest.fixture
def project(root, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return lay(root, tmp_path)


def ask(*arguments: str) -> int:
    with pytest.raises(SystemExit) as end:
        cli.main(["sources", *arguments])
    return end.value.code or 0


def test_source_like_the_target_comes_first(project, capsys):
    before = files(project)
    assert ask("target=small", "sources=[chance,alike]", *OWN) == 0
    told = json.loads((project / "work" / "sources.json").read_text())
    assert list(told["sources"]) == ["alike", "chance"]
    alike, chance = told["sources"].values()
    assert (alike["replicas"], alike["patients"]) == (5, 400)
    # By every one of the six scores.
    assert (alike["mean_rank"], chance["mean_rank"]) == (1.0, 2.0)
    out = capsys.readouterr().out
    assert out.splitlines()[0].split() == (
        [
            "source",
            "patients",
            "LEEP",
            "NCE",
            "LogME",
            "H-score",
            "TransRate",
            "GBC",
            "mean",
            "rank",
        ]
    )
    assert "Evidence about the sources, not a choice among them" in out
    assert files(project) == before | {
        "work/sources.json": (project / "work" / "sources.json").read_bytes()
    }


def test_numeric_source_has_no_class_scores(project):
    """A source that predicts a number still has features; LEEP and NCE need classes."""
    given = ("task@source_task=regression", "cohort.outcome.source=stay", *OWN)
    assert ask("target=small", "sources=alike", *given) == 0
    scores = json.loads((project / "work" / "sources.json").read_text())["sources"]["alike"][
        "scores"
    ]
    assert {"logme", "gbc"} <= scores.keys()
    assert not {"leep", "nce"} & scores.keys()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["target=small"],
            "expected target=SITE and sources=[SITE,SITE], such as "
            "target=long_beach sources=[cleveland,hungary]",
        ),
        (
            ["target=small", "sources=[alike"],
            "sources=[alike: expected sources=SITE or sources=[SITE,SITE]",
        ),
        (
            ["target=small", "sources=[small]", *OWN],
            "cohort: small cannot be source and target at once",
        ),
    ],
)
def test_mistake_is_one_line(project, capsys, arguments, message):
    assert ask(*arguments) == 2
    assert capsys.readouterr().err == f"medgraft: {message}\n"
    assert not (project / "work").exists()


def test_four_hospitals_need_no_data_folder(project, capsys, cohorts_folder):
    """The published files come from the mirror; nothing is put into the project's data."""
    given = ["experiment=heart", "design.runs=1", "design.sources=1", "trainer.max_steps=25"]
    sites = ["target=long_beach", "sources=[cleveland,switzerland]"]
    assert ask(*sites, *given, "--mirror", str(cohorts_folder)) == 0
    assert not (project / "data" / "heart").exists()
    assert "cleveland    303 " in capsys.readouterr().out


def test_undefined_scores_are_counted():
    assert sources.spread([1.0, float("nan"), 3.0]) == {
        "mean": 2.0,
        "low": 1.0,
        "high": 3.0,
        "undefined": 1,
    }
    assert sources.spread([float("nan")])["mean"] is None


def test_score_without_a_value_ranks_nobody():
    def one(leep, gbc):
        return {"scores": {"leep": {"mean": leep}, "gbc": {"mean": gbc}}}

    placed = sources.ordered({"a": one(-1.0, None), "b": one(-0.5, -2.0)})
    assert {name: entry["mean_rank"] for name, entry in placed.items()} == {"b": 1.0, "a": 2.0}

import json
from itertools import permutations

import numpy as np
import pytest

from medgraft import cli, pairs
from medgraft.errors import LeakError
from sites import OWN, files, lay

SMALL = (
    *(one for one in OWN if "design" not in one),
    "design.runs=1", "design.sources=1", "design.folds=2", "evaluation.draws=200",
    "strategies=[scratch,source_only,recalibrate]",
)  # fmt: skip


@pytest.fixture
def project(root, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return lay(root, tmp_path)


def ask(*arguments: str) -> int:
    with pytest.raises(SystemExit) as end:
        cli.main(["pairs", *arguments])
    return end.value.code or 0


def test_every_ordered_pair_is_studied_once(project, capsys):
    before = files(project)
    assert ask("sites=[alike,small]", *SMALL) == 0
    told = json.loads((project / "work" / "pairs" / "pairs.json").read_text())
    assert [(p["source"], p["target"]) for p in told["pairs"]] == [
        ("alike", "small"),
        ("small", "alike"),
    ]
    assert told["pairs"][0]["patients"] == {"source": 400, "target": 80}
    written = files(project)
    assert {name for name in written if name not in before} == {
        *(f"work/pairs/{name}.json" for name in ("alike_small", "small_alike", "pairs")),
        "work/pairs/ladder.svg",
    }
    assert before.items() <= written.items()
    out = capsys.readouterr().out
    assert "alike   small   400 / 80  " in out
    rows = (project / "data" / "mine" / "small.csv").read_text().split()[1:]
    died = sum(line.split(",")[-2] == "1" for line in rows)
    case = told["pairs"][0]["cases"]["target"]
    assert (case["cases"], case["rows"]) == (died, 80)
    assert f"{case['cases']} of 80 (" in out
    assert "recalibrate" in out


def test_interrupted_command_goes_on(project, monkeypatch):
    """What was studied is not studied again; with other parameters or other raw files it is."""
    studied = []
    monkeypatch.setattr(pairs, "study", lambda config, _: studied.append(config.cohort.target))
    monkeypatch.setattr(
        pairs, "summary", lambda *_: {"best": None, "scores": {}, "ships": "", "patients": {}}
    )
    root = project
    for overrides, times in (((), 2), ((), 0), (("seed=3",), 2)):
        studied.clear()
        pairs.compare(root, ["sites=[alike,small]", *SMALL, *overrides], mirror=None)
        assert len(studied) == times
    path = root / "data" / "mine" / "small.csv"
    path.write_text("\n".join(path.read_text().splitlines()[:-1]) + "\n")
    studied.clear()
    pairs.compare(root, ["sites=[alike,small]", *SMALL, "seed=3"], mirror=None)
    assert len(studied) == 2


def test_refused_pair_does_not_stop_the_others(project, capsys):
    """A target too small for its folds is named, with the reason, under the table."""
    path = project / "data" / "mine" / "small.csv"
    header, *rows = path.read_text().splitlines()
    three = [[row for row in rows if row.split(",")[-2] == died][:3] for died in "01"]
    path.write_text("\n".join([header, *three[0], *three[1]]) + "\n")
    assert ask("sites=[alike,small]", *SMALL) == 0
    assert "alike to small: " in capsys.readouterr().out
    assert [p.name for p in (project / "work" / "pairs").glob("*_*")] == ["small_alike.json"]


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_command_that_has_refused_every_pair_is_refused(form, project, capsys, monkeypatch):
    """The result is there all the same, with the reasons."""

    def study(*_):
        raise LeakError("one patient is in both")

    monkeypatch.setattr(pairs, "study", study)
    assert ask("sites=[alike,small]", *SMALL, *form) == 2
    out, err = capsys.readouterr()
    assert out.count("one patient is in both") == 2
    told = "medgraft: every pair was refused; the result says why of each"
    assert err.splitlines()[-1] == told


def test_sites_are_called_as_they_are_written():
    """YAML would make a truth value of Norway and eight of 010."""
    assert pairs.asked(["sites=[no, 010, 2020-01-01, 1e3, null]"]) == (
        ["no", "010", "2020-01-01", "1e3", "null"],
        [],
    )


@pytest.fixture
def quick(monkeypatch):
    """A study takes no time and comes to nothing."""
    nothing = {"best": None, "scores": {}, "ships": "", "patients": {"source": 1, "target": 1}}
    monkeypatch.setattr(pairs, "study", lambda *_: None)
    monkeypatch.setattr(pairs, "summary", lambda *_: nothing)


@pytest.mark.parametrize("damage", ['{"asked": ', "[]", "{}", "null", "\udcff", "[" * 100_000])
def test_damaged_study_is_made_again(damage, project, quick):
    path = project / "work" / "pairs" / "alike_small.json"
    path.parent.mkdir(parents=True)
    path.write_bytes(damage.encode(errors="surrogateescape"))
    assert ask("sites=[alike,small]", *SMALL) == 0
    assert json.loads(path.read_text())["target"] == "small"


def test_site_called_like_a_path_stays_in_its_folder(project, quick):
    path = project / "data" / "mine" / "cohort.yaml"
    path.write_text(path.read_text().replace("  alike: ", '  "../../up": '))
    before = files(project)
    assert ask('sites=["../../up",small]', *SMALL) == 0
    written = {name for name in files(project) if name not in before}
    assert written == {
        *(f"work/pairs/{name}.json" for name in ("pairs", "..%2F..%2Fup_small")),
        "work/pairs/small_..%2F..%2Fup.json",
    }


def test_leak_between_two_sites_does_not_stop_the_others(project, capsys, quick, monkeypatch):
    def study(config, _):
        if config.cohort.source == ["alike"]:
            raise LeakError("one patient is in both")

    monkeypatch.setattr(pairs, "study", study)
    assert ask("sites=[alike,small]", *SMALL) == 0
    assert "alike to small: one patient is in both" in capsys.readouterr().out
    assert [p.name for p in (project / "work" / "pairs").glob("*_*")] == ["small_alike.json"]


@pytest.mark.parametrize(
    ("sites", "message"),
    [
        ("sites=[alike,nowhere]", "sites: 'nowhere' is none of alike, chance, small"),
        ("sites=[small]", "sites: expected two or more of alike, chance, small"),
        ("sites=[]", "sites=[]: expected sites=SITE or sites=[SITE,SITE]"),
        ("sites=", "sites=: expected sites=SITE or sites=[SITE,SITE]"),
        ("sites=[alike", "sites=[alike: expected sites=SITE or sites=[SITE,SITE]"),
        (
            "sites=[[alike],[small]]",
            "sites=[[alike],[small]]: expected sites=SITE or sites=[SITE,SITE]",
        ),
        ("sites=*x", "sites=*x: expected sites=SITE or sites=[SITE,SITE]"),
        ("sites=2020-13-45", "sites: '2020-13-45' is none of alike, chance, small"),
    ],
)
def test_mistake_is_one_line(project, capsys, sites, message):
    assert ask(sites, *SMALL) == 2
    assert capsys.readouterr().err == f"medgraft: {message}\n"
    assert not (project / "work").exists()


def test_best_p_is_adjusted_for_all_pairs():
    """Holm 1979: the smallest times the number of pairs, the next times one less."""
    found = [{"best": {"p_holm": p}} for p in (0.01, 0.2, 0.015)]
    adjusted = [pair["p_all_pairs"] for pair in pairs.adjusted(found)]
    np.testing.assert_allclose(adjusted, [0.03, 0.2, 0.03])


@pytest.mark.slow
def test_twelve_pairs_of_four_hospitals_are_one_table(project, capsys, cohorts_folder):
    """With ranking and calibration of every step; told in as many lines, and kept as numbers."""
    sites = ("cleveland", "hungary", "switzerland", "long_beach")
    steps = ("source_only", "recalibrate_intercept", "recalibrate")
    given = (
        "experiment=heart", f"strategies=[scratch,{','.join(steps)}]", "design.runs=1",
        "design.sources=1", "design.folds=2", "evaluation.draws=200", "trainer.max_steps=25",
    )  # fmt: skip
    assert ask(*given, "--mirror", str(cohorts_folder)) == 0
    told = json.loads((project / "work" / "pairs" / "pairs.json").read_text())
    assert {(one["source"], one["target"]) for one in told["pairs"]} == set(permutations(sites, 2))
    for one in told["pairs"]:
        for step in steps:
            assert {"auroc", "calibration_slope", "brier"} <= one["scores"][step].keys()
        before, after = (one["scores"][step]["brier"]["value"] for step in (steps[0], steps[2]))
        assert 0 < min(before, after) <= max(before, after) < 1
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    for one in permutations(sites, 2):
        told_of = [row for row in rows if tuple(row[:2]) == one]
        assert len(told_of) == 1 + len(steps), one
        assert [row[2] for row in told_of[1:]] == list(steps)

"""Planted names, record numbers and dates of birth: no byte of any result may hold one."""

import pytest

from stages.project import DESCRIPTION, OWN, SMALL, clone, done, medgraft, own_cohort

pytestmark = pytest.mark.slow

PLANTED = ("Wilhelmina Canarius", "MRN-90817263", "1931-02-29")
# Raw data and what is a copy of them: the folder itself, and DVC's cache of it.
RAW = ("data", ".dvc/cache", ".git")


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """A cohort whose patients are called so; the pipeline's output."""
    root = clone(tmp_path_factory.mktemp("canaries") / "project")
    mine = own_cohort(root)
    described = DESCRIPTION.replace(
        "columns:\n",
        "columns:\n  who: {kind: identifier}\n  born: {kind: identifier}\n  memo: {kind: ignore}\n",
    )
    (mine / "cohort.yaml").write_text(described)
    for site in ("big", "small"):
        path = mine / f"{site}.csv"
        names, *rows = path.read_text().splitlines()
        told = [f"{names},who,born,memo"]
        for i, row in enumerate(rows):
            first, rest = row.split(",", 1)
            who, record, born = PLANTED
            told.append(f"{first}-{record},{rest},{who} {i},{born},seen {who}")
        path.write_text("\n".join(told) + "\n")
    process = medgraft(root, "repro", *OWN, *SMALL, "task=binary", "cohort.outcome.target=died")
    done(process)
    return root, process.stdout + process.stderr


def places(root) -> list[str]:
    """Files that hold a canary, by content or by name."""
    found = []
    for path in root.rglob("*"):
        name = path.relative_to(root).as_posix()
        if path.is_file() and not name.startswith(RAW):
            data = path.read_bytes()
            if any(word.encode() in data or word in name for word in PLANTED):
                found.append(name)
    return found


def test_canaries_reach_no_result(planted):
    root, output = planted
    assert not any(word in output for word in PLANTED)
    assert (root / "work" / "evaluation" / "report.html").is_file()
    assert list((root / "mlflow").rglob("*"))
    assert places(root) == []


def test_canaries_reach_no_message(planted):
    """A wrong cell, a ragged row, a lost column: the message names the line, not the person."""
    root, _ = planted
    path = root / "data" / "mine" / "small.csv"
    sound = path.read_text()
    names, first, *rest = sound.splitlines()
    spoilt = {
        "cell": [names, first.replace(first.split(",")[1], "old"), *rest],
        "row": [names, first + ",9", *rest],
        "header": [first, *rest],
        "column": [names.replace("age", "agee"), first, *rest],
        "quote": [names, '"' + first, *rest],
    }
    for lines in spoilt.values():
        path.unlink()
        path.write_text("\n".join(lines) + "\n")
        process = medgraft(root, "repro")
        assert process.returncode == 2
        told = process.stdout + process.stderr
        assert "Traceback" not in told
        assert not any(word in told for word in PLANTED), told


def test_results_are_private(planted):
    """Nobody but the owner reads a file that was made of patients."""
    root, _ = planted
    made = [path for path in (root / "work").rglob("*") if path.is_file()]
    assert made
    assert [p.name for p in made if p.stat().st_mode & 0o077] == []

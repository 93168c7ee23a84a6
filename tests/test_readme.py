"""The README's commands, run as a newcomer would in a fresh copy; its verdict, compared."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
# Would run these tests inside themselves, set up an environment, or need the network.
NOT_HERE = ("make test", ". .venv", "medgraft repro experiment=heart")

# How far the default experiment's metrics may be from the stored ones on another machine.
ELSEWHERE = 0.01


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def commands() -> list[str]:
    whole = [block.replace("\\\n", " ") for block in blocks("bash")]
    lines = [line.split(" #")[0].strip() for block in whole for line in block.split("\n")]
    return [line for line in lines if line and not line.startswith(NOT_HERE)]


def verdicts(text: str) -> dict[str, str]:
    """Strategy -> verdict in a printed table; digits may differ in the last place elsewhere."""
    rows = re.findall(r"^(\w+) .*(helps|harms|cannot tell)$", text, flags=re.MULTILINE)
    return dict(rows)


def test_two_commands_come_first():
    head = README.split("\n")[:20]
    assert any(line.startswith("make repro") for line in head)
    assert any(line.startswith("make test") for line in head)


def test_every_make_target_exists():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    assert set(re.findall(r"make ([a-z-]+)", README)) <= targets


def test_every_link_leads_somewhere():
    links = re.findall(r"\]\(([^)#]+)\)", README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


@pytest.mark.slow
def test_commands_print_what_is_shown(tmp_path):
    copy = tmp_path / "medgraft"
    tracked = subprocess.check_output(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT)
    for name in tracked.decode().split("\n"):
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy / name)
    (copy / ".venv").mkdir()
    (copy / ".venv" / "installed").touch()  # this environment serves
    subprocess.run(["git", "init", "--quiet"], cwd=copy, check=True)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "PYTHONPATH": str(copy / "src")}
    printed = ""
    for command in commands():
        done = subprocess.run(
            command,
            shell=True,
            cwd=copy,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        printed += done.stdout
    assert verdicts(printed) == verdicts(blocks("text")[0])
    assert len(verdicts(printed)) == 9
    assert printed.count("\nP0") == 3, "three new patients, three answers"
    told = json.loads((copy / "work" / "evaluation" / "metrics.json").read_text())
    stored = json.loads((ROOT / "tests" / "default_results.json").read_text())
    assert sorted(told) == sorted(stored)
    for strategy, metrics in stored.items():
        found = {name: told[strategy][name]["value"] for name in metrics}
        assert found == pytest.approx(metrics, abs=ELSEWHERE), strategy

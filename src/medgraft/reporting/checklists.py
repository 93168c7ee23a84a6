"""Checklists for the authors, answered as far as the artefacts of a run can.

TRIPOD+AI (Collins and others 2024, BMJ 385:e078378) for the report of the study, and PROBAST+AI
(Moons and others 2025, BMJ 388:e082505) for what there is to judge it by.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from medgraft.reporting.facts import Written, markdown
from medgraft.reporting.report import TEMPLATES

NAMES = ("tripod_ai", "probast_ai")


def write(folder: Path, facts: Mapping[str, Any]) -> None:
    """Write `folder`/tripod_ai.md and probast_ai.md. facts: `facts.gather`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in NAMES:
        (folder / f"{name}.md").write_text(filled(name, facts), encoding="utf-8")


def checklist(name: str) -> dict[str, Any]:
    """What is asked: title, source, and by part its items.

    An item has a `number`, a `topic` and what it `asks`; of `answer` (a template, with the place
    where it was `found`) and what it `lacks` at least one.
    """
    return dict(yaml.safe_load((TEMPLATES / f"{name}.yaml").read_text(encoding="utf-8")))


def filled(name: str, facts: Mapping[str, Any]) -> str:
    """The checklist as a page of markdown."""
    environment, asked = markdown(), checklist(name)

    def said(item: Mapping[str, Any]) -> Written:
        # Every value in it has been escaped while it was filled in.
        return Written(environment.from_string(item.get("answer", "")).render(**facts))

    asked["parts"] = [
        part | {"items": [item | {"said": said(item)} for item in part["items"]]}
        for part in asked["parts"]
    ]
    return str(environment.get_template("checklist.md").render(**facts, **asked))

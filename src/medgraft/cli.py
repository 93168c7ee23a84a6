"""The ``medgraft`` command."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from medgraft import __version__, composition, config
from medgraft.construct import locate
from medgraft.errors import MedgraftError, SealError
from medgraft.stages.run import CHAMPION, EVALUATION

if TYPE_CHECKING:
    from medgraft.cohorts.seal import Changes

OVERRIDES = "Hydra overrides, e.g. experiment=heart strategies=[scratch,fine_tune]"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a subcommand; exit code 2 and one message for what the user can put right."""
    chosen = parser().parse_args(arguments)
    try:
        raise SystemExit(chosen.run(chosen))
    except MedgraftError as error:
        print(f"medgraft: {error}", file=sys.stderr)
        raise SystemExit(2) from None


def parser() -> argparse.ArgumentParser:
    """Every subcommand and its options."""
    top = argparse.ArgumentParser(
        prog="medgraft",
        description="Does transfer learning help a small clinical cohort, and which strategy?",
        epilog="example: medgraft repro experiment=heart --mirror ../cohorts",
    )
    top.add_argument("--version", action="version", version=f"medgraft {__version__}")
    commands = top.add_subparsers(required=True, metavar="COMMAND")

    repro = commands.add_parser("repro", help="compose, get the data, run the pipeline, print")
    takes_overrides(repro)
    repro.add_argument("--mirror", type=Path, help="folder that holds published files, for offline")
    repro.set_defaults(run=run_repro)

    compose = commands.add_parser("compose", help="write params.yaml from conf/")
    takes_overrides(compose)
    compose.set_defaults(run=run_compose)

    fetch = commands.add_parser("fetch", help="put the configured cohort's raw files into data/")
    fetch.add_argument("--mirror", type=Path, help="folder that holds published files, for offline")
    fetch.set_defaults(run=run_fetch)

    predict = commands.add_parser("predict", help="ask the champion about new patients")
    predict.add_argument("--input", type=Path, required=True, help="raw records, .csv or .csv.gz")
    predict.add_argument("--output", type=Path, required=True, help="answers, one row per record")
    predict.add_argument("--champion", type=Path, help="folder of the model (work/champion)")
    predict.set_defaults(run=run_predict)

    verdict = commands.add_parser("verdict", help="print the last verdict")
    verdict.set_defaults(run=run_verdict)
    return top


def takes_overrides(command: argparse.ArgumentParser) -> None:
    """What a command that composes the configuration accepts."""
    command.add_argument("overrides", nargs="*", help=OVERRIDES)
    command.add_argument("--defaults", action="store_true", help="forget earlier overrides")
    command.add_argument("--config-dir", type=Path, help="your own conf/, searched beside this one")


def run_compose(chosen: argparse.Namespace) -> int:
    """Compose and validate; overrides given replace the recorded ones."""
    root = config.project_root()
    given = bool(chosen.overrides) or chosen.defaults or chosen.config_dir
    overrides = [*chosen.overrides, *search_path(chosen.config_dir)] if given else None
    config.settle(root, composition.compose(root, overrides))
    if overrides is not None:
        composition.record(root, overrides)
    return 0


def search_path(folder: Path | None) -> list[str]:
    """The override that lets Hydra find a user's own configurations beside ``conf/``."""
    return [f"hydra.searchpath=[file://{folder.resolve()}]"] if folder else []


def run_fetch(chosen: argparse.Namespace) -> int:
    """Materialise the configured cohort and seal it."""
    root = config.project_root()
    materialise(root, mirror=chosen.mirror)
    return 0


def run_repro(chosen: argparse.Namespace) -> int:
    """The whole way: configuration, data, ``dvc repro``, verdict."""
    run_compose(chosen)
    root = config.project_root()
    materialise(root, mirror=chosen.mirror)
    if dvc(root, "repro"):
        return 2  # the stage and DVC have said why
    return run_verdict(chosen)


def run_predict(chosen: argparse.Namespace) -> int:
    """Answer the records of a file; a record that cannot be answered gets the reason."""
    from medgraft.deployment.predict import predict

    champion = chosen.champion or config.project_root() / CHAMPION
    print(predict(champion, chosen.input, chosen.output).text())
    return 0


def run_verdict(chosen: argparse.Namespace) -> int:
    """Print the verdict of the last evaluation."""
    del chosen
    path = config.project_root() / EVALUATION / "verdict.json"
    if not path.is_file():
        raise MedgraftError(f"{path} not found: run `medgraft repro` first")
    from medgraft.reporting.text import terminal

    print(terminal(json.loads(path.read_text()), report=EVALUATION / "report.html"))
    return 0


def materialise(root: Path, *, mirror: Path | None) -> None:
    """Put the configured cohort's raw files in place and let no changed byte pass.

    A folder that is not there yet is made from its catalogue entry, checked against pinned hashes,
    and sealed. What is sealed already must be what was sealed.

    Raises:
        CohortError: a file cannot be had, or is not the one that was pinned.
        SealError: sealed raw data have changed.
    """
    from medgraft.cohorts import seal

    cohort = config.read_params(root)["cohort"]
    folder, data, sealed = root / cohort["folder"], root / "data", root / "data.dvc"
    if cohort["origin"] and not folder.exists():
        locate(cohort["origin"])(folder, mirror)
    if not folder.is_dir():
        raise SealError(f"{folder}: the folder is absent; cohort.folder must name your raw files")
    if data not in folder.parents:
        return  # an own folder elsewhere: DVC hashes it as the dependency it is
    if not sealed.is_file():
        add(root)
        return
    changes = seal.changes(data, sealed)
    if not changes.known:
        changes = beyond_default(root, mirror) or changes
    if not changes:
        fill_cache(root, sealed)
        return
    inside = [name for name in changes.added if folder in (data / name).parents]
    if not changes.known or (*changes.added, *changes.removed, *changes.changed) != (*inside,):
        seal.check(data, sealed)
    add(root)
    print(f"sealed {len(inside)} new files of {cohort['folder']} in data.dvc")


def beyond_default(root: Path, mirror: Path | None) -> Changes | None:
    """What a fresh clone adds to its seal, if the seal names the default cohort alone.

    Only DVC's cache knows what is in a seal, and a clone has none. Without this, whoever starts
    with another cohort would be refused because the sealed one is not there.
    """
    from medgraft.cohorts import seal

    cohort = composition.compose(root, [])["cohort"]
    if not cohort["origin"]:
        return None
    make, data, default = locate(cohort["origin"]), root / "data", root / cohort["folder"]
    with tempfile.TemporaryDirectory() as alone:
        make(Path(alone) / cohort["folder"], mirror)
        if seal.changes(Path(alone) / "data", root / "data.dvc"):
            return None
    make(default, mirror)  # an equal folder is left as it is, another one refused
    others = [path for path in data.rglob("*") if path.is_file() and default not in path.parents]
    return seal.Changes(added=tuple(sorted(path.relative_to(data).as_posix() for path in others)))


def fill_cache(root: Path, sealed: Path) -> None:
    """Put unchanged data into DVC's cache where a fresh clone has none."""
    md5 = yaml.safe_load(sealed.read_text())["outs"][0]["md5"]
    if not (root / ".dvc/cache/files/md5" / md5[:2] / md5[2:]).exists():
        add(root)


def add(root: Path) -> None:
    """Seal the raw data as they are."""
    if dvc(root, "add", "--quiet", "data"):
        raise SealError("DVC could not seal data/; it has said why")


def dvc(root: Path, *arguments: str) -> int:
    """Run DVC in this process: a second interpreter would cost as long as a no-op repro."""
    from dvc.cli import main as dvc_main

    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    if not shutil.which("python"):
        raise MedgraftError("no `python` on the PATH for DVC's stages")
    before = Path.cwd()
    os.chdir(root)
    try:
        return int(dvc_main(list(arguments)))
    finally:
        os.chdir(before)


if __name__ == "__main__":
    main()

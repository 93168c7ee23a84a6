"""The ``medgraft`` command."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import yaml

from medgraft import __version__, config
from medgraft.construct import locate
from medgraft.errors import MedgraftError, SealError
from medgraft.stages.run import EVALUATION

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
    repro.add_argument("overrides", nargs="*", help=OVERRIDES)
    repro.add_argument("--mirror", type=Path, help="folder that holds published files, for offline")
    repro.add_argument("--defaults", action="store_true", help="forget recorded overrides")
    repro.set_defaults(run=run_repro)

    compose = commands.add_parser("compose", help="write params.yaml from conf/")
    compose.add_argument("overrides", nargs="*", help=OVERRIDES)
    compose.add_argument("--defaults", action="store_true", help="forget recorded overrides")
    compose.set_defaults(run=run_compose)

    fetch = commands.add_parser("fetch", help="put the configured cohort's raw files into data/")
    fetch.add_argument("--mirror", type=Path, help="folder that holds published files, for offline")
    fetch.set_defaults(run=run_fetch)

    verdict = commands.add_parser("verdict", help="print the last verdict")
    verdict.set_defaults(run=run_verdict)
    return top


def run_compose(chosen: argparse.Namespace) -> int:
    """Compose and validate; overrides given replace the recorded ones."""
    root = config.project_root()
    given = bool(chosen.overrides) or chosen.defaults
    overrides = chosen.overrides if given else config.recorded_overrides(root)
    params = config.compose(root, overrides)
    config.validate(params)
    config.record_overrides(root, overrides)
    config.write_params(root, params)
    return 0


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
    code = dvc(root, "repro")
    return code or run_verdict(chosen)


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
        dvc(root, "add", "--quiet", "data")
        return
    changes = seal.changes(data, sealed)
    if not changes:
        fill_cache(root, sealed)
        return
    only_new = changes.known and not (changes.changed or changes.removed)
    if not only_new or not all(str(folder.relative_to(data)) in name for name in changes.added):
        seal.check(data, sealed)
    dvc(root, "add", "--quiet", "data")
    print(f"sealed {len(changes.added)} new files of {cohort['folder']} in data.dvc")


def fill_cache(root: Path, sealed: Path) -> None:
    """Put unchanged data into DVC's cache where a fresh clone has none."""
    md5 = yaml.safe_load(sealed.read_text())["outs"][0]["md5"]
    if not (root / ".dvc/cache/files/md5" / md5[:2] / md5[2:]).exists():
        dvc(root, "add", "--quiet", "data")


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

"""The ``medgraft`` command."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from medgraft import __version__, composition, config, experiments
from medgraft.errors import MedgraftError
from medgraft.stages.run import CHAMPION, EVALUATION

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
    """Compose and validate; overrides given replace the recorded ones and an experiment's."""
    root = config.project_root()
    given = bool(chosen.overrides) or chosen.defaults or chosen.config_dir
    overrides = [*chosen.overrides, *search_path(chosen.config_dir)] if given else None
    composed = composition.compose(root, overrides)
    config.settle(root, experiments.keep(root, composed) if overrides is None else composed)
    if overrides is not None:
        composition.record(root, overrides)
    return 0


def search_path(folder: Path | None) -> list[str]:
    """The override that lets Hydra find a user's own configurations beside ``conf/``."""
    return [f"hydra.searchpath=[file://{folder.resolve()}]"] if folder else []


def run_fetch(chosen: argparse.Namespace) -> int:
    """Materialise the configured cohort and seal it."""
    from medgraft.raw_data import materialise

    materialise(config.project_root(), mirror=chosen.mirror)
    return 0


def run_repro(chosen: argparse.Namespace) -> int:
    """The whole way: configuration, data, ``dvc repro``, verdict."""
    from medgraft.raw_data import dvc, materialise

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


if __name__ == "__main__":
    main()

"""The ``medgraft`` command."""

from __future__ import annotations

import argparse
import json
import sys
import textwrap
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from medgraft import __version__, composition, config, experiments
from medgraft.errors import ConfigError, MedgraftError
from medgraft.stages.run import CHAMPION, EVALUATION, keep_private

OVERRIDES = "Hydra overrides, e.g. experiment=heart strategies=[scratch,fine_tune]"
GROUPS = """\
== Configuration groups ==
Compose your configuration from those groups (group=option)
or from several options of strategies and metrics (group=[option,option])"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a subcommand; exit code 2 and one message for what the user can put right."""
    chosen = parser().parse_args(arguments)
    keep_private()
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

    repro = commands.add_parser(
        "repro", help="compose, get the data, run the pipeline, print", add_help=False
    )
    takes_overrides(repro)
    repro.add_argument("--mirror", type=Path, help="folder that holds published files, for offline")
    repro.set_defaults(run=run_repro)

    compose = commands.add_parser("compose", help="write params.yaml from conf/", add_help=False)
    takes_overrides(compose)
    compose.set_defaults(run=run_compose)

    fetch = commands.add_parser("fetch", help="put the configured cohort's raw files into data/")
    fetch.add_argument("--mirror", type=Path, help="folder that holds published files, for offline")
    fetch.set_defaults(run=run_fetch)

    sources = commands.add_parser(
        "sources", help="score candidate sources on a target's training patients", add_help=False
    )
    studies_apart(sources, "target=SITE sources=[SITE,SITE] and Hydra overrides", nargs="+")
    sources.set_defaults(run=run_sources)

    pairs = commands.add_parser(
        "pairs", help="study every site as the source of every other, in one table", add_help=False
    )
    studies_apart(pairs, "sites=[SITE,SITE] (or all) and Hydra overrides", nargs="*")
    pairs.set_defaults(run=run_pairs)

    predict = commands.add_parser("predict", help="ask the champion about new patients")
    predict.add_argument("--input", type=Path, required=True, help="raw records, .csv or .csv.gz")
    predict.add_argument("--output", type=Path, required=True, help="answers, one row per record")
    predict.add_argument("--champion", type=Path, help="folder of the model (work/champion)")
    predict.set_defaults(run=run_predict)

    explain = commands.add_parser("explain", help="what the champion's answers rest on")
    explain.add_argument("--input", type=Path, required=True, help="raw records, .csv or .csv.gz")
    explain.add_argument("--output", type=Path, required=True, help="contributions, by record")
    explain.add_argument("--champion", type=Path, help="folder of the model (work/champion)")
    explain.set_defaults(run=run_explain)

    checkpoint = commands.add_parser(
        "checkpoint", help="let a published checkpoint be the source: write its yaml files"
    )
    checkpoint.add_argument("checkpoint", help="a folder, or a Hugging Face id owner/name")
    checkpoint.add_argument("--name", required=True, help="of the encoder and the pretext")
    checkpoint.add_argument("--letters", help="of the sequences, e.g. ACGT; none for images")
    checkpoint.add_argument("--revision", help="commit of the hub id: 40 hexadecimal digits")
    checkpoint.set_defaults(run=run_checkpoint)

    verdict = commands.add_parser("verdict", help="print the last verdict")
    verdict.set_defaults(run=run_verdict)
    return top


def studies_apart(command: argparse.ArgumentParser, told: str, *, nargs: str) -> None:
    """What a command accepts that studies sites in folders of its own."""
    command.add_argument("-h", "--help", action=GroupsHelp, nargs=0, help="show this and exit")
    command.add_argument("overrides", nargs=nargs, help=told)
    command.add_argument("--config-dir", type=Path, help="your own conf/, searched beside this one")
    command.add_argument("--mirror", type=Path, help="folder that holds published files, offline")


def takes_overrides(command: argparse.ArgumentParser) -> None:
    """What a command that composes the configuration accepts."""
    command.add_argument("-h", "--help", action=GroupsHelp, nargs=0, help="show this and exit")
    command.add_argument("overrides", nargs="*", help=OVERRIDES)
    command.add_argument("--defaults", action="store_true", help="forget earlier overrides")
    command.add_argument("--config-dir", type=Path, help="your own conf/, searched beside this one")
    command.add_argument(
        "--cfg", nargs="?", const="job", help="print the configuration instead; write nothing"
    )
    command.add_argument("--package", help="with --cfg: the part to print, e.g. finetune.optimizer")


class GroupsHelp(argparse.Action):
    """Help that ends with the groups of ``conf/`` and their options, as Hydra's does."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: Any, *_: Any) -> None:
        """Print and exit; outside a project there are no groups to tell of."""
        parser.print_help()
        with suppress(ConfigError):
            print(groups_help(config.project_root(), namespace.config_dir))
        parser.exit()


def groups_help(root: Path, own: Path | None) -> str:
    """Hydra's list of configuration groups, wrapped."""
    lines = [
        textwrap.fill(f"{name}: {', '.join(options)}", width=80, subsequent_indent="  ")
        for name, options in composition.groups(root, own).items()
    ]
    return "\n".join(["", GROUPS, "", *lines])


def run_compose(chosen: argparse.Namespace) -> int:
    """Compose and validate; overrides given replace the recorded ones and an experiment's."""
    root = config.project_root()
    # Hydra's users write `--cfg job`; whatever else follows --cfg is an override.
    given = [one for one in (chosen.cfg, *chosen.overrides) if one not in (None, "job")]
    replaces = bool(given) or chosen.defaults or chosen.config_dir
    overrides = [*given, *search_path(chosen.config_dir)] if replaces else None
    params = composition.compose(root, overrides)
    if chosen.cfg or chosen.package:
        config.validate(params)
        print(composition.shown(params, chosen.package), end="")
        return 0
    config.settle(root, params if replaces else experiments.keep(root, params))
    if overrides is not None:
        composition.record(root, overrides)
    return 0


def search_path(folder: Path | None) -> list[str]:
    """The override that lets Hydra find a user's own configurations beside ``conf/``."""
    place = str(folder.resolve()).replace("'", r"\'") if folder else ""
    return [f"{composition.SEARCHPATH}=['file://{place}']"] if folder else []


def run_fetch(chosen: argparse.Namespace) -> int:
    """Materialise the configured cohort and seal it."""
    from medgraft.raw_data import materialise

    materialise(config.project_root(), mirror=chosen.mirror)
    return 0


def run_repro(chosen: argparse.Namespace) -> int:
    """The whole way: configuration, data, ``dvc repro``, verdict."""
    from medgraft.raw_data import dvc, materialise

    run_compose(chosen)
    if chosen.cfg or chosen.package:
        return 0
    root = config.project_root()
    materialise(root, mirror=chosen.mirror)
    if dvc(root, "repro"):
        return 2  # the stage and DVC have said why
    return run_verdict(chosen)


def run_sources(chosen: argparse.Namespace) -> int:
    """Pretrain on every candidate in a folder of its own; write the scores, print a table."""
    from medgraft.reporting.text import sources_table
    from medgraft.sources import compare

    overrides = [*chosen.overrides, *search_path(chosen.config_dir)]
    print(sources_table(compare(config.project_root(), overrides, mirror=chosen.mirror)))
    return 0


def run_pairs(chosen: argparse.Namespace) -> int:
    """Study every ordered pair of sites in a folder of its own; print one table."""
    from medgraft.pairs import compare
    from medgraft.reporting.pairs import pairs_table

    overrides = [*chosen.overrides, *search_path(chosen.config_dir)]
    print(pairs_table(compare(config.project_root(), overrides, mirror=chosen.mirror)))
    return 0


def run_predict(chosen: argparse.Namespace) -> int:
    """Answer the records of a file; a record that cannot be answered gets the reason."""
    from medgraft.deployment.predict import predict

    champion = chosen.champion or config.project_root() / CHAMPION
    print(predict(champion, chosen.input, chosen.output).text())
    return 0


def run_explain(chosen: argparse.Namespace) -> int:
    """Tell what the answer for each record of a file rests on."""
    from medgraft.deployment.explain import explain

    champion = chosen.champion or config.project_root() / CHAMPION
    print(explain(champion, chosen.input, chosen.output).text())
    return 0


def run_checkpoint(chosen: argparse.Namespace) -> int:
    """Check a checkpoint and write what `conf/` has to say of it."""
    from medgraft.training.pretexts.checkpoint import describe

    root = config.project_root()
    told = describe(chosen.checkpoint, letters=chosen.letters, revision=chosen.revision)
    for group, constructor in told.items():
        path = root / "conf" / group / f"{chosen.name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump(constructor, sort_keys=False), encoding="utf-8")
    print(f"choose it with: encoder={chosen.name} pretext@pretrain.pretext={chosen.name}")
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

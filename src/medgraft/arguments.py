"""What the subcommands accept, apart from what they do."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeAlias

from medgraft import composition, config
from medgraft.errors import ConfigError

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
SHELLS = ("bash", "zsh", "tcsh")
OVERRIDES = "Hydra overrides, e.g. experiment=heart strategies=[scratch,fine_tune]"
GROUPS = """\
== Configuration groups ==
Compose your configuration from those groups (group=option)
or from several options of strategies and metrics (group=[option,option])"""


def pipeline(commands: Commands) -> None:
    """The way from raw files to the verdict."""
    repro = commands.add_parser(
        "repro",
        help="compose, get the data, run the pipeline, print",
        add_help=False,
        epilog="example: medgraft repro experiment=heart --mirror ../cohorts",
    )
    takes_overrides(repro)
    published_from(repro)

    compose = commands.add_parser(
        "compose",
        help="write params.yaml from conf/",
        add_help=False,
        epilog="example: medgraft compose experiment=heart --cfg job --package finetune",
    )
    takes_overrides(compose)

    draft = commands.add_parser(
        "init-cohort",
        help="describe your own files: writes a first cohort.yaml to be checked",
        epilog="example: medgraft init-cohort registry.csv clinic.csv --outcome died "
        "--patient patient_id --into data/mine",
    )
    takes_file(draft, "files", nargs="+", help="delimited text, a file for each site")
    draft.add_argument("--outcome", required=True, help="the column to be predicted")
    draft.add_argument("--patient", help="the column that tells patients apart (else: every row)")
    takes_folder(draft, "--into", required=True, help="folder of the cohort")
    speaks_json(draft)

    fetch = commands.add_parser(
        "fetch",
        help="put the configured cohort's raw files into data/",
        epilog="example: medgraft fetch --mirror ../cohorts",
    )
    published_from(fetch)


def studies(commands: Commands) -> None:
    """Many studies at once."""
    sources = commands.add_parser(
        "sources",
        help="score candidate sources on a target's training patients",
        add_help=False,
        epilog="example: medgraft sources experiment=heart target=long_beach "
        "sources=[cleveland,hungary]",
    )
    studies_apart(sources, "target=SITE sources=[SITE,SITE] and Hydra overrides", nargs="+")
    speaks_json(sources)

    pairs = commands.add_parser(
        "pairs",
        help="study every site as the source of every other, in one table",
        add_help=False,
        epilog="example: medgraft pairs experiment=heart sites=[cleveland,hungary]",
    )
    studies_apart(pairs, "sites=[SITE,SITE] (or all) and Hydra overrides", nargs="*")
    speaks_json(pairs)

    sweep = commands.add_parser(
        "sweep",
        help="search for settings on validation patients",
        add_help=False,
        epilog="example: medgraft sweep experiment=heart n=50 --workers 4",
    )
    told = "sweep=NAME (of conf/sweep), n=TRIALS, launcher=local|submitit|ray and Hydra overrides"
    studies_apart(sweep, told, nargs="*")
    sweep.add_argument(
        "--workers", type=int, default=1, help="who share the trials, as launcher says"
    )
    speaks_json(sweep)


def models(commands: Commands) -> None:
    """Models: the champion, and others' as a source."""
    predict = commands.add_parser(
        "predict",
        help="ask the champion about new patients",
        epilog="example: medgraft predict --input new_patients.csv --output predictions.csv",
    )
    asks_champion(predict, "answers, one row per record")
    speaks_json(predict)

    promote = commands.add_parser(
        "promote",
        help="ship the guard's choice, or another by force",
        epilog='example: medgraft promote l2_sp --force --why "the registry closes in June"',
    )
    promote.add_argument("strategy", help="one of those evaluated")
    promote.add_argument("--force", action="store_true", help="although the guard chose another")
    promote.add_argument("--why", help="the reason, which goes wherever the model goes")
    speaks_json(promote)

    explain = commands.add_parser(
        "explain",
        help="what the champion's answers rest on",
        epilog="example: medgraft explain --input new_patients.csv --output why.csv",
    )
    asks_champion(explain, "contributions, by record")
    takes_file(explain, "--figure", help="draw the input's only record (.svg)")
    speaks_json(explain)

    onnx = commands.add_parser(
        "onnx",
        help="write the champion for those who have no torch",
        epilog="example: medgraft onnx --output model.onnx",
    )
    takes_file(onnx, "--output", required=True, help="the model; <output>.json tells its inputs")
    takes_folder(onnx, "--champion", help="folder of the model (work/champion)")
    speaks_json(onnx)

    checkpoint = commands.add_parser(
        "checkpoint",
        help="let a published checkpoint be the source: write its yaml files",
        epilog="example: medgraft checkpoint owner/dna-bert --name dna_bert --letters ACGT "
        "--revision <commit>",
    )
    checkpoint.add_argument("checkpoint", help="a folder, or a Hugging Face id owner/name")
    checkpoint.add_argument("--name", required=True, help="of the encoder and the pretext")
    checkpoint.add_argument("--letters", help="of the sequences, e.g. ACGT; none for images")
    checkpoint.add_argument("--revision", help="commit of the hub id: 40 hexadecimal digits")


def state(commands: Commands) -> None:
    """What is there."""
    doctor = commands.add_parser(
        "doctor",
        help="is this installation sound, and what to do if not",
        epilog="example: medgraft doctor --json",
    )
    speaks_json(doctor)

    verdict = commands.add_parser(
        "verdict", help="print the last verdict", epilog="example: medgraft verdict --json"
    )
    speaks_json(verdict)

    report = commands.add_parser(
        "report",
        help="say where the last report is, or set finished runs side by side",
        epilog="example: medgraft report --compare work/evaluation ../other_checkout",
    )
    takes_folder(
        report,
        "--compare",
        nargs="+",
        metavar="RUN",
        help="folder of a finished run, or the name or id of one in MLflow",
    )
    takes_file(report, "--output", help="page to write (work/comparison.html)")
    speaks_json(report)

    completion = commands.add_parser(
        "completion",
        help="print what lets your shell complete commands and options",
        epilog='example: eval "$(medgraft completion bash)"',
    )
    completion.add_argument("shell", choices=SHELLS)


def studies_apart(command: argparse.ArgumentParser, told: str, *, nargs: str) -> None:
    """What a command accepts that studies sites in folders of its own."""
    command.add_argument("-h", "--help", action=GroupsHelp, nargs=0, help="show this and exit")
    command.add_argument("overrides", nargs=nargs, help=told)
    takes_folder(command, "--config-dir", help="your own conf/, searched beside this one")
    published_from(command)


def takes_overrides(command: argparse.ArgumentParser) -> None:
    """What a command that composes the configuration accepts."""
    command.add_argument("-h", "--help", action=GroupsHelp, nargs=0, help="show this and exit")
    command.add_argument("overrides", nargs="*", help=OVERRIDES)
    command.add_argument("--defaults", action="store_true", help="forget earlier overrides")
    takes_folder(command, "--config-dir", help="your own conf/, searched beside this one")
    command.add_argument(
        "--cfg", nargs="?", const="job", help="print the configuration instead; write nothing"
    )
    command.add_argument("--package", help="with --cfg: the part to print, e.g. finetune.optimizer")


def read(parser: argparse.ArgumentParser, told: Sequence[str] | None) -> argparse.Namespace:
    """The command line, with overrides before, between and after options.

    argparse gives a positional argument one run of words alone: what stands after an option comes
    back unread, and its own answer to that (parse_intermixed_args) knows no subcommands.
    """
    chosen, unread = parser.parse_known_args(told)
    options = [word for word in unread if word.startswith("-")]
    if options or (unread and not hasattr(chosen, "overrides")):
        parser.error(f"unrecognized arguments: {' '.join(options or unread)}")
    if unread:
        chosen.overrides = [*chosen.overrides, *unread]
    return chosen


def asks_champion(command: argparse.ArgumentParser, output: str) -> None:
    """Records, what comes of them, and the model that is asked."""
    told = "raw records: .csv, .tsv (.gz), .parquet, FASTA, FASTQ (.gz), .npz, a folder of images"
    takes_file(command, "--input", required=True, help=told)
    takes_file(command, "--output", required=True, help=f"{output}: .csv, .tsv (.gz), .parquet")
    takes_folder(command, "--champion", help="folder of the model (work/champion)")


def published_from(command: argparse.ArgumentParser) -> None:
    """Where published cohorts come from."""
    takes_folder(command, "--mirror", help="folder that holds published files, for offline")


def speaks_json(command: argparse.ArgumentParser) -> None:
    """A result that programs read."""
    command.add_argument("--json", action="store_true", help="for programs")


def takes_file(command: argparse.ArgumentParser, *names: str, **options: Any) -> None:
    """Let a shell complete it with files."""
    _path(command, names, options, completes="FILE")


def takes_folder(command: argparse.ArgumentParser, *names: str, **options: Any) -> None:
    """Let a shell complete it with folders."""
    _path(command, names, options, completes="DIRECTORY")


def _path(
    command: argparse.ArgumentParser,
    names: tuple[str, ...],
    options: dict[str, Any],
    *,
    completes: str,
) -> None:
    action: Any = command.add_argument(*names, type=Path, **options)
    action.complete_with = completes


def completion(parser: argparse.ArgumentParser, shell: str) -> str:
    """A script for the shell, which completes what `parser` accepts."""
    import shtab

    actions: list[Any] = [one for command in _family(parser) for one in command._actions]
    for action in actions:
        if hasattr(action, "complete_with"):
            action.complete = getattr(shtab, action.complete_with)
    return shtab.complete(parser, shell)


def _family(parser: argparse.ArgumentParser) -> list[argparse.ArgumentParser]:
    """The parser and those of its subcommands."""
    groups = [one for one in parser._actions if isinstance(one, argparse._SubParsersAction)]
    return [parser, *(command for group in groups for command in group.choices.values())]


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

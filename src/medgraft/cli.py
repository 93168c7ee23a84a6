"""The ``medgraft`` command."""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml

from medgraft import __version__, arguments, composition, config, experiments
from medgraft.construct import complaint, printable
from medgraft.errors import CohortError, ConfigError, MedgraftError, Preempted
from medgraft.stages.ending import Exit, disk_refuses
from medgraft.stages.run import CHAMPION, COMPARISON, EVALUATION, keep_private

CODES = """\
exit codes: 0 done; 1 doctor found something to do; 2 refused, the message says what to put right;
75 told to end, the same command goes on; 130 stopped by Ctrl-C. More in docs/commands.md."""


def main(told: Sequence[str] | None = None) -> None:
    """Run a subcommand; exit code 2 and one message for what the user can put right."""
    keep_private()
    try:
        code = obey(told)
        sys.stdout.flush()
    except Preempted as preempted:
        print(f"medgraft: {preempted}", file=sys.stderr)
        code = Exit.TRY_AGAIN
    except MedgraftError as error:
        print(complaint(f"medgraft: {error}"), file=sys.stderr)
        code = Exit.REFUSED
    except KeyboardInterrupt:
        code = Exit.STOPPED
    except BrokenPipeError:
        # `medgraft … | head` has seen enough; what is still buffered has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = Exit.UNREAD
    except Exception as error:
        if not disk_refuses(error):
            raise
        print(f"medgraft: {disk_refuses(error)}", file=sys.stderr)
        code = Exit.REFUSED
    raise SystemExit(code)


class Ended(BaseException):
    """SIGTERM, which takes back what is half-written and ends helpers, as Ctrl-C does.

    No KeyboardInterrupt: of that DVC makes a failure of its own.
    """


@contextmanager
def unwinding_on_sigterm() -> Iterator[None]:
    """Raise Ended where SIGTERM comes."""

    def unwind(*_: object) -> None:
        raise Ended

    before = signal.signal(signal.SIGTERM, unwind)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def obey(told: Sequence[str] | None) -> int:
    """Run a subcommand; its exit code."""
    try:
        chosen = arguments.read(parser(), told)
        with unwinding_on_sigterm():
            return int(RUNS[chosen.command](chosen) or Exit.DONE)
    except Ended:
        again = "goes on" if chosen.command in RESUMED else "begins anew"
        raise Preempted(f"ended by SIGTERM; the same command {again}") from None
    except SystemExit as leave:
        # From argparse: help printed, or a command line it cannot read.
        return int(leave.code or Exit.DONE)


def parser() -> argparse.ArgumentParser:
    """Every subcommand and its options."""
    top = argparse.ArgumentParser(
        prog="medgraft",
        description="Does transfer learning help a small clinical cohort, and which strategy?",
        epilog=f"example: medgraft repro experiment=heart --mirror ../cohorts\n\n{CODES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"medgraft {__version__}")
    commands = top.add_subparsers(required=True, metavar="COMMAND", dest="command")
    for group in (arguments.pipeline, arguments.studies, arguments.models, arguments.state):
        group(commands)
    return top


@contextmanager
def results_alone(chosen: argparse.Namespace) -> Iterator[None]:
    """With --json nothing but the result goes to the output, so that a program can read it."""
    if not chosen.json:
        yield
        return
    sys.stdout.flush()
    output = os.dup(1)
    os.dup2(2, 1)  # for processes that are started meanwhile: DVC's stages, a sweep's workers
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        os.dup2(output, 1)
        os.close(output)


def as_json(told: Any) -> str:
    """What programs read; there is no NaN in JSON, and a path is text."""
    return json.dumps(told, indent=2, allow_nan=False, default=os.fspath)


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
        return Exit.DONE
    config.settle(root, params if replaces else experiments.keep(root, params))
    if overrides is not None:
        composition.record(root, overrides)
    return Exit.DONE


def search_path(folder: Path | None) -> list[str]:
    """The override that lets Hydra find a user's own configurations beside ``conf/``."""
    place = str(folder.resolve()).replace("'", r"\'") if folder else ""
    return [f"{composition.SEARCHPATH}=['file://{place}']"] if folder else []


def run_draft(chosen: argparse.Namespace) -> int:
    """Guess a description of the user's files, write it, and say what to look at."""
    from medgraft.cohorts.draft import draft, write

    files, folder = chosen.files, chosen.into
    made = draft(files, outcome=chosen.outcome, patient=chosen.patient, name=folder.resolve().name)
    write(made, files, folder)
    command = composition.own_command(folder, made.sites, made.outcome)
    if chosen.json:
        print(as_json(made.told(folder, command)))
    else:
        print(printable(made.text(folder, command)))
    return Exit.DONE


def run_fetch(chosen: argparse.Namespace) -> int:
    """Materialise the configured cohort and seal it."""
    from medgraft.raw_data import materialise

    materialise(config.project_root(), mirror=chosen.mirror)
    return Exit.DONE


def run_repro(chosen: argparse.Namespace) -> int:
    """The whole way: configuration, data, ``dvc repro``, verdict."""
    from medgraft.raw_data import alone, dvc, materialise, passing_on_sigterm
    from medgraft.recovery import recover

    if chosen.cfg or chosen.package:
        return run_compose(chosen)
    root = config.project_root()
    with alone(root), passing_on_sigterm() as told:
        recover(root)
        run_compose(chosen)
        materialise(root, mirror=chosen.mirror)
        if dvc(root, "repro"):
            return Exit.TRY_AGAIN if told else Exit.REFUSED  # the stage and DVC have said why
    print(printable(verdict_told(read_verdict(root))))
    return Exit.DONE


def run_sources(chosen: argparse.Namespace) -> int:
    """Pretrain on every candidate in a folder of its own; write the scores, print a table."""
    from medgraft.reporting.text import sources_table
    from medgraft.sources import compare

    overrides = [*chosen.overrides, *search_path(chosen.config_dir)]
    with results_alone(chosen):
        told = compare(config.project_root(), overrides, mirror=chosen.mirror)
    print(as_json(told) if chosen.json else printable(sources_table(told)))
    return Exit.DONE


def run_pairs(chosen: argparse.Namespace) -> int:
    """Study every ordered pair of sites in a folder of its own; print one table."""
    from medgraft.pairs import compare
    from medgraft.reporting.pairs import pairs_table

    overrides = [*chosen.overrides, *search_path(chosen.config_dir)]
    with results_alone(chosen):
        told = compare(config.project_root(), overrides, mirror=chosen.mirror)
    print(as_json(told) if chosen.json else printable(pairs_table(told)))
    if told["pairs"] and all("refused" in pair for pair in told["pairs"]):
        raise CohortError("every pair was refused; the result says why of each")
    return Exit.DONE


def run_sweep(chosen: argparse.Namespace) -> int:
    """Carry out or join a sweep; write the winner as an experiment, print the best trials."""
    from medgraft.sweep.run import Sweep, search

    asked = [*chosen.overrides, *search_path(chosen.config_dir)]
    with results_alone(chosen):
        sweep = Sweep.read(config.project_root(), asked, mirror=chosen.mirror)
        # Figures and statistics take seconds to import: not for what is refused.
        from medgraft.reporting.sweep import sweep_table
        from medgraft.sweep.best import finish, outcome

        search(sweep, asked, workers=chosen.workers)
        told = finish(sweep)
    print(as_json(outcome(told)) if chosen.json else sweep_table(told))
    return Exit.DONE


def run_predict(chosen: argparse.Namespace) -> int:
    """Answer the records of a file; a record that cannot be answered gets the reason."""
    from medgraft.deployment.predict import predict

    champion = chosen.champion or config.project_root() / CHAMPION
    told = predict(champion, chosen.input, chosen.output)
    warn(told.warnings())
    print(as_json(asdict(told)) if chosen.json else told.text())
    return Exit.DONE


def warn(told: str) -> None:
    """Say it where a program that reads the output does not trip over it."""
    if told:
        print(told, file=sys.stderr)


def run_promote(chosen: argparse.Namespace) -> int:
    """Decide what ships, and carry it out: the stages after training run again."""
    from medgraft.promotion import promote, shipped

    root = config.project_root()
    told = {"force": chosen.force, "why": chosen.why}
    with results_alone(chosen):
        promote(root, read_verdict(root), chosen.strategy, **told)
        code = run_repro(parser().parse_args(["repro"]))
        result = shipped(root, read_verdict(root)) if chosen.json and code == Exit.DONE else None
    if result:
        print(as_json(result))
    return code


def run_explain(chosen: argparse.Namespace) -> int:
    """Tell what the answer for each record of a file rests on."""
    from medgraft.deployment.explain import explain, single

    champion = chosen.champion or config.project_root() / CHAMPION
    beside, caption = {}, ""
    if chosen.figure:
        from medgraft.reporting.record import record_figure

        drawn = record_figure(**vars(single(champion, chosen.input)))
        beside, caption = {chosen.figure: drawn.svg.encode()}, drawn.caption
    told = explain(champion, chosen.input, chosen.output, beside=beside)
    warn(told.warnings())
    if caption:
        with results_alone(chosen):
            print(printable(caption))  # the title tells who it is
    print(as_json(asdict(told)) if chosen.json else told.text())
    return Exit.DONE


def run_onnx(chosen: argparse.Namespace) -> int:
    """Write the champion as an ONNX file, once it is seen to answer alike."""
    from medgraft.deployment.onnx_export import export

    champion = chosen.champion or config.project_root() / CHAMPION
    with results_alone(chosen):
        told = export(champion, chosen.output)
    print(as_json(asdict(told)) if chosen.json else told.text())
    return Exit.DONE


def run_checkpoint(chosen: argparse.Namespace) -> int:
    """Check a checkpoint and write what `conf/` has to say of it."""
    from medgraft.deployment.writing import put
    from medgraft.training.pretexts.checkpoint import describe

    if not re.fullmatch(r"[A-Za-z]\w*", chosen.name, re.ASCII):
        raise ConfigError(f'--name "{chosen.name}": expected a letter, then letters, digits and _')
    root = config.project_root()
    told = describe(chosen.checkpoint, letters=chosen.letters, revision=chosen.revision)
    files = {
        root / "conf" / group / f"{chosen.name}.yaml": yaml.safe_dump(one, sort_keys=False).encode()
        for group, one in told.items()
    }
    for path, data in files.items():
        if path.exists() and (not path.is_file() or path.read_bytes() != data):
            raise ConfigError(f"{path}: is there already and differs; choose another --name")
    for path, data in files.items():
        put(path, data)
    print(f"choose it with: encoder={chosen.name} pretext@pretrain.pretext={chosen.name}")
    return Exit.DONE


def run_doctor(chosen: argparse.Namespace) -> int:
    """Look at everything a run needs; 1 where something is to be done."""
    from medgraft.doctor import examine

    checks = examine(Path.cwd())
    told = [vars(check) for check in checks]
    print(as_json(told) if chosen.json else "\n".join(c.line() for c in checks))
    return Exit.TO_DO if any(check.remedy for check in checks) else Exit.DONE


def run_verdict(chosen: argparse.Namespace) -> int:
    """Print the verdict of the last evaluation."""
    told = read_verdict(config.project_root())
    print(as_json(told) if chosen.json else printable(verdict_told(told)))
    return Exit.DONE


def read_verdict(root: Path) -> dict[str, Any]:
    """What the last evaluation found.

    Raises:
        MedgraftError: there was none yet, or it is damaged.
    """
    from medgraft.preparation.arrays import read_json

    path = root / EVALUATION / "verdict.json"
    if not path.is_file():
        raise MedgraftError(f"{path} not found: run `medgraft repro` first")
    return dict(read_json(path))


def verdict_told(verdict: dict[str, Any]) -> str:
    """The verdict for a terminal."""
    from medgraft.reporting.text import terminal

    return terminal(verdict, report=EVALUATION / "report.html")


def run_report(chosen: argparse.Namespace) -> int:
    """Say where the last report is; with --compare, set finished runs side by side."""
    if not chosen.compare:
        path = config.project_root() / EVALUATION / "report.html"
        if not path.is_file():
            raise MedgraftError(f"{path} not found: run `medgraft repro` first")
        print(as_json({"report": str(path)}) if chosen.json else path)
        return Exit.DONE
    from medgraft.deployment.writing import put
    from medgraft.reporting import comparison
    from medgraft.runs import read_run

    if len(chosen.compare) < 2:
        raise MedgraftError(f"--compare: expected two runs or more, got {chosen.compare[0]} alone")
    told = comparison.side_by_side([read_run(str(asked)) for asked in chosen.compare])
    path = chosen.output or COMPARISON
    put(path, comparison.page(told).encode())
    print(as_json(told) if chosen.json else printable(comparison.table(told, page=path)))
    return Exit.DONE


def run_completion(chosen: argparse.Namespace) -> int:
    """Print a script for the user's shell."""
    print(arguments.completion(parser(), chosen.shell))
    return Exit.DONE


RUNS = {
    "repro": run_repro,
    "compose": run_compose,
    "init-cohort": run_draft,
    "fetch": run_fetch,
    "sources": run_sources,
    "pairs": run_pairs,
    "sweep": run_sweep,
    "predict": run_predict,
    "promote": run_promote,
    "explain": run_explain,
    "onnx": run_onnx,
    "checkpoint": run_checkpoint,
    "doctor": run_doctor,
    "verdict": run_verdict,
    "report": run_report,
    "completion": run_completion,
}
RESUMED = ("repro", "promote", "pairs", "sweep")
"""What these have done before they are told to end is not done again."""


if __name__ == "__main__":
    main()

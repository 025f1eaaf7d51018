"""The command `edgewise`: the verbs, the common options, exit statuses and error lines."""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Iterable, Sequence
from importlib import import_module
from pathlib import Path

import typer

from edgewise import __version__
from edgewise.cli.examples import epilog
from edgewise.cli.output import without_odd_signs
from edgewise.errors import EdgewiseError, MissingExtra, UsageError
from edgewise.extras import bringing

#: The verbs in the order of the help; each is a function of a module of this room.
VERBS = {
    "scan": "apps.scan",
    "fetch": "fetch.fetch",
    "diff": "changes.diff",
    "check": "changes.check",
    "inspect": "models.inspect",
    "formats": "models.formats",
    "lineage": "lineage.lineage",
    "eval": "evaluate.evaluate",
    "family": "families.family",
    "bench": "bench.bench",
    "devices": "devices.devices",
    "import": "imports.import_",
    "energy": "energy.energy",
    "scenarios": "scenarios.scenarios",
    "simulate": "selection.simulate",
    "links": "links.links",
    "recommend": "recommend.recommend",
    "serve": "serve.serve",
    "load": "load.load",
    "place": "place.place",
    "report": "reports.report",
    "query": "reports.query",
    "plot": "plot.plot",
    "ui": "ui.ui",
    "study": "study.study",
    "doctor": "doctor.doctor",
    "demo": "demo.demo",
}
_HELP = ("-h", "--help")
_INTERRUPTED = 130
_FULL = (errno.ENOSPC, errno.EDQUOT)
#: typer brings a click of its own in some versions and uses click's in others.
_WRONG_USAGE: type[typer.BadParameter] = next(
    c for c in typer.BadParameter.__mro__ if c.__name__ == "ClickException"
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"edgewise {__version__}")
        raise typer.Exit


def command_line(arguments: Sequence[str]) -> typer.Typer:
    """The command line with the verb that is asked for, or with all verbs: the help lists them.

    Most of what a start costs is describing verbs to typer, so those not wanted are left out.
    """
    app = typer.Typer(
        name="edgewise",
        help="Which neural networks an app ships, what they cost, and where each should run.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        add_completion=True,
        rich_markup_mode="rich",
        context_settings={"help_option_names": list(_HELP)},
    )
    app.callback()(_common)
    verb = next((word for word in arguments if not word.startswith("-") or word in _HELP), None)
    wanted: Iterable[str] = [verb] if verb is not None and verb in VERBS else VERBS
    if arguments[:1] == ["--version"]:
        wanted = []
    for name in wanted:
        module, _, function = VERBS[name].partition(".")
        command = getattr(import_module(f"edgewise.cli.{module}"), function)
        app.command(name, epilog=epilog(name))(command)
    return app


def _verb(arguments: Sequence[str]) -> str:
    return next((word for word in arguments if word in VERBS), "this")


def _common(
    version: bool = typer.Option(
        False, "--version", callback=_print_version, is_eager=True, help="Print the version."
    ),
    debug: bool = typer.Option(False, "--debug", help="Show a traceback on errors."),
) -> None:
    """Options that stand before the verb. `--debug` is read in `main`."""


def run(arguments: Sequence[str]) -> int:
    """Run one command line; the exit status is cli.md's."""
    debug = "--debug" in arguments
    try:
        if "" in arguments:
            raise UsageError("an argument is empty", hint="a variable of the shell that is unset?")
        status = command_line(arguments)(args=list(arguments), standalone_mode=False) or 0
        sys.stdout.flush()
    except _WRONG_USAGE as error:
        _show(error)
        return 2
    except (KeyboardInterrupt, typer.Abort):
        status = _INTERRUPTED
    except SystemExit as end:
        # click ends the process itself where the reader of its output is gone.
        if not isinstance(end.__context__, BrokenPipeError):
            raise
        return _reader_left()
    except BrokenPipeError:
        return _reader_left()
    except OSError as error:
        if debug or error.errno not in _FULL:
            raise
        _leave_output()
        typer.echo(f"edgewise: cannot write the output: {error.strerror}", err=True)
        return 1
    except ModuleNotFoundError as error:
        extra = bringing(error.name or "")
        if debug or extra is None:
            raise
        typer.echo(f"edgewise: {MissingExtra(extra, _verb(arguments))}", err=True)
        return 1
    except EdgewiseError as error:
        if debug:
            raise
        typer.echo(f"edgewise: {error}", err=True)
        return 2 if isinstance(error, UsageError) else 1
    if status == _INTERRUPTED:
        typer.echo("edgewise: interrupted", err=True)
    return int(status)


def _show(error: typer.BadParameter) -> None:
    """Wrong usage as one line. `edgewise` alone is no mistake: it shows the help."""
    if type(error).__name__ == "NoArgsIsHelpError":
        error.show()
        return
    command = error.ctx.command_path if error.ctx is not None else "edgewise"
    message = error.format_message().removesuffix(".")
    typer.echo(f"edgewise: {message} (see {command} --help)", err=True)


def _reader_left() -> int:
    """`edgewise … | head`: the reader has what it wanted; say nothing, also not at exit."""
    _leave_output()
    return 0


def _leave_output() -> None:
    """What is still to be written goes nowhere, so that the interpreter does not try at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def main() -> None:
    """Entry point of the executable."""
    # Closed by whoever started this: the work is done all the same.
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            stream = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - to the end
            setattr(sys, name, stream)
    without_odd_signs()
    told = _ended_as_by_interrupt()
    status = run(sys.argv[1:])
    sys.exit(128 + told[0] if told and status == _INTERRUPTED else status)


def _ended_as_by_interrupt() -> list[int]:
    """Have SIGTERM (`timeout`, a CI that gives up) and SIGHUP (the terminal is closed) end a verb
    as Ctrl-C does: what there is is kept, and nothing that was started stays behind. Which of them
    came is noted in the list; `nohup` still has its way."""
    told: list[int] = []

    def end(number: int, frame: object) -> None:
        told.append(number)
        signal.raise_signal(signal.SIGINT)

    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, end)
    return told

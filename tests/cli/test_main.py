"""The command as a whole: exit statuses, error lines, and what start-up costs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from edgewise import __version__
from edgewise.cli.main import VERBS, command_line, run

HEAVY = {"numpy", "pyarrow", "duckdb", "onnxruntime", "ai_edge_litert", "vl_convert", "deflate"}


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out.strip() == f"edgewise {__version__}"


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["--help", "scan"]])
def test_help_names_every_verb(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments) == 0
    text = capsys.readouterr().out
    for verb in ("scan", "inspect", "bench", "report", "query", "devices", "formats", "demo"):
        assert verb in text


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["scan"],
        ["scan", "--nonsense", "x"],
        ["bench", "m", "--seed", "x"],
        ["simulate", "--connection", "hot"],
    ],
)
def test_wrong_usage_is_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("edgewise: ") and captured.err.count("\n") == 1


def test_a_verb_alone_is_there_as_it_is_among_all() -> None:
    """What was left out for a quick start is what nobody asked for."""
    every = command_line([]).registered_commands
    assert [info.name for info in every] == list(VERBS)
    for info in every:
        (alone,) = command_line([info.name]).registered_commands
        assert (alone.name, alone.callback) == (info.name, info.callback)


@pytest.mark.parametrize("verb", ["--help", "--version"])
def test_start_up_imports_nothing_heavy(verb: str) -> None:
    code = (
        "import sys; from edgewise.cli.main import run; run([sys.argv[1]]);"
        "print(','.join(sorted(set(sys.modules))), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, verb], capture_output=True, text=True, check=True
    )
    loaded = set(done.stderr.strip().splitlines()[-1].split(","))
    assert not HEAVY & loaded


def test_an_interrupt_is_130(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(path: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("edgewise.formats.candidates.model_files", interrupted)
    assert run(["inspect", "m.tflite"]) == 130
    assert "interrupted" in capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_being_told_to_end_is_an_interrupt(number: signal.Signals) -> None:
    """`timeout`, a CI that gives up and a terminal that is closed end a verb as Ctrl-C does."""
    program = """if True:
        import sys, time
        import edgewise.formats.candidates as candidates
        from edgewise.cli.main import main

        def waits(path):
            print("begun", flush=True)
            time.sleep(60)

        candidates.model_files = waits
        sys.argv = ["edgewise", "inspect", "m.tflite"]
        main()
    """
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"begun\n"
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (128 + number, b"edgewise: interrupted\n")


def test_debug_shows_the_traceback() -> None:
    from edgewise.errors import StoreError

    assert run(["query", "/nowhere/at/all", "select 1"]) == 1
    with pytest.raises(StoreError):
        run(["--debug", "query", "/nowhere/at/all", "select 1"])


def test_a_reader_that_leaves_is_no_error(tmp_path: object) -> None:
    """`edgewise formats --json | true`."""
    done = subprocess.run(
        f"{sys.executable} -m edgewise formats --json | true; exit ${{PIPESTATUS[0]}}",
        shell=True, executable="/bin/bash", capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize("verb", [["formats", "--json"], ["formats"]])
def test_a_full_disk_is_one_line(verb: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "edgewise", *verb],
            stdout=full, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == "edgewise: cannot write the output: No space left on device\n"


def test_every_help_ends_with_examples_that_its_verb_takes() -> None:
    """Each is parsed as a user's line would be; files that it names need not be there."""
    import shlex

    import typer

    from edgewise.cli.examples import EXAMPLES

    assert set(EXAMPLES) == set(VERBS)
    for verb, lines in EXAMPLES.items():
        group = typer.main.get_group(command_line([verb]))
        for line in lines:
            program, named, *words = shlex.split(line)
            assert (program, named) == ("edgewise", verb)
            group.commands[verb].make_context(verb, words)


def test_shells_are_completed() -> None:
    program = "import sys; sys.argv = ['edgewise']; from edgewise.cli.main import main; main()"
    asked = {"_EDGEWISE_COMPLETE": "complete_bash", "COMP_WORDS": "edgewise si", "COMP_CWORD": "1"}
    done = subprocess.run(
        [sys.executable, "-c", program], env=os.environ | asked, capture_output=True, text=True
    )
    assert done.stdout.split() == ["simulate"]

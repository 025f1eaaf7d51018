"""What all verbs share in printing."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest

from edgewise.cli import output
from edgewise.cli.main import run
from edgewise.errors import InputError, StoreError, UsageError
from edgewise.records import App
from edgewise.store import Store, places

DIGITS = Path(str(files("edgewise"))) / "demo" / "data" / "digits" / "digits-s.tflite"


def test_a_file_name_that_is_no_text_is_escaped(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    name = b"caf\xe9.apk".decode("utf-8", "surrogateescape")
    output.emit(App(path=name))
    (line,) = capfdbinary.readouterr().out.splitlines()
    assert json.loads(line)["path"] == name


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (0, "0"),
        (999, "999"),
        (999.9996, "1000"),
        (999_600, "1 M"),
        (123_456, "123 k"),
        (1_234_567, "1.23 M"),
        (5.6e9, "5.6 G"),
    ],
)
def test_counts(value: float | None, text: str) -> None:
    assert output.count(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (1234567.25, "1234567"),
        (1.234e-05, "0.00001234"),
        (-2.5, "-2.5"),
        (1250.0, "1250"),
        (1e20, "1e+20"),
        (float("nan"), "nan"),
    ],
)
def test_numbers_are_as_people_write_them(value: float, text: str) -> None:
    assert output.number(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (0.0123, "12.3 µs"),
        (0.99996, "1 ms"),
        (1.5, "1.5 ms"),
        (999.7, "1 s"),
        (2500, "2.5 s"),
    ],
)
def test_times(value: float | None, text: str) -> None:
    assert output.milliseconds(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (2**30, "1.07 GB")],
)
def test_sizes(value: int | None, text: str) -> None:
    assert output.size(value) == text


def test_a_pipe_is_never_wrapped(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    output.console().print("word " * 200)
    assert capsys.readouterr().out.count("\n") == 1
    assert run(["scan", str(DIGITS.parents[1] / "demo.apk")]) == 0
    assert max(map(len, capsys.readouterr().out.splitlines())) < 300


def test_what_is_printed_under_a_progress_bar_goes_above_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On one terminal, through what draws the bar: else its line would run into the text."""
    for stream in (sys.stdout, sys.stderr):
        monkeypatch.setattr(stream, "isatty", lambda: True, raising=False)
    with output.progress("work", 2, quiet=False):
        output.console().print("found")
        output.emit({"value": 1})
    shown = capsys.readouterr()
    assert "found" in shown.err and '{"value":1}' in shown.err and shown.out == ""


def test_a_closed_output_does_not_end_the_work() -> None:
    command = 'exec "$0" -m edgewise inspect "$1" >&-'
    done = subprocess.run(
        ["sh", "-c", command, sys.executable, str(DIGITS)], capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
def test_any_locale_takes_the_output(encoding: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "edgewise", "inspect", str(DIGITS)],
        env=os.environ | {"PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"},
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr
    text = done.stdout.decode(encoding)
    assert "1×16×16×1" in text or "1x16x16x1" in text


def test_a_store_that_fills_up_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The work goes on, what was found is printed, and the end says that it was not kept."""
    url = str(tmp_path / "store")
    done = []
    with pytest.raises(StoreError, match="No space"), output.kept_in(url, at_once=True) as keep:
        monkeypatch.setattr(places, "_write_through", full)
        for name in ("a.apk", "b.apk"):
            keep(App(path=name))
            done.append(name)
    assert done == ["a.apk", "b.apk"]
    monkeypatch.undo()
    with output.kept_in(url, at_once=True) as keep:
        keep(App(path="c.apk"))
    assert [app.path for app in Store.open(url).read(App)] == ["c.apk"]


def full(path: Path, content: memoryview) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_store_that_cannot_be_written_is_found_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Store.open(str(tmp_path), create=True)
    monkeypatch.setattr(places, "_write_through", full)
    with pytest.raises(StoreError), output.kept_in(str(tmp_path)):
        raise AssertionError("the work was begun")


@pytest.mark.parametrize("name", ["nowhere/report.html", "report.pdf", "."])
def test_a_file_that_cannot_be_written_is_found_before_the_work(tmp_path: Path, name: str) -> None:
    with pytest.raises((UsageError, InputError)):
        output.check_writable(tmp_path / name, "-o", (".html",))
    assert not list(tmp_path.iterdir())

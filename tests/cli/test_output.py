"""What all verbs share in printing."""

from __future__ import annotations

import json

import pytest

from edgewise.cli import output
from edgewise.records import App


def test_a_file_name_that_is_no_text_is_escaped(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    name = b"caf\xe9.apk".decode("utf-8", "surrogateescape")
    output.emit(App(path=name))
    (line,) = capfdbinary.readouterr().out.splitlines()
    assert json.loads(line)["path"] == name


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (0, "0"), (999, "999"), (1_234_567, "1.23 M"), (5.6e9, "5.6 G")],
)
def test_counts(value: float | None, text: str) -> None:
    assert output.count(value) == text


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

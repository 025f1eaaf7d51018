"""What all verbs share in printing: JSON lines, tables, progress, and numbers for people."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

    from edgewise.records import Record

#: `--json` and `--quiet` and `--store` mean the same everywhere.
JSON_HELP = "JSON Lines on standard output, one object per line, nothing else there."
QUIET_HELP = "No progress bar."
STORE_HELP = "Also append the records to a store: a folder or a URL."


def console() -> Console:
    """Where people read."""
    from rich.console import Console

    return Console(highlight=False)


def emit(record: Record | dict[str, Any]) -> None:
    """Print one object as a line of JSON, at once: a killed run keeps what it printed."""
    import msgspec

    try:
        line = msgspec.json.encode(record)
    except UnicodeEncodeError:  # a file name that is no text: its odd bytes are escaped
        line = json.dumps(msgspec.to_builtins(record)).encode()
    sys.stdout.buffer.write(line + b"\n")
    sys.stdout.buffer.flush()


@contextmanager
def kept_in(url: str | None) -> Iterator[Callable[[Record], None]]:
    """What keeps a record in the store, also when interrupted; nothing does where there is none."""
    if url is None:
        yield lambda record: None
        return
    from edgewise.store import Gathering, Store

    with Gathering(Store.open(url, create=True)) as gathering:
        yield gathering.append


def fail(message: str) -> None:
    """One line on standard error about what could not be processed."""
    sys.stderr.write(f"edgewise: {plain(message)}\n")


def plain(text: str) -> str:
    """Names come from strangers: nothing in them that steers a terminal."""
    return "".join(sign if sign.isprintable() else "�" for sign in text)


def explain_nulls(fields: dict[str, Any], why: str, names: Iterable[str]) -> None:
    """Add to the `notes` of an object why those of its fields that are null are."""
    if nulls := [name for name in names if fields[name] is None]:
        fields["notes"] = [*fields["notes"], f"{why}: {', '.join(nulls)}"]


class Advance(Protocol):
    """Tells the progress bar that one more step is done, what comes next, and of how many."""

    def __call__(
        self, description: str | None = None, steps: int = 1, total: int | None = None
    ) -> None: ...


@contextmanager
def progress(description: str, total: int | None, *, quiet: bool) -> Iterator[Advance]:
    """A progress bar on standard error; silent when not a terminal or with `--quiet`."""
    if quiet or not sys.stderr.isatty():
        yield lambda description=None, steps=1, total=None: None
        return
    bar = _bar()
    with bar:
        task = bar.add_task(description, total=total)

        def advance(
            description: str | None = None, steps: int = 1, total: int | None = None
        ) -> None:
            bar.update(task, advance=steps, description=description, total=total)

        yield advance


def _bar() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        console=Console(stderr=True), transient=True,
    )  # fmt: skip


_SCALES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def count(value: float | None) -> str:
    """1_234_567 → '1.23 M'; None → '–'."""
    if value is None:
        return "–"
    for scale, sign in _SCALES:
        if abs(value) >= scale:
            return f"{value / scale:.3g} {sign}"
    return f"{value:g}"


def size(value: int | None) -> str:
    """1_500_000 → '1.50 MB' (decimal); None → '–'."""
    if value is None:
        return "–"
    if value < 1000:
        return f"{value} B"
    for scale, sign in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if value >= scale:
            return f"{value / scale:.3g} {sign}"
    raise AssertionError(value)


def milliseconds(value: float | None) -> str:
    """0.0123 → '12.3 µs'; 1234 → '1.23 s'; None → '–'."""
    if value is None:
        return "–"
    if value < 0.9995:  # what three digits round up to the next unit is told in it
        return f"{value * 1000:.3g} µs"
    if value < 999.5:
        return f"{value:.3g} ms"
    return f"{value / 1000:.3g} s"


def shape(value: Iterable[object] | None) -> str:
    """(1, 3, 224, 224) → '1×3×224×224'; None → '?'."""
    return "?" if value is None else "×".join(str(part) for part in value) or "scalar"

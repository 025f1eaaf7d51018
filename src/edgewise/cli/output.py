"""What all verbs share in printing: JSON lines, tables, progress, and numbers for people."""

from __future__ import annotations

import codecs
import io
import json
import math
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from edgewise.errors import InputError, StoreError, UsageError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, ProgressColumn, TaskID
    from rich.table import Table

    from edgewise.records import Record

#: `--json` and `--quiet` and `--store` mean the same everywhere.
JSON_HELP = "JSON Lines on standard output, one object per line, nothing else there."
QUIET_HELP = "No progress bar."
STORE_HELP = "Also append the records to a store: a folder or a URL."


#: Columns of output that no person reads as it comes: a pipe or a file. Nothing is wrapped there.
_UNWRAPPED = 100_000
#: What a terminal without these signs shows in their place.
_PLAIN_SIGNS = {
    "×": "x", "µ": "u", "μ": "u", "–": "-", "—": "-", "−": "-", "…": "...", "·": "|", "≥": ">=",
    "≤": "<=", "±": "+-", "“": '"', "”": '"', "’": "'", "→": "->",
}  # fmt: skip


#: The progress bar that is on the terminal now: what is printed meanwhile goes above it.
_shown: list[Progress] = []


def console() -> Console:
    """Where people read. Lines are wrapped for a terminal, never for a pipe or a file. Ask for it
    when printing: while a bar is on the same terminal, it is the bar's."""
    from rich.console import Console

    if _shown and sys.stdout.isatty():
        return _shown[-1].console
    piped = not sys.stdout.isatty() and "COLUMNS" not in os.environ
    return Console(highlight=False, width=_UNWRAPPED if piped else None)


def table(*columns: str, title: str | None = None) -> Table:
    """An empty table. A column that begins with `>` is of numbers: right-aligned, never wrapped."""
    from rich.table import Table

    found = Table(
        title=title,
        title_justify="left",
        box=None,
        header_style="dim",
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
    for name in columns:
        if name.startswith(">"):
            found.add_column(name[1:], justify="right", no_wrap=True)
        else:
            found.add_column(name, overflow="fold")
    return found


def without_odd_signs() -> None:
    """Make standard output and error take any text, whatever encoding the locale has: a sign that
    it lacks is written as what it looks like, or as `?`."""

    def plain_sign(error: UnicodeError) -> tuple[str, int]:
        assert isinstance(error, UnicodeEncodeError)
        bad = error.object[error.start : error.end]
        return "".join(_PLAIN_SIGNS.get(sign, "?") for sign in bad), error.end

    codecs.register_error("edgewise-plain", plain_sign)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="edgewise-plain")


def emit(record: Record | dict[str, Any]) -> None:
    """Print one object as a line of JSON, at once: a killed run keeps what it printed."""
    import msgspec

    try:
        line = msgspec.json.encode(record)
    except UnicodeEncodeError:  # a file name that is no text: its odd bytes are escaped
        line = json.dumps(msgspec.to_builtins(record)).encode()
    if _shown and sys.stdout.isatty():
        _shown[-1].console.out(line.decode(), highlight=False)
        return
    sys.stdout.buffer.write(line + b"\n")
    sys.stdout.buffer.flush()


@contextmanager
def kept_in(url: str | None, *, at_once: bool = False) -> Iterator[Callable[[Record], None]]:
    """What keeps a record in the store, also when interrupted; nothing does where there is none.

    A store that fails under way (a full disk) loses nothing of the work: print inside the
    context, and what could not be kept is raised at its end. With `at_once` each record is
    written when it comes, for work that takes seconds a record; else some are gathered.

    Raises:
        UsageError: the store's name is empty.
        StoreError: the store cannot be written, before the work or at its end.
    """
    if url is None:
        yield lambda record: None
        return
    if not url:
        raise UsageError("--store: an empty name", hint="name a folder or a URL")
    from edgewise.store import Gathering, Store

    opened = Store.open(url, create=True)
    gathering = Gathering(opened, records=1) if at_once else Gathering(opened)

    def keep(record: Record) -> None:
        with suppress(StoreError):  # it waits on, and is tried again with the next and at the end
            gathering.append(record)

    try:
        yield keep
    finally:
        gathering.flush()


def check_writable(path: Path, option: str, suffixes: tuple[str, ...] = ()) -> None:
    """Find out before the work that a file cannot be written after it.

    Raises:
        UsageError: the name's ending is none of `suffixes`.
        InputError: the folder is missing, or not writable.
    """
    if suffixes and path.suffix.lower() not in suffixes:
        raise UsageError(
            f"{option} {path}: the name must end in {' or '.join(suffixes)}",
            hint="a report prints to PDF from any browser" if path.suffix == ".pdf" else None,
        )
    there = path.exists()
    try:
        with path.open("ab"):
            pass
        if not there:
            path.unlink()
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}") from error


def told_apart(paths: Iterable[str]) -> dict[str, str]:
    """What each path is called in a table: its last part, with as many folders before it as tell
    it from the others."""
    parts = {path: [part for part in path.replace("!/", "/").split("/") if part] for path in paths}
    found = {}
    for path, mine in parts.items():
        others = [other for each, other in parts.items() if each != path]
        depth = 1
        while depth < len(mine) and any(other[-depth:] == mine[-depth:] for other in others):
            depth += 1
        found[path] = "/".join(mine[-depth:]) or path
    return found


def fail(message: str) -> None:
    """One line on standard error about what could not be processed."""
    sys.stderr.write(f"edgewise: {plain(message)}\n")


def plain(text: str) -> str:
    """Names come from strangers: nothing in them that steers a terminal."""
    return "".join(sign if sign.isprintable() else "�" for sign in text)


def safe(text: str) -> str:
    """`plain`, and nothing that is markup."""
    from rich.markup import escape

    return escape(plain(text))


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
def progress(
    description: str, total: int | None, *, quiet: bool, store: str | None = None
) -> Iterator[Advance]:
    """A progress bar on standard error; silent when not a terminal or with `--quiet`. A store that
    the verb writes to (it is there already) says so too, to whoever looks at it meanwhile."""
    with ExitStack() as ended:
        told: list[Advance] = []
        if not quiet and sys.stderr.isatty():
            bar = ended.enter_context(_bar())
            _shown.append(bar)
            ended.callback(_shown.pop)
            told.append(_on_bar(bar, bar.add_task(description, total=total)))
        if store:
            from edgewise.store import Reporter, Store

            reporter = Reporter(Store.open(store), description, total)
            told.append(ended.enter_context(reporter).advance)

        def advance(
            description: str | None = None, steps: int = 1, total: int | None = None
        ) -> None:
            for tell in told:
                tell(description, steps, total)

        yield advance


def _on_bar(bar: Progress, task: TaskID) -> Advance:
    def advance(description: str | None = None, steps: int = 1, total: int | None = None) -> None:
        bar.update(task, advance=steps, description=description, total=total)

    return advance


def _bar() -> Progress:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _rate_column(),
        TimeElapsedColumn(), TimeRemainingColumn(),
        console=Console(stderr=True, highlight=False), transient=True,
    )  # fmt: skip


def _rate_column() -> ProgressColumn:
    """Steps per second."""
    from rich.progress import ProgressColumn, Task
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task: Task) -> Text:
            speed = task.finished_speed or task.speed
            return Text("" if speed is None else f"{number(speed, 2)}/s")

    return Rate()


_SCALES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def number(value: float, digits: int = 6) -> str:
    """As people write it, to so many digits: 1234567.25 → '1234567', 1.234e-05 → '0.00001234'."""
    if value != value or value in (float("inf"), float("-inf")):
        return str(value)
    magnitude = 0 if value == 0 else math.floor(math.log10(abs(value)))
    if not -7 <= magnitude <= 17:
        return f"{value:.{digits}g}"
    text = f"{value:.{max(0, digits - 1 - magnitude)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def count(value: float | None) -> str:
    """1_234_567 → '1.23 M'; None → '–'."""
    if value is None:
        return "–"
    for scale, sign in _SCALES:
        if abs(value) >= scale * (1 - 0.5e-3):  # what three digits round up to the next unit
            return f"{number(value / scale, 3)} {sign}" if abs(value) >= 1000 else number(value, 4)
    return number(value)


def size(value: int | None) -> str:
    """1_500_000 → '1.50 MB' (decimal); None → '–'."""
    if value is None:
        return "–"
    if value < 1000:
        return f"{value} B"
    for scale, sign in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if value >= scale * (1 - 0.5e-3) or sign == "kB":
            return f"{number(value / scale, 3)} {sign}"
    raise AssertionError(value)


def percent(value: float | None, digits: int = 1) -> str:
    """12.34 → '12.3 %'; None → '–'."""
    return "–" if value is None else f"{value:.{digits}f} %"


def milliseconds(value: float | None) -> str:
    """0.0123 → '12.3 µs'; 1234 → '1.23 s'; None → '–'."""
    if value is None:
        return "–"
    if value < 0.9995:  # what three digits round up to the next unit is told in it
        return f"{value * 1000:.3g} µs"
    if value < 999.5:
        return f"{value:.3g} ms"
    return f"{number(value / 1000, 3)} s"


def shape(value: Iterable[object] | None) -> str:
    """(1, 3, 224, 224) → '1×3×224×224'; None → '?'."""
    return "?" if value is None else "×".join(str(part) for part in value) or "scalar"

"""The verb `fetch`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from edgewise.cli import output
from edgewise.errors import UsageError

if TYPE_CHECKING:
    from edgewise.records import App, Fetched

_SIZE = re.compile(r"([0-9.]+)\s*(k|M|G)?B?", re.I)
_UNITS = {"": 1, "k": 1e3, "m": 1e6, "g": 1e9}


def fetch(
    sources: list[str] = typer.Argument(
        help="A folder, a URL or a list of them, fdroid:URL?fingerprint=…, androzoo:LIST.csv.gz, "
        "device:SERIAL, play:PACKAGE."
    ),
    to: str = typer.Option("apps", "-o", "--to", help="The folder that they come into."),
    package: list[str] = typer.Option([], "--package", help="Only this package; may be repeated."),
    market: str | None = typer.Option(None, "--market", help="Only of this market (AndroZoo)."),
    since: str | None = typer.Option(None, "--since", help="Not before this day, 2026-01-31."),
    until: str | None = typer.Option(None, "--until", help="Not after this day."),
    min_size: str | None = typer.Option(None, "--min-size", help="At least so large: 5MB."),
    max_size: str | None = typer.Option(None, "--max-size", help="At most so large: 200MB."),
    limit: int | None = typer.Option(None, "--limit", min=1, help="At most so many."),
    rate: str | None = typer.Option(None, "--rate", help="At most so much a second: 2MB."),
    pause: float = typer.Option(0.0, "--pause", min=0, help="Seconds before each download."),
    retries: int = typer.Option(4, "--retries", min=0, help="How often a download is tried again."),
    scan_into: str | None = typer.Option(
        None, "--scan-into", help="A store: scan each app into it at once, and delete the file."
    ),
    as_json: bool = typer.Option(False, "--json", help=output.JSON_HELP),
    quiet: bool = typer.Option(False, "--quiet", help=output.QUIET_HELP),
) -> int:
    """Bring app packages from a source into a folder.

    What is there is not fetched again and what was cut off goes on, so that a run that was ended
    continues with the same command. Example:
    `edgewise fetch fdroid:https://f-droid.org/repo --package org.example.app -o apps`
    """
    from edgewise.apps.fetch import fetch as fetch_apps
    from edgewise.apps.sources.contract import Wanted
    from edgewise.apps.sources.download import Settings

    wanted = Wanted(
        packages=tuple(package), market=market, since=since, until=until,
        min_bytes=_bytes("--min-size", min_size), max_bytes=_bytes("--max-size", max_size),
        limit=limit,
    )  # fmt: skip
    settings = Settings(retries=retries, bytes_per_s=_bytes("--rate", rate), pause_s=pause)
    failed = 0
    known = frozenset(_known(scan_into)) if scan_into else frozenset()
    with (
        output.kept_in(scan_into) as keep,
        output.progress("fetch", limit, quiet=quiet, store=scan_into) as advance,
    ):
        for each in fetch_apps(sources, to, wanted, settings, known):
            _print(each, as_json)
            failed += each.status == "failed"
            if scan_into and each.path is not None:
                keep(_scanned(each.path))
            advance(each.name)
    return 1 if failed else 0


def _scanned(path: str) -> App:
    """The record of a file, which is then no longer there."""
    from edgewise.apps.corpus import planned, run
    from edgewise.apps.scan import LISTING

    ((done),) = run(planned([path]))
    Path(path).unlink(missing_ok=True)
    Path(path + LISTING).unlink(missing_ok=True)
    return done.app


def _known(store: str) -> list[str]:
    from edgewise.apps.corpus import current
    from edgewise.records import App
    from edgewise.store import Store

    if not Store.is_at(store):
        return []
    stored = Store.open(store).read(App, without=("layers", "tensors", "models", "evidence"))
    return [app.sha256 for app in stored if app.sha256 and current(app)]


def _print(each: Fetched, as_json: bool) -> None:
    if as_json:
        output.emit(each)
    if each.status == "failed":
        output.fail(f"{each.name}: {each.reason}")
    elif not as_json:
        where = each.path or each.name
        typer.echo(output.plain(f"{each.status}: {where} ({output.size(each.size_bytes)})"))


def _bytes(option: str, text: str | None) -> int | None:
    if text is None:
        return None
    found = _SIZE.fullmatch(text.strip())
    try:
        if found is None:
            raise ValueError
        return int(float(found[1]) * _UNITS[(found[2] or "").lower()])
    except ValueError as error:
        raise UsageError(f"{option} {text!r}: a size such as 500kB, 5MB or 2GB") from error

"""The verb `links`: the network paths that are known, and a place behind one of them."""

from __future__ import annotations

import math
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from edgewise.cli import output
from edgewise.errors import InputError, UsageError

if TYPE_CHECKING:
    from edgewise.network.measured import Estimate
    from edgewise.network.shaping.meter import Counters
    from edgewise.network.shaping.pacing import Shape
    from edgewise.placement.own_link import OwnLink


def links(
    files: list[str] = typer.Argument(
        default_factory=list,
        show_default=False,
        metavar="[FILE.toml…] | measure URL",
        help="TOML files with links of your own; or your own link, measured against a service.",
    ),
    shape: str | None = typer.Option(
        None, "--shape", metavar="LINK", help="Do not list: put a target behind a link or trace."
    ),
    to: str | None = typer.Option(None, "--to", metavar="HOST:PORT", help="With --shape: the one."),
    listen: int = typer.Option(
        0, "--listen", min=0, max=65535, help="With --shape: the port; 0: any free one."
    ),
    rtt: float | None = typer.Option(None, "--rtt", help="With --shape: another round trip, ms."),
    jitter: float | None = typer.Option(None, "--jitter", help="With --shape: its deviation, ms."),
    name: str = typer.Option("mine", "--name", help="With measure: the link's name."),
    write: Path | None = typer.Option(
        None, "--write", metavar="FILE.toml", help="With measure: a file that --link takes."
    ),
    radio: str | None = typer.Option(
        None,
        "--radio",
        metavar="NAME",
        help="With measure: the network's kind, for energies: a row of the radio table such as "
        "wifi-2012 or lte-2012, or none for a wired one.  [with --write at a terminal: asked]",
    ),
    token: str | None = typer.Option(
        None, "--token", envvar="EDGEWISE_TOKEN", help="With measure: Bearer."
    ),
    ca: Path | None = typer.Option(
        None, "--ca", help="With measure: certificates that vouch for the server."
    ),
    timeout: float = typer.Option(
        30.0, "--timeout", help="With measure: seconds until a request has failed."
    ),
    as_json: bool = typer.Option(False, "--json", help=output.JSON_HELP),
) -> None:
    """The network paths known by name, and the published pairs; a link to be behind; or your own
    link, measured."""
    if "measure" in files:
        if shape is not None or len(files) != 2 or files[0] != "measure":
            raise UsageError("links measure takes one URL", hint="links measure http://host:8080")
        _measure(files[1], name, write, radio, token, ca, timeout, as_json=as_json)
        return
    if write is not None or radio is not None:
        raise UsageError(f"{'--write' if write else '--radio'} goes with measure")
    if shape is None and (to is not None or listen or rtt is not None or jitter is not None):
        raise UsageError("--to, --listen, --rtt and --jitter go with --shape")
    if shape is not None:
        _shape(shape, to, listen, rtt, jitter, as_json=as_json)
        return
    import msgspec

    from edgewise.network import catalogue

    known = list(catalogue.links().values())
    for file in files:
        known += catalogue.read_links(Path(file)).values()
    pairs = list(catalogue.pairs().values())
    if as_json:
        for link in known:
            output.emit({"kind": "link", **msgspec.to_builtins(link)})
        for pair in pairs:
            output.emit({"kind": "pair", **catalogue.describe_pair(pair)})
        return
    table = output.table("link", "uplink", "downlink", "round trip", "radio", "what")
    for link in known:
        table.add_row(
            link.name,
            f"{link.uplink_mbps:g} Mbps",
            f"{link.downlink_mbps:g} Mbps",
            f"{link.rtt_ms:g} ± {link.jitter_ms:g} ms",
            link.radio or "–",
            link.description,
        )
    screen = output.console()
    screen.print(table)
    table = output.table("published pair", "one way, mean", "deviation")
    for pair in pairs:
        table.add_row(pair.name, f"{pair.mean_ms:g} ms", f"{pair.std_ms:g} ms")
    screen.print(table)


def _shape(
    link: str,
    to: str | None,
    listen: int,
    rtt_ms: float | None,
    jitter_ms: float | None,
    *,
    as_json: bool,
) -> None:
    """Serve a shaped way to `to` (HOST:PORT) until told to end, then say what went through."""
    from edgewise.network.shaper import LOOPBACK, Shaper, shape_of

    if to is None:
        raise UsageError("--shape without a target", hint="--to HOST:PORT")
    given = {"rtt_ms": rtt_ms, "jitter_ms": jitter_ms}
    form = shape_of(link, **{name: value for name, value in given.items() if value is not None})
    with _until_told() as told, Shaper.of(_target(to), form, listen=(LOOPBACK, listen)) as shaper:
        _show_start(link, to, f"{LOOPBACK}:{shaper.port}", form, as_json=as_json)
        told.wait()
        counters = shaper.counters()
    _show_end(counters, as_json=as_json)


def _measure(
    url: str,
    name: str,
    write: Path | None,
    radio: str | None,
    token: str | None,
    ca: Path | None,
    timeout_s: float,
    *,
    as_json: bool,
) -> None:
    """Measure the link to a server, print it, and write it down where that was asked for."""
    from edgewise.network.catalogue import kinds_of_radio
    from edgewise.placement.own_link import as_toml, measure_link

    if radio not in (None, *kinds_of_radio()):
        raise UsageError(f"--radio {radio}", hint=f"known: {', '.join(kinds_of_radio())}")
    if write is not None:
        output.check_writable(write, "--write", (".toml",))
        if radio is None:
            radio = _asked_radio(kinds_of_radio())
    found = measure_link(url, token=token, ca=ca, timeout_s=timeout_s)
    if as_json:
        output.emit({**found.described(name), "radio": radio})
    else:
        _show_measured(found)
    if write is None:
        return
    try:
        write.write_text(as_toml([found.profile(name, radio)]), encoding="utf-8")
    except OSError as error:
        raise InputError(f"{write} cannot be written: {error}") from error
    if radio is None:
        typer.echo(
            f"edgewise: {write} does not say what kind of network it is: no energy of the cloud's "
            "way and no verdict about the battery will be given over it without --radio "
            f"({', '.join(kinds_of_radio())})",
            err=True,
        )


def _asked_radio(known: Sequence[str]) -> str | None:
    """What kind of network it is, by the person at the terminal; None where there is none, or they
    don't know."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return None
    question = f"Which kind of network is it ({', '.join(known)}; empty: not known)"
    while True:
        answer: str = typer.prompt(question, default="", show_default=False, err=True)
        if answer in ("", *known):
            return answer or None


def _show_measured(found: OwnLink) -> None:
    screen, seen = output.console(), found.measured
    rtt = seen.rtt_ms
    screen.print(
        f"round trip  {rtt.value:.3g} ms [{rtt.low:.3g}, {rtt.high:.3g}], "
        f"deviation {seen.jitter_ms:.2g} ms",
        markup=False,
    )
    for what, rate in (("uplink", seen.uplink_mbps), ("downlink", seen.downlink_mbps)):
        screen.print(f"{what:<11} {_rate(rate)}", markup=False)
    for note in found.notes:
        screen.print(f"note: {note}", style="dim", markup=False)


def _rate(found: Estimate | None) -> str:
    if found is None:
        return "not known"
    if math.isinf(found.high):
        return f"at least {found.low:.3g} Mbps ({found.value:.3g} seen)"
    return f"{found.value:.3g} Mbps [{found.low:.3g}, {found.high:.3g}]"


def _target(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise UsageError(f"the target '{text}' is no HOST:PORT", hint="--to 127.0.0.1:8080")
    return host.strip("[]"), int(port)


@contextmanager
def _until_told() -> Iterator[threading.Event]:
    """An event that Ctrl-C or a polite kill sets: here they are the usual end, no interruption."""
    told = threading.Event()
    wanted = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, lambda *_: told.set()) for number in wanted]
    try:
        yield told
    finally:
        for number, handler in zip(wanted, before, strict=True):
            signal.signal(number, handler)


def _show_start(link: str, to: str, listen: str, form: Shape, *, as_json: bool) -> None:
    up, down = form.uplink.mean_mbps, form.downlink.mean_mbps
    if as_json:
        known = {"kind": "shaper", "link": link, "listen": listen, "target": to}
        times = {name: getattr(form, name) for name in ("rtt_ms", "jitter_ms", "promotion_ms")}
        output.emit({**known, "uplink_mbps": up, "downlink_mbps": down, **times})
        return
    screen = output.console()
    screen.print(
        f"{listen} is {to} behind {link}: {up:g} Mbps up, {down:g} down, "
        f"{form.rtt_ms:g} ± {form.jitter_ms:g} ms. Ctrl-C ends it."
    )


def _show_end(counters: Counters, *, as_json: bool) -> None:
    if as_json:
        output.emit({"kind": "shaped", **asdict(counters)})
        return
    output.console().print(
        f"{counters.connections} connections ({counters.refused} refused), "
        f"{counters.uplink_bytes:,} bytes up, {counters.downlink_bytes:,} down"
    )

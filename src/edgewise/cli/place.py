"""The verb `place`: on the device or in the cloud, measured end to end or computed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

import typer

from edgewise.cli import (
    arguments,
    output,
    place_computed,
    place_measured,
    place_print,
    place_recipe,
)
from edgewise.cli.evaluate import parse_preprocess
from edgewise.errors import UsageError

if TYPE_CHECKING:
    from edgewise.placement.comparison import Kind
    from edgewise.records import Record

R = TypeVar("R", bound="Record")
#: Headings of the help: what applies in which mode.
_MEASURED, _COMPUTED, _RECIPE = "Measured", "Computed", "A recipe"
#: What applies to a recipe besides.
_OF_A_RECIPE = frozenset((
    "models", "device", "power", "server", "link", "inputs", "requests", "processes", "cap_radio",
    "whole_phone", "quick", "as_json", "store", "quiet",
))  # fmt: skip


def place(
    context: typer.Context,
    models: list[str] = typer.Argument(
        default_factory=list,
        show_default=False,
        metavar="MODEL…",
        help="Model files, files in packages (app.apk!/m.tflite), families; with --profiles: names "
        "(DEVICE_MODEL=SERVER_MODEL where they differ).",
    ),
    device: str | None = typer.Option(
        None,
        "--device",
        help="Which device, of a store too; with other --profiles: its name.  [host]",
    ),
    server: str = typer.Option(
        "local",
        "--server",
        help="A URL, or local: started here. With --profiles: its profiles, "
        "or a device that the store of --profiles has too.",
    ),
    link: str = typer.Option(
        "direct", "--link", metavar="A,B,…", help="Links by name, files, traces; direct: no proxy."
    ),
    connection: Literal["fresh", "warm", "both"] = typer.Option(
        "both", "--connection", help="A new one for each request, or one that is open."
    ),
    radio: Literal["active", "idle"] = typer.Option(
        "active", "--radio", help="Before the first request."
    ),
    cap_radio: bool = typer.Option(
        True,
        "--cap-radio/--no-cap-radio",
        help="While bytes pass, count no more power than a maker states.",
    ),
    gap: float = typer.Option(0.0, "--gap", help="Seconds of silence before each request."),
    requests: int | None = typer.Option(
        None, "--requests", min=1, help="In a row, sharing the radio's tail.  [10; computed: 100]"
    ),
    prepare: Literal["device", "cloud", "both"] = typer.Option(
        "both", "--prepare", help="Who resizes photos for the server; both: the sooner."
    ),
    power: str | None = typer.Option(
        None, "--power", help="Declared power of the device: a name, or FILE.toml:NAME."
    ),
    whole_phone: bool | None = typer.Option(
        None,
        "--whole-phone/--no-whole-phone",
        help="Of both ways count the phone's base and screen power over the whole answer too.  "
        "[no; a recipe: as its paper]",
    ),
    threads: int | None = typer.Option(
        None, "--threads", min=1, help="Of the model on the device."
    ),
    inputs: list[Path] = typer.Option(
        [],
        "--input",
        help="A folder of photos, images, or an npz file; else made up.",
        rich_help_panel=_MEASURED,
    ),
    processes: int | None = typer.Option(
        None,
        "--processes",
        min=1,
        help="Fresh processes that load it.  [10]",
        rich_help_panel=_MEASURED,
    ),
    quick: bool = typer.Option(
        False,
        "--quick",
        help="A first look: 3 processes, 3 requests; a recipe: 2 of each, two links.",
        rich_help_panel=_MEASURED,
    ),
    served: str | None = typer.Option(
        None, "--served", help="The model's name at the server.", rich_help_panel=_MEASURED
    ),
    mean: str = typer.Option(
        "0",
        "--mean",
        help="Of a model file: the input is (x - mean) / scale.",
        rich_help_panel=_MEASURED,
    ),
    scale: str = typer.Option("1", "--scale", help="See --mean.", rich_help_panel=_MEASURED),
    colour: str | None = typer.Option(
        None, "--colour", help="Of a model file: rgb, bgr, grey.", rich_help_panel=_MEASURED
    ),
    timeout: float = typer.Option(
        60.0,
        "--timeout",
        help="Seconds for a request; a process of the device has 60 at least.",
        rich_help_panel=_MEASURED,
    ),
    token: str | None = typer.Option(
        None, "--token", envvar="EDGEWISE_TOKEN", help="Bearer.", rich_help_panel=_MEASURED
    ),
    ca: Path | None = typer.Option(
        None, "--ca", help="Certificates that vouch for the server.", rich_help_panel=_MEASURED
    ),
    server_threads: int = typer.Option(
        1,
        "--server-threads",
        min=1,
        help="Of one inference, with --server local.",
        rich_help_panel=_MEASURED,
    ),
    seed: int = typer.Option(0, "--seed", min=0, help="Of jitter.", rich_help_panel=_MEASURED),
    recipe: str | None = typer.Option(
        None,
        "--recipe",
        help="A published experiment, with its own models: guo2018.",
        rich_help_panel=_RECIPE,
    ),
    cache: Path | None = typer.Option(
        None, "--cache", help="Where it keeps its models.", rich_help_panel=_RECIPE
    ),
    profiles: str | None = typer.Option(
        None,
        "--profiles",
        metavar="A,B,…",
        rich_help_panel=_COMPUTED,
        help="Compute: each device's profiles: a store, a CSV, or a published set (pixel3).",
    ),
    runtime: str | None = arguments.RUNTIME,
    delegate: str | None = arguments.DELEGATE,
    batch: int | None = arguments.BATCH,
    target: str | None = arguments.TARGET,
    server_target: str | None = typer.Option(
        None,
        "--server-target",
        help="As --target, for the server.",
        rich_help_panel=arguments.OF_A_STORE,
    ),
    photo: str = typer.Option(
        place_computed.PHOTO,
        "--photo",
        metavar="WxH[,BYTES]",
        help="What a request is about.",
        rich_help_panel=_COMPUTED,
    ),
    input_size: str | None = typer.Option(
        None,
        "--input-size",
        metavar="HxW",
        rich_help_panel=_COMPUTED,
        help="Of the model.  [what the store says of it, else 224x224]",
    ),
    payload: float | None = typer.Option(
        None, "--payload", help="Bytes of a request instead of a photo.", rich_help_panel=_COMPUTED
    ),
    reply: float = typer.Option(
        1000.0, "--reply", help="Bytes of an answer.", rich_help_panel=_COMPUTED
    ),
    slowdown: float | None = typer.Option(
        None,
        "--slowdown",
        help="How many times a server's core is as fast as the device's.",
        rich_help_panel=_COMPUTED,
    ),
    utilisation: float | None = typer.Option(
        None,
        "--utilisation",
        help="Of the server, for its queue and price: above 0, below 1.  [no queue; price: 0.5]",
        rich_help_panel=_COMPUTED,
    ),
    mix: str | None = typer.Option(
        None,
        "--mix",
        metavar="wifi=0.6,lte=0.4|FILE.csv",
        rich_help_panel=_COMPUTED,
        help="Many users: who is better served where.",
    ),
    price: float | None = typer.Option(
        None,
        "--price",
        help="With --mix: a core's hour, in any currency.",
        rich_help_panel=_COMPUTED,
    ),
    cores: float = typer.Option(
        1.0, "--cores", help="With --mix: of a request at the server.", rich_help_panel=_COMPUTED
    ),
    as_json: bool = typer.Option(False, "--json", help=output.JSON_HELP),
    store: str | None = typer.Option(None, "--store", help=output.STORE_HELP),
    quiet: bool = typer.Option(False, "--quiet", help=output.QUIET_HELP),
) -> int:
    """Where a model should run: its times and energy on the device against the cloud's."""
    from edgewise.placement.wire import Usage

    kinds: tuple[Kind, ...] = ("fresh", "warm") if connection == "both" else (connection,)
    by = None if prepare == "both" else prepare
    if recipe is not None:
        arguments.refuse_others(context, "with --recipe", names=_OF_A_RECIPE, panels=(_RECIPE,))
        return place_measured.run(
            place_recipe.source(
                recipe, models=models, device=device or "host", phone=power, server=server,
                links=() if link == "direct" else arguments.parse_words(link), inputs=inputs,
                requests=requests, processes=processes, capped=cap_radio,
                whole_phone=whole_phone, cache=cache, quick=quick,
            ),
            store, as_json=as_json, quiet=quiet, named=models,
            after=lambda rows: place_recipe.show(rows, store, as_json=as_json),
            shown=place_recipe.with_finding,
        )  # fmt: skip
    if profiles is None:
        arguments.refuse_others(context, "without --profiles", panels=(None, _MEASURED))
        from edgewise.placement.compare import measured
        from edgewise.placement.comparison import Comparison
        from edgewise.placement.device import device as find
        from edgewise.placement.server import Wanted

        comparison = Comparison(
            models=tuple(dict.fromkeys(models)),
            given=tuple(inputs),
            server=Wanted(server, served, token, ca, server_threads),
            links=arguments.parse_words(link),
            on=find(device or "host"),
            connections=kinds,
            requests=requests or (3 if quick else 10),
            processes=processes or (3 if quick else 10),
            radio=radio,
            gap_ms=gap * 1000,
            capped=cap_radio,
            prepared_by=by,
            how=parse_preprocess(mean, scale, colour),
            threads=threads or 1,
            timeout_s=timeout,
            power=power,
            whole_phone=bool(whole_phone),
            store=_filled(store),
            seed=seed,
        )
        return place_measured.run(
            lambda step: measured(comparison, step), store,
            as_json=as_json, quiet=quiet, named=comparison.models,
        )  # fmt: skip
    arguments.refuse_others(
        context, "with --profiles", panels=(None, _COMPUTED, arguments.OF_A_STORE)
    )
    asked = place_computed.Asked(
        models=tuple(models),
        profiles=arguments.parse_words(profiles),
        device=device,
        which=arguments.wanted(None, runtime, delegate, threads, batch, target),
        server=server,
        server_which=arguments.wanted(target=server_target),
        links=arguments.parse_words(link),
        usages=tuple(Usage(kind, radio, requests or 100, gap * 1000, cap_radio) for kind in kinds),
        sent=place_computed.sent(photo, payload, reply, input_size, by),
        power=power,
        whole_phone=bool(whole_phone),
        slowdown=slowdown,
        threads=threads,
        utilisation=_utilisation(utilisation),
    )
    if mix is not None:
        found = place_computed.mixed(asked, mix, price, cores)
        _show(found, place_print.mixes, store, as_json=as_json)
    else:
        if price is not None:
            raise UsageError("--price goes with --mix")
        _show(place_computed.rows(asked), place_print.rows, store, as_json=as_json)
    return 0


def _show(
    found: Sequence[R], show: Callable[[Sequence[R]], None], store: str | None, *, as_json: bool
) -> None:
    with output.kept_in(store, at_once=True) as keep:
        for each in found:
            keep(each)
            if as_json:
                output.emit(each)
        if not as_json:
            show(found)


def _filled(store: str | None) -> str | None:
    """The store that rows go to, for the joules that it has. It is opened before the work: a store
    that cannot be written is no reason to do it in vain."""
    if not store:
        return None
    from edgewise.store import Store

    Store.open(store, create=True)
    return store


def _utilisation(given: float | None) -> float:
    if given is None:
        return 0.0
    if not 0 < given < 1:
        raise UsageError(
            f"--utilisation {given:g}", hint="above 0 and below 1; leave it out for no queue"
        )
    return given

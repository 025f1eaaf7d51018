"""Forms of arguments that several verbs take."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from edgewise.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from edgewise.selection.profiles.targets import Wanted

OF_A_STORE = "Of a store"
#: Which of a store's measurements count: the same options for every verb that takes a store.
DEVICE = typer.Option(
    None, "--device", rich_help_panel=OF_A_STORE,
    help="Measured on this device, by its exact name; else each model takes its best target.",
)  # fmt: skip
SERVER = typer.Option(
    None, "--server", rich_help_panel=OF_A_STORE,
    help="The device that the models are served on, where --device is the caller's.",
)  # fmt: skip
RUNTIME = typer.Option(None, "--runtime", rich_help_panel=OF_A_STORE, help="By this runtime.")
DELEGATE = typer.Option(None, "--delegate", rich_help_panel=OF_A_STORE, help="By this delegate.")
THREADS = typer.Option(
    None, "--threads", min=1, rich_help_panel=OF_A_STORE, help="With so many threads."
)
BATCH = typer.Option(
    None, "--batch", min=1, rich_help_panel=OF_A_STORE, help="With so many items per call."
)
TARGET = typer.Option(
    None, "--target", rich_help_panel=OF_A_STORE,
    help="Whole words of a target's description, such as 'litert threads=4'.",
)  # fmt: skip


def wanted(
    device: str | None = None,
    runtime: str | None = None,
    delegate: str | None = None,
    threads: int | None = None,
    batch: int | None = None,
    target: str | None = None,
) -> Wanted:
    """The options above as one."""
    from edgewise.selection.profiles.targets import Wanted

    return Wanted(
        device=device, runtime=runtime, delegate=delegate, threads=threads, batch=batch,
        words=tuple((target or "").split()),
    )  # fmt: skip


def check_wanted(which: Wanted, profiles: Sequence[str]) -> None:
    """Refuse a target where nothing has any.

    Raises:
        UsageError: it was given, and none of the profiles is a store.
    """
    from edgewise.selection.profiles.sources import is_store

    if which and not any(each and is_store(each) for each in profiles):
        raise UsageError(
            "--device, --server, --runtime, --delegate, --threads, --batch and --target go with a "
            "store",
            hint="--profiles STORE",
        )


def refuse_others(
    context: typer.Context,
    mode: str,
    *,
    names: Collection[str] = (),
    panels: Collection[str | None] = (),
) -> None:
    """Refuse what was written on the command line and does not apply in this mode of a verb.

    Args:
        names: of the parameters that apply.
        panels: headings of the help below which all do; None: those below none.

    Raises:
        UsageError: which do not.
    """
    others = [
        each.opts[0]
        for each in context.command.params
        if (source := context.get_parameter_source(each.name or ""))
        and source.name == "COMMANDLINE"
        and each.name not in names
        and getattr(each, "rich_help_panel", "") not in panels
    ]
    if others:
        leave = "leave it out" if len(others) == 1 else "leave them out"
        raise UsageError(f"{', '.join(others)}: not {mode}", hint=leave)


def check_order(verb: str, store: str, other: str) -> None:
    """Refuse a store and another word that stand in the wrong order.

    Raises:
        UsageError: there is no store where it should be, but one in the other's place.
    """
    from edgewise.store import Store

    if not Store.is_at(store) and Store.is_at(other):
        raise UsageError(
            f"{verb}: {other} is the store, {store!r} is none", hint="change their places"
        )


def parse_shape(text: str) -> tuple[str, list[int]]:
    """`NAME=1x3x224x224` → the name and the sizes.

    Raises:
        UsageError: it is not of that form.
    """
    name, sign, sizes = text.rpartition("=")
    try:
        dims = [int(size) for size in sizes.lower().split("x")]
    except ValueError:
        dims = []
    if not sign or not name or not dims or min(dims) < 1:
        raise UsageError(f"--shape {text}: not of the form NAME=1x3x224x224")
    return name, dims


def parse_numbers(option: str, text: str) -> tuple[int, ...]:
    """`1,2,4` → the numbers.

    Raises:
        UsageError: something else stands there.
    """
    try:
        return tuple(int(word) for word in text.split(","))
    except ValueError:
        raise UsageError(f"{option} {text}: not whole numbers with commas") from None


def parse_words(text: str) -> tuple[str, ...]:
    """`a,b` → the words; none for an empty text."""
    return tuple(word for word in text.split(",") if word)


def parse_option(text: str) -> tuple[str, str]:
    """`NAME=VALUE` as a pair.

    Raises:
        UsageError: it is none.
    """
    name, separator, value = text.partition("=")
    if not separator or not name.strip() or not value.strip():
        raise UsageError(f"--option {text}: NAME=VALUE is wanted")
    return name.strip(), value.strip()

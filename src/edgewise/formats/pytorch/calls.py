"""Calls as code and bytecode make them: computed where they are plain, recorded where not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from edgewise.formats.aten.quantized import Packed
from edgewise.formats.aten.recorder import UNKNOWN_VALUE, Parts, Recorder, Ref, Sizes, Unknown
from edgewise.formats.aten.tables import record
from edgewise.formats.kit import function
from edgewise.formats.pytorch.plain import NOT_PLAIN, plain_call, rank_of
from edgewise.graph import Kind


class Raised(Exception):
    """The code would raise here."""


def operator(
    recorder: Recorder, op: str, positional: Sequence[Any], named: Mapping[str, Any],
    wanted: int | None,
) -> Any:  # fmt: skip
    """What an operator gives back; `wanted` how many values are taken of it, None if not said."""
    if op == "prim::RaiseException":
        raise Raised
    name = op.rpartition("::")[2]
    found = plain_call(name, list(positional))
    if found is not NOT_PLAIN:
        return found
    first = positional[0] if positional else None
    if name == "dim" and isinstance(first, Ref):
        rank = rank_of(first)
        if rank is not None:
            return rank
    if name == "len" and isinstance(first, Sizes):
        rank = rank_of(first.of)
        return record(recorder, "dim", (first.of,)) if rank is None else rank
    if name == "slice" and isinstance(first, Sizes):
        return _some_sizes(recorder, first, positional[1:])
    if name == "len" and isinstance(first, Ref):
        return record(recorder, "size", (first, 0))
    if name == "__contains__" and isinstance(first, (list, tuple)):
        return _contains(recorder, first, positional[1])
    if name == "__not__":
        if not isinstance(first, Ref):
            return UNKNOWN_VALUE
        return recorder.emit("__not__", function(Kind.UNARY, "not"), [first], kind="bool")
    if name == "__getitem__" and len(positional) > 1:
        return item(recorder, first, positional[1])
    if _has(positional, Unknown) and not _has(positional, (Ref, Sizes, Parts, Packed)):
        return UNKNOWN_VALUE  # of texts, devices and the like: no tensor is made from these alone
    return record(recorder, op, positional, named, outputs=wanted)


def _has(values: Sequence[Any], kinds: type | tuple[type, ...]) -> bool:
    """Whether one of some kinds is among values, or in lists of them."""
    return any(
        isinstance(one, kinds) or (isinstance(one, (list, tuple)) and _has(one, kinds))
        for one in values
    )


def _some_sizes(recorder: Recorder, sizes: Sizes, places: Sequence[Any]) -> Any:
    """A part of a tensor's sizes, where it is known how many it has."""
    rank = rank_of(sizes.of)
    bounds = [place for place in places if isinstance(place, (int, type(None)))]
    if rank is None or len(bounds) != len(places):
        return UNKNOWN_VALUE
    return [record(recorder, "size", (sizes.of, at)) for at in range(rank)[slice(*bounds)]]


def _contains(recorder: Recorder, held: Sequence[Any], value: Any) -> Any:
    """Whether a number that follows from sizes is one of a few: so is the truth of it."""
    if not isinstance(value, Ref) or not all(isinstance(one, int) for one in held) or not held:
        return UNKNOWN_VALUE
    found = [record(recorder, "aten::eq", (value, one)) for one in held]
    truth = found[0]
    for one in found[1:]:
        truth = record(recorder, "aten::__or__", (truth, one))
    return truth


def item(recorder: Recorder, held: Any, place: Any) -> Any:
    """`held[place]`."""
    if isinstance(held, Sizes):
        return record(recorder, "size", (held.of, place))
    if isinstance(held, (list, tuple)) and isinstance(place, int):
        if not -len(held) <= place < len(held):
            raise Raised
        return held[place]
    if isinstance(held, dict) and isinstance(place, (str, int)):
        return held.get(place, UNKNOWN_VALUE)
    if isinstance(held, Ref) and isinstance(place, int):
        return record(recorder, "select", (held, 0, place))
    return UNKNOWN_VALUE

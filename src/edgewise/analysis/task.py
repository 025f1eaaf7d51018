"""What a network is for: rules as data (`tasks.toml`), with how sure they are, and the reason.

Unknown is an answer. Two tasks that are about as sure give none.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from edgewise.analysis.scope import Shapes
from edgewise.graph import Graph

Dims = tuple[int, ...]

#: Tasks whose rules are nearer than this to each other are not told apart.
_APART = 0.1
_CHANNELS = (1, 3, 4)
#: A picture has at least so many pixels along each side.
_SMALLEST = 8
_LABELS_AT_LEAST = 2
#: Letters of names that are looked through.
_LONGEST = 4000


class Told(NamedTuple):
    """A task with the kind of its input, how sure it is (0 to 1), and why."""

    task: str | None
    modality: str | None
    confidence: float | None
    why: str | None


class _Rule(NamedTuple):
    task: str
    modality: str
    confidence: float
    words: re.Pattern[str] | None
    labels: frozenset[str]
    ops: frozenset[str]
    image: bool
    outputs: tuple[tuple[str, ...], ...]


def told(path: str, graph: Graph, shapes: Shapes) -> Told:
    """The task of a network.

    Args:
        path: where its file lies; its own name and its folder's count.
        graph: the network.
        shapes: what propagation found.
    """
    given = [shapes.dims[index] for index in graph.inputs]
    image = any(map(_is_picture, given))
    outputs = [
        tuple(map(int, dims)) for dims in map(shapes.dims.__getitem__, graph.outputs) if dims
    ]
    text = _text(path, graph)
    ops = {layer.op.rpartition("::")[2] for layer in graph.layers}
    labels = {label.lower() for label in graph.labels}
    found: dict[str, tuple[_Rule, str]] = {}
    for rule in _rules():
        why = _match(rule, text, image or None in given or not given, outputs, ops, labels)
        if why and (rule.task not in found or rule.confidence > found[rule.task][0].confidence):
            found[rule.task] = rule, why
    modality = "image" if image else None
    if not found:
        return Told(None, modality, None, None)
    ranked = sorted(found.values(), key=lambda pair: -pair[0].confidence)
    best, why = ranked[0]
    if len(ranked) > 1 and best.confidence - ranked[1][0].confidence < _APART:
        return Told(None, modality, None, None)
    return Told(best.task, best.modality, best.confidence, why)


def _text(path: str, graph: Graph) -> str:
    """Names by which somebody may have said what the network is for."""
    parts = PurePosixPath(path.replace("!/", "/")).parts[-2:]
    said = [graph.metadata.get(key, "") for key in ("name", "description", "task")]
    return " ".join([*parts, graph.name, *said]).lower()[:_LONGEST]


def _is_picture(dims: Sequence[int] | None) -> bool:
    """Height, width and channels, in either order, with a batch or without."""
    if dims is None or len(dims) not in (3, 4):
        return False
    few = dims[-1] in _CHANNELS or dims[-3] in _CHANNELS
    return few and sorted(map(int, dims))[-2] >= _SMALLEST


def _match(
    rule: _Rule, text: str, image: bool, outputs: list[Dims], ops: set[str], labels: set[str]
) -> str | None:
    """Why a rule fits, None where it does not. Everything that it asks must be there."""
    why = []
    if rule.image and not image:
        return None
    if rule.words is not None:
        hit = rule.words.search(text)
        if hit is None:
            return None
        why.append(f"it is called {hit.group()!r}")
    if rule.labels:
        common = sorted(rule.labels & labels)
        if len(common) < _LABELS_AT_LEAST:
            return None
        why.append(f"its classes are {', '.join(common)}")
    if rule.ops:
        used = sorted(rule.ops & ops)
        if not used:
            return None
        why.append(f"it uses {used[0]}")
    if rule.outputs:
        if not all(any(_fits(dims, pattern) for dims in outputs) for pattern in rule.outputs):
            return None
        why.append("of the shapes of its outputs")
    return " and ".join(why)


def _fits(dims: Dims, pattern: tuple[str, ...]) -> bool:
    while len(dims) > len(pattern) and dims[-1] == 1:
        dims = dims[:-1]  # a class each, as channels of one pixel
    return len(dims) == len(pattern) and all(
        want == "*" or (size > int(want[1:]) if want.startswith(">") else size == int(want))
        for size, want in zip(dims, pattern, strict=True)
    )


@cache
def _rules() -> tuple[_Rule, ...]:
    import tomllib

    text = Path(__file__).with_name("tasks.toml").read_text(encoding="utf-8")
    return tuple(_rule(row) for row in tomllib.loads(text)["rule"])


def _rule(row: dict[str, Any]) -> _Rule:
    words = row.get("words")
    return _Rule(
        row["task"],
        row["modality"],
        row["confidence"],
        re.compile("|".join(words)) if words else None,
        frozenset(row.get("labels", ())),
        frozenset(row.get("ops", ())),
        row.get("image", False),
        tuple(tuple(shape.split(",")) for shape in row.get("outputs", ())),
    )

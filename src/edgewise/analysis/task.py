"""What a network is for: rules as data (`tasks.toml`), with how sure they are, and the reason.

Unknown is an answer. Two tasks that are about as sure give none.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from edgewise.analysis.architecture import Facts, Form, form_of, rows
from edgewise.graph import Graph

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
    architectures: frozenset[str]
    image: bool
    form: Form
    formed: str


def told(path: str, graph: Graph, facts: Facts, architecture: str | None) -> Told:
    """The task of a network.

    Args:
        path: where its file lies; its own name and its folder's count.
        graph: the network.
        facts: its structure and shapes.
        architecture: its family, where it is known.
    """
    image = any(map(_is_picture, facts.inputs))
    # Of an input whose size is not known it may be.
    may_be = image or len(facts.inputs) < len(graph.inputs) or not graph.inputs
    text = _text(path, graph)
    labels = {label.lower() for label in graph.labels}
    found: dict[str, tuple[_Rule, str]] = {}
    for rule in _rules():
        why = _match(rule, text, may_be, facts, labels, architecture)
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


def _is_picture(dims: Sequence[int]) -> bool:
    """Height, width and channels, in either order, with a batch or without."""
    if len(dims) not in (3, 4):
        return False
    few = dims[-1] in _CHANNELS or dims[-3] in _CHANNELS
    return few and sorted(map(int, dims))[-2] >= _SMALLEST


def _match(
    rule: _Rule, text: str, image: bool, facts: Facts, labels: set[str], architecture: str | None
) -> str | None:  # fmt: skip
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
    if rule.architectures:
        if architecture not in rule.architectures:
            return None
        why.append(f"it is built as {architecture}")
    if not rule.form.fits(facts):
        return None
    if rule.form.ops:
        why.append(f"it uses {min(rule.form.ops & facts.ops)}")
    return " and ".join([*why, *([rule.formed] if rule.formed else [])])


@cache
def _rules() -> tuple[_Rule, ...]:
    return tuple(map(_rule, rows("tasks.toml")))


def _rule(row: dict[str, Any]) -> _Rule:
    words = row.get("words")
    asked = {
        "where": "its structure", "inputs": "the shape of an input",
        "outputs": "the shapes of its outputs",
    }  # fmt: skip
    formed = [said for key, said in asked.items() if key in row]
    return _Rule(
        row["task"],
        row["modality"],
        row["confidence"],
        re.compile("|".join(words)) if words else None,
        frozenset(row.get("labels", ())),
        frozenset(row.get("architectures", ())),
        row.get("image", False),
        form_of(row),
        f"of {' and '.join(formed)}" if formed else "",
    )

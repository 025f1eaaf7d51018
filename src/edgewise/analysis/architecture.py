"""Known architectures, told by structure and not by name: rules as data (`architectures.toml`).

What fits no rule is unknown.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from edgewise.analysis.scope import Shapes
from edgewise.analysis.structure import Structure
from edgewise.graph import Graph

Dims = tuple[int, ...]

_COMPARISON = re.compile(r"(.+) (==|<=|>=) (.+)")


class Condition(NamedTuple):
    """A comparison of sums of numbers, by name or as they are."""

    left: tuple[str, ...]
    sign: str
    right: tuple[str, ...]

    def holds(self, found: Structure) -> bool:
        """Whether it does for a network."""
        left, right = (
            sum(int(term) if term.isdigit() else found[term] for term in side)
            for side in (self.left, self.right)
        )
        return {"==": left == right, "<=": left <= right, ">=": left >= right}[self.sign]


class Pattern(NamedTuple):
    """A shape: numbers, `*` for any size, `>N`."""

    sizes: tuple[str, ...]

    def fits(self, dims: Dims) -> bool:
        """Whether a shape is of it. Axes of length 1 at the end do not count."""
        while len(dims) > len(self.sizes) and dims[-1] == 1:
            dims = dims[:-1]  # a class each, as channels of one pixel
        return len(dims) == len(self.sizes) and all(
            want == "*" or (size > int(want[1:]) if want.startswith(">") else size == int(want))
            for size, want in zip(dims, self.sizes, strict=True)
        )


class Facts(NamedTuple):
    """What rules ask of a network."""

    found: Structure
    inputs: tuple[Dims, ...]
    outputs: tuple[Dims, ...]
    ops: frozenset[str]


class Form(NamedTuple):
    """The part of a rule that is about structure: all that it asks must be there."""

    where: tuple[Condition, ...]
    inputs: tuple[Pattern, ...]
    outputs: tuple[Pattern, ...]
    ops: frozenset[str]

    def fits(self, facts: Facts) -> bool:
        """Whether a network is of it."""
        return (
            all(condition.holds(facts.found) for condition in self.where)
            and (not self.inputs or _any(self.inputs, facts.inputs))
            and all(any(map(pattern.fits, facts.outputs)) for pattern in self.outputs)
            and (not self.ops or not self.ops.isdisjoint(facts.ops))
        )


class _Rule(NamedTuple):
    architecture: str
    form: Form | None
    weights: tuple[re.Pattern[str], ...]


def facts_of(graph: Graph, shapes: Shapes, found: Structure) -> Facts:
    """What rules ask of a network, by its numbers (`structure`)."""
    inputs, outputs = (
        tuple(tuple(map(int, dims)) for i in ports if (dims := shapes.dims[i]))
        for ports in (graph.inputs, graph.outputs)
    )
    ops = frozenset(layer.op.rpartition("::")[2] for layer in graph.layers)
    return Facts(found, inputs, outputs, ops)


def architecture(graph: Graph, facts: Facts) -> str | None:
    """The family of a network, None where its structure is of none that is known."""
    names = "\n".join(tensor.name for tensor in graph.tensors) if facts.found["weights"] else ""
    for rule in _rules():
        if rule.form.fits(facts) if rule.form else all(p.search(names) for p in rule.weights):
            return rule.architecture
    return None


def form_of(row: dict[str, Any]) -> Form:
    """The structural part of a rule as it stands in TOML."""
    return Form(
        tuple(_condition(text) for text in row.get("where", ())),
        tuple(Pattern(tuple(shape.split(","))) for shape in row.get("inputs", ())),
        tuple(Pattern(tuple(shape.split(","))) for shape in row.get("outputs", ())),
        frozenset(row.get("ops", ())),
    )


def rows(file: str) -> list[dict[str, Any]]:
    """The rules of a file beside this one."""
    import tomllib

    text = Path(__file__).with_name(file).read_text(encoding="utf-8")
    found: list[dict[str, Any]] = tomllib.loads(text)["rule"]
    return found


def _any(patterns: tuple[Pattern, ...], shapes: tuple[Dims, ...]) -> bool:
    return any(pattern.fits(dims) for pattern in patterns for dims in shapes)


def _condition(text: str) -> Condition:
    parts = _COMPARISON.fullmatch(text)
    if parts is None:
        raise ValueError(f"no comparison: {text!r}")
    return Condition(tuple(parts[1].split(" + ")), parts[2], tuple(parts[3].split(" + ")))


@cache
def _rules() -> tuple[_Rule, ...]:
    return tuple(
        _Rule(
            row["architecture"],
            None if "weights" in row else form_of(row),
            tuple(re.compile(pattern, re.M) for pattern in row.get("weights", ())),
        )
        for row in rows("architectures.toml")
    )

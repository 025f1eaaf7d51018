"""Policies by name: the register, and `parse` for what is written in options.

A policy is written `name`, `name:parameter=value:…` or `static:MODEL`; a flag needs no value:
`cnnselect:threshold=20:exclude_dominated`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import MISSING, fields
from typing import Any, cast

from edgewise.errors import UsageError
from edgewise.selection.policies.cascade import Cascade
from edgewise.selection.policies.cnnselect import CNNSelect
from edgewise.selection.policies.deadline import Deadline
from edgewise.selection.policies.protocol import Policy
from edgewise.selection.policies.published import (
    BudgetUniform,
    BudgetWeighted,
    Exploration,
    Fastest,
    Greedy,
    MDInference,
    MostAccurate,
    Oracle,
    Random,
    Static,
)

#: Every policy is a frozen dataclass of its parameters, with the name it is written by.
POLICIES: dict[str, type[Any]] = {
    kind.kind: kind
    for kind in (
        Fastest, MostAccurate, Static, Random, Exploration, Greedy, BudgetUniform, BudgetWeighted,
        MDInference, CNNSelect, Deadline, Cascade, Oracle,
    )
}  # fmt: skip

#: What `queueing.parse` knows to do with.
_UNDER_LOAD = ("+queue", "+cascade")


def parse(text: str) -> Policy:
    """A policy from its written form.

    Raises:
        UsageError: an unknown name or parameter, a value that is none, a missing one.
    """
    kind, *words = text.strip().split(":")
    if kind.endswith(_UNDER_LOAD) and kind.partition("+")[0] in POLICIES:
        raise UsageError(f"'{text}' is for requests that queue", hint="--arrivals poisson:80")
    if kind not in POLICIES:
        raise UsageError(f"unknown policy '{kind}'", hint=f"known: {', '.join(POLICIES)}")
    policy = POLICIES[kind]
    given: dict[str, object] = {}
    types = {field.name: field.type for field in fields(policy)}
    required = [field.name for field in fields(policy) if field.default is MISSING]
    for word in words:
        key, separator, value = word.partition("=")
        if not separator and types.get(key) != "bool" and required:
            key, value = required[0], word
        if key not in types or key in given:
            known = ", ".join(types) or "none"
            raise UsageError(
                f"'{text}': unknown or repeated parameter '{key}'", hint=f"it has: {known}"
            )
        given[key] = _value(text, key, value, str(types[key]))
    if missing := [name for name in required if name not in given]:
        raise UsageError(f"'{text}' lacks its {missing[0]}", hint=f"{kind}:{missing[0].upper()}")
    return cast(Policy, policy(**given))


def parse_all(texts: Iterable[str]) -> tuple[Policy, ...]:
    """Several policies; the same one twice is refused.

    Raises:
        UsageError: as `parse`; no policy; one is named twice.
    """
    policies = tuple(parse(text) for text in texts if text.strip())
    check_names([policy.name for policy in policies])
    return policies


def check_names(names: Sequence[str]) -> None:
    """Refuse that there is no policy, or one twice."""
    if not names:
        raise UsageError("no policy is named", hint=f"known: {', '.join(POLICIES)}")
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise UsageError(f"the policy '{twice}' is named twice")


def _value(text: str, key: str, value: str, kind: str) -> object:
    if kind == "bool":
        if value in ("", "true", "false"):
            return value != "false"
        raise UsageError(f"'{text}': {key} is true or false, not '{value}'")
    if kind == "str":
        return value
    try:
        return int(value) if kind == "int" else float(value)
    except ValueError:
        raise UsageError(f"'{text}': {key} is a number, not '{value}'") from None

"""Policies by name: the one list, and `parse` for what is written in options.

Another package adds one by an entry point of the group `edgewise.policies`: a policy's class, or a
module that lists several as `POLICIES`.

A policy is written `name`, `name:parameter=value:…` or `static:MODEL`; a flag needs no value:
`cnnselect:threshold=20:exclude_dominated`.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from types import MappingProxyType
from typing import Any, cast

from edgewise.errors import UsageError
from edgewise.plugins import declared
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
_OURS: tuple[type[Any], ...] = (
    Fastest, MostAccurate, Static, Random, Exploration, Greedy, BudgetUniform, BudgetWeighted,
    MDInference, CNNSelect, Deadline, Cascade, Oracle,
)  # fmt: skip

#: What `queueing.parse` knows to do with.
_UNDER_LOAD = ("+queue", "+cascade")


@cache
def policies() -> Mapping[str, type[Any]]:
    """All policies by the name they are written by, those of other packages last.

    What another package declares and is no policy, or has a name that is taken, is left out with a
    warning.
    """
    found: dict[str, type[Any]] = {each.kind: each for each in _OURS}
    for entry in declared("policies"):
        for each in getattr(entry, "POLICIES", (entry,)):
            if reason := _unfit(each, found):
                warnings.warn(f"edgewise.policies: {each!r} is left out: {reason}", stacklevel=2)
            else:
                found[each.kind] = each
    return MappingProxyType(found)


def _unfit(given: Any, there: Mapping[str, object]) -> str | None:
    """Why something from outside cannot be a policy, None where it can."""
    if not (
        isinstance(given, type) and is_dataclass(given) and callable(getattr(given, "on", None))
    ):
        return "a policy is a dataclass with the method `on`"
    kind = getattr(given, "kind", None)
    if not isinstance(kind, str) or not kind or set(kind) & set(":,+ "):
        return "its `kind` is a name without colons, commas, plus signs and spaces"
    return f"there is a policy '{kind}' already" if kind in there else None


def parse(text: str) -> Policy:
    """A policy from its written form.

    Raises:
        UsageError: an unknown name or parameter, a value that is none, a missing one.
    """
    kind, *words = text.strip().split(":")
    known_kinds = policies()
    if kind.endswith(_UNDER_LOAD) and kind.partition("+")[0] in known_kinds:
        raise UsageError(f"'{text}' is for requests that queue", hint="--arrivals poisson:80")
    if kind not in known_kinds:
        raise UsageError(f"unknown policy '{kind}'", hint=f"known: {', '.join(known_kinds)}")
    policy = known_kinds[kind]
    given: dict[str, object] = {}
    # As text, whether or not its module postpones annotations.
    types = {field.name: getattr(field.type, "__name__", field.type) for field in fields(policy)}
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
        raise UsageError("no policy is named", hint=f"known: {', '.join(policies())}")
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

"""Parameters of the protocol as Python's values, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Value = bool | int | float | str


def values(parameters: Mapping[str, Any]) -> dict[str, Value]:
    """The values of a message's parameters; one that was left without a value is left out."""
    given = {}
    for name, parameter in parameters.items():
        if (choice := parameter.WhichOneof("parameter_choice")) is not None:
            given[name] = getattr(parameter, choice)
    return given


def fill(parameters: Any, given: Mapping[str, Value]) -> None:
    """Put values into a message's parameters."""
    for name, value in given.items():
        if isinstance(value, bool):
            parameters[name].bool_param = value
        elif isinstance(value, int):
            parameters[name].int64_param = value
        elif isinstance(value, float):
            parameters[name].double_param = value
        else:
            parameters[name].string_param = value

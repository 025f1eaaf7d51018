"""Forms of arguments that several verbs take."""

from __future__ import annotations

from edgewise.errors import UsageError


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

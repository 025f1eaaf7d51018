"""Turn what a runtime throws into `RuntimeRefused`, shortened to what it says."""

from __future__ import annotations

import re

from edgewise.errors import EdgewiseError, MissingExtra, RuntimeRefused

_LONGEST = 240
#: Parts of runtimes' messages that tell a user nothing, in the order they are removed.
_NOISE = (
    re.compile(r"^\[ONNXRuntimeError\] : \d+ : \w+ : "),
    re.compile(r"Load model from .*? failed:\s*"),
    re.compile(r"/\S+\.(?:cc|h):\d+ \S.*?\)(?: const)? (?=[A-Z\[])"),  # a C++ source location
    re.compile(r"See instructions: \S+ ?"),
)
#: LiteRT strings its messages together without a space.
_JOINT = re.compile(r"(?<=[\w)])\.(?=[A-Z]|quantized_dimension)")


class _Refusals:
    """See `refusals`. No generator: it is entered several times for every inference."""

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: object
    ) -> None:
        if isinstance(error, Exception) and not isinstance(error, (EdgewiseError, MemoryError)):
            raise RuntimeRefused(informative(str(error) or type(error).__name__)) from error


_REFUSALS = _Refusals()


def refusals() -> _Refusals:
    """Whatever the runtime raises inside becomes `RuntimeRefused`, except that memory ran out."""
    return _REFUSALS


def not_importable(error: ImportError, extra: str, needed_for: str) -> EdgewiseError:
    """What to say where a runtime's package cannot be imported.

    A package that is missing names its extra. One that is there and broken (no memory to map it, a
    library of the system missing) says why: installing it again would not help.
    """
    if isinstance(error, ModuleNotFoundError):
        return MissingExtra(extra, needed_for)
    return RuntimeRefused(
        f"{needed_for}: the runtime cannot be imported: {informative(str(error))}"
    )


def informative(message: str) -> str:
    """A runtime's message as one line: without source locations and repetitions."""
    text = " ".join(message.split())
    for noise in _NOISE:
        text = noise.sub("", text)
    text = _JOINT.sub(". ", text).strip()
    if len(text) <= _LONGEST:
        return text
    whole_sentences = text[:_LONGEST].rpartition(". ")[0]
    return f"{whole_sentences}." if whole_sentences else f"{text[:_LONGEST]}…"

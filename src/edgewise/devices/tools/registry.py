"""Which tools' outputs can be read: the one list."""

from __future__ import annotations

from typing import Protocol

from edgewise.devices.tools import result_proto
from edgewise.devices.tools.text import MOST_BYTES, by_process, decode
from edgewise.errors import InputError
from edgewise.records import Reported


class Reader(Protocol):
    """What a module of this room offers; it is the module itself."""

    NAME: str

    def recognise(self, text: str) -> bool:
        """Whether a text is of this tool."""
        ...

    def read(self, text: str, exit_status: int | None = None) -> list[Reported]:
        """Its runs, in their order; `exit_status` of the last one, -1: the connection was lost."""
        ...


def readers() -> tuple[Reader, ...]:
    """All readers of text; the first that recognises one reads it."""
    from edgewise.devices.tools import (
        benchmark_model,
        benchncnn,
        executorch,
        litert2,
        llama_bench,
        mnn,
        perf_test,
        profile,
        table,
    )  # fmt: skip

    return (
        litert2, benchmark_model, llama_bench, executorch, mnn, benchncnn, perf_test, profile, table
    )  # fmt: skip


def read(data: bytes, exit_status: int | None = None) -> list[Reported]:
    """What a file says, whatever tool wrote it.

    Raises:
        InputError: it is of no tool that is known, or holds no run.
    """
    if len(data) > MOST_BYTES:
        raise InputError(f"larger than {MOST_BYTES >> 20} MiB: no tool's output")
    if (result := result_proto.parse(data)) is not None:
        return [result]
    found = []
    for text in by_process(decode(data)):
        try:
            reader = next((each for each in readers() if each.recognise(text)), None)
            found += reader.read(text, exit_status) if reader else []
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise InputError(f"looks like a tool's output, and is broken: {error}") from error
    if not found:
        known = ", ".join([result_proto.NAME, *(each.NAME for each in readers())])
        raise InputError("the output of no tool that is known", hint=f"known: {known}")
    return found

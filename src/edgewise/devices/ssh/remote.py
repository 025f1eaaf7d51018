"""The board's side: one request from standard input, one answer to standard output.

It ends with its caller: when standard input closes before the answer is out (Ctrl-C, a connection
that dropped), the process ends, and its worker with it.
"""

from __future__ import annotations

import os
import struct
import sys
import threading
from typing import Any, NoReturn

import msgspec

from edgewise import sandbox
from edgewise.errors import EdgewiseError
from edgewise.sandbox import Limits

#: What goes before an answer: login shells may print before it.
MARK = b"\0edgewise-answer\0"
LENGTH = struct.Struct(">Q")


def serve() -> NoReturn:
    """Answer the request that is on standard input."""
    stdin, stdout = sys.stdin.buffer, sys.stdout.buffer
    (length,) = LENGTH.unpack(stdin.read(LENGTH.size))
    request = msgspec.msgpack.decode(stdin.read(length))
    threading.Thread(target=_end_with_caller, daemon=True).start()
    answer = msgspec.msgpack.encode(_answer(*request))
    stdout.write(MARK + LENGTH.pack(len(answer)) + answer)
    stdout.flush()
    os._exit(0)


def _end_with_caller() -> None:
    while os.read(0, 4096):
        pass
    os._exit(1)


def _answer(function: str, arguments: list[Any], seconds: float, memory: int | None) -> list[Any]:
    try:
        found = sandbox.call(function, *arguments, limits=Limits(seconds, memory))
    except EdgewiseError as error:
        return ["error", type(error).__name__, error.message, error.hint]
    except Exception as error:  # noqa: BLE001  another machine's process: raised again there
        return ["defect", str(error)]
    return ["value", found.value, found.log, found.exit_status]


def describe() -> Any:
    """The board as a device, as builtins. In a worker process there."""
    from edgewise.devices import host

    return msgspec.to_builtins(host.describe())


def context(affinity: list[int] | None) -> Any:
    """The board's context, as builtins. In a worker process there."""
    from edgewise.devices import host

    pinned = None if affinity is None else tuple(affinity)
    return msgspec.to_builtins(host.describe_context(affinity=pinned))


def state() -> Any:
    """How the board does, as builtins. In a worker process there."""
    from edgewise.devices.local import Host

    return msgspec.to_builtins(Host().state())

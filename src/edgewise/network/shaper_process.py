"""The other end of a `ShaperProcess`: settings and requests on standard input, answers in JSON.

The settings are a pickle, which only this process's parent can have written.
"""

from __future__ import annotations

import pickle
import signal
import sys

import msgspec

from edgewise.errors import UsageError
from edgewise.network.shaper import Shaper


def main() -> None:
    """Serve until standard input ends."""
    # Ctrl-C is for the parent; this process ends with it, when its input does.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    target, shape, listen = pickle.load(sys.stdin.buffer)
    try:
        shaper = Shaper.of(target, shape, listen=listen)
        _answer({"port": shaper.open()})
    except UsageError as error:
        _answer({"error": error.message, "hint": error.hint})
        return
    with_request = {"pause": shaper.pause, "resume": shaper.resume}
    for line in sys.stdin.buffer:
        request = line.decode().strip()
        if request == "counters":
            _answer(shaper.counters())
        else:
            with_request[request]()
            _answer({})
    shaper.shut()


def _answer(value: object) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(value) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()

"""The process of the shaping proxies (`links`): one event loop for all of them.

Standard input brings the settings, a pickle that only this process's parent can have written;
standard output tells the ports as a line of JSON, or what is wrong. It ends with its input.
"""

from __future__ import annotations

import pickle
import signal
import sys
import threading
from collections.abc import Callable

import msgspec

from edgewise.errors import UsageError
from edgewise.load.placing import take_precedence
from edgewise.network.shaper import LOOPBACK
from edgewise.network.shaping.loop import Loop
from edgewise.network.shaping.proxy import Proxy, addresses


def main() -> None:
    """Serve until standard input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent
    host, port, shapes, realtime = pickle.load(sys.stdin.buffer)
    loop = Loop()
    try:
        targets, (listen, *_) = addresses(host, port), addresses(LOOPBACK, 0)
        proxies = [Proxy(loop, shape, targets, listen) for shape in shapes]
    except UsageError as error:
        _tell(str(error))
        return
    threading.Thread(target=_wait_for_end, args=(loop.stop,), daemon=True).start()
    if realtime:
        take_precedence()  # a link is late where its proxy is
    _tell([proxy.port for proxy in proxies])
    loop.run()
    for proxy in proxies:
        proxy.close()
    loop.close()


def _wait_for_end(stop: Callable[[], None]) -> None:
    sys.stdin.buffer.read()
    stop()


def _tell(value: object) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(value) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()

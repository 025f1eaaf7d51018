"""What the kernel knows of a TCP connection."""

from __future__ import annotations

import socket
import struct
import sys
from typing import Any

#: Offsets in Linux's `struct tcp_info` (include/uapi/linux/tcp.h), in µs.
_LINUX_INFO, _LINUX_RTT, _LINUX_MIN_RTT, _LINUX_BYTES = 11, 68, 148, 152
_NO_SAMPLE = 0xFFFFFFFF
#: macOS: TCP_CONNECTION_INFO (netinet/tcp.h), where `tcpi_srtt` is in ms.
_DARWIN_INFO, _DARWIN_SRTT, _DARWIN_BYTES = 0x106, 44, 112
#: macOS: SO_NWRITE (sys/socket.h).
_DARWIN_NWRITE = 0x1024
#: A receiver may hold an acknowledgement back so long; it is then in the smoothed round trip.
_DELAYED_ACK_MS = 40.0


def rtt_ms(connection: Any) -> float | None:
    """Round-trip time of a connected TCP socket in ms; None where this system does not tell.

    The smoothed value, unless what it has above the smallest may be acknowledgements held back,
    which a service that answers and then waits sees often: then the smallest.
    """
    try:
        return _OF_SYSTEM[sys.platform](connection)
    except (KeyError, OSError, struct.error):
        return None


def _darwin(connection: Any) -> float | None:
    info = connection.getsockopt(socket.IPPROTO_TCP, _DARWIN_INFO, _DARWIN_BYTES)
    return float(struct.unpack_from("=I", info, _DARWIN_SRTT)[0]) or None


def _linux(connection: Any) -> float | None:
    info = connection.getsockopt(socket.IPPROTO_TCP, _LINUX_INFO, _LINUX_BYTES)
    smoothed_ms = struct.unpack_from("=I", info, _LINUX_RTT)[0] / 1000
    if not smoothed_ms:
        return None
    if len(info) < _LINUX_BYTES:
        return float(smoothed_ms)
    smallest = struct.unpack_from("=I", info, _LINUX_MIN_RTT)[0]
    if smallest == _NO_SAMPLE or smoothed_ms - smallest / 1000 > _DELAYED_ACK_MS:
        return float(smoothed_ms)
    return float(smallest / 1000)


_OF_SYSTEM = {"linux": _linux, "darwin": _darwin}


def unacknowledged_bytes(connection: Any) -> int:
    """What the kernel holds of a connected socket's output: not sent, or not yet acknowledged.

    0 where this system does not tell.
    """
    try:
        if sys.platform == "darwin":
            return int(connection.getsockopt(socket.SOL_SOCKET, _DARWIN_NWRITE))
        import fcntl
        import termios

        answer = fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, bytes(4))
        return int.from_bytes(answer, sys.byteorder)
    except (ImportError, OSError):
        return 0

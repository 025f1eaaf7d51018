"""Whether it is worth asking adb: without a phone on USB its server is not started just to look."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

#: Class, subclass and protocol of an interface that speaks adb.
_ADB_INTERFACE = ("ff", "42", "01")
_PORT = 5037


def worth_asking(root: Path = Path("/")) -> bool:
    """Whether a server of adb runs already, or a phone is plugged in (elsewhere than on Linux:
    always, since that cannot be told)."""
    if sys.platform != "linux" or _server_runs():
        return True
    for interface in (root / "sys/bus/usb/devices").glob("*:*"):
        names = ("bInterfaceClass", "bInterfaceSubClass", "bInterfaceProtocol")
        try:
            found = tuple((interface / name).read_text().strip() for name in names)
        except OSError:
            continue
        if found == _ADB_INTERFACE:
            return True
    return False


def _server_runs() -> bool:
    port = os.environ.get("ANDROID_ADB_SERVER_PORT", "")
    try:
        where = ("127.0.0.1", int(port) if port.isdigit() else _PORT)
        with socket.create_connection(where, timeout=1):
            return True
    except OSError:
        return False

"""Power of a USB port, through uhubctl: a phone on a cable charges, and cannot be metered."""

from __future__ import annotations

import shutil
import subprocess
import time
from dataclasses import dataclass

from edgewise.errors import DeviceError, UsageError

_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Port:
    """One port: the hub's location and the port's number, as uhubctl names them."""

    location: str
    number: int


def parse(text: str) -> Port:
    """`1-1.4:2`.

    Raises:
        UsageError: it is no port.
    """
    location, _, number = text.rpartition(":")
    if not location or not number.isdigit():
        raise UsageError(f"--hub {text!r}", hint="LOCATION:PORT as uhubctl prints them, like 1-1:2")
    return Port(location, int(number))


def switch(port: Port, on: bool) -> None:
    """Give a port power, or take it.

    Raises:
        DeviceError: uhubctl is missing, or the hub does not do it.
    """
    program = shutil.which("uhubctl")
    if program is None:
        raise DeviceError("no uhubctl", hint="apt-get install uhubctl")
    done = subprocess.run(
        [program, "-l", port.location, "-p", str(port.number), "-a", "on" if on else "off"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_SECONDS, check=False,
    )  # fmt: skip
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()[-1:] or ["it says nothing"]
        raise DeviceError(f"uhubctl does not switch port {port.number}: {said[0]}")


def without_power(port: Port, seconds: float) -> None:
    """Take a port's power for so long, and give it back whatever happens.

    Raises:
        DeviceError: as `switch`.
    """
    switch(port, on=False)
    try:
        time.sleep(seconds)
    finally:
        switch(port, on=True)

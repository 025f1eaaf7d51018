"""Files of a phone, and recording what they hold while something runs there.

The recording is made on the phone itself: reading over the cable twice a second would disturb what
is measured, and without the cable (`--detached`, the port's power cut) nothing could be read.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from edgewise.devices.adb.client import Adb, quoted
from edgewise.devices.adb.files import FOLDER

_LOG, _FLAG = f"{FOLDER}/meter.log", f"{FOLDER}/meter.on"
_MOMENT = re.compile(r"^edgewise-at:(\d+\.\d+)$", re.M)
#: Says the phone's clock, in s since it started; it goes on while nothing else does.
_CLOCK = "read u x </proc/uptime; echo edgewise-at:$u"


class PhoneFiles:
    """The files of a phone from its root on, by relative paths. Energy meters find theirs there."""

    def __init__(self, adb: Adb) -> None:
        self._adb = adb

    def read(self, path: str) -> str:
        """What a file holds now.

        Raises:
            OSError: it is not there, or not for the shell user.
        """
        said = self._adb.read(f"cat {quoted('/' + path)}")
        if said is None:
            raise OSError(f"{path} cannot be read")
        return said

    def names(self, folder: str = "") -> list[str]:
        """The names in a folder, sorted; none where it is not there."""
        said = self._adb.read(f"ls {quoted('/' + folder)}") or ""
        return sorted(each.strip() for each in said.splitlines() if each.strip())


@dataclass(frozen=True, slots=True)
class Recorded:
    """What files held at moments (s on the phone's clock); None where one could not be read."""

    moments_s: list[float]
    texts: dict[str, list[str | None]]


def around(line: str, paths: Sequence[str], seconds: float, every_s: float) -> str:
    """A command for the phone: record these files, idle for so long, run `line`, idle again. It
    says its moments: idling, running, idling again began, and the end. Its status is that of
    `line`."""
    reads = "".join(
        f"echo '@{path}'; cat {quoted('/' + path)} 2>/dev/null || echo '@!'; " for path in paths
    )
    sampler = (
        f'( while [ -e {_FLAG} ]; do read u x </proc/uptime; echo "@@$u"; {reads}'
        f"sleep {every_s:g} || sleep 1; done ) >{_LOG} 2>/dev/null </dev/null &"
    )
    return (
        f"touch {_FLAG}; {sampler} {_CLOCK}; sleep {seconds:g}; {_CLOCK}; {line}; s=$?; {_CLOCK}; "
        f"sleep {seconds:g}; {_CLOCK}; rm -f {_FLAG}; ( exit $s )"
    )


def moments(output: str) -> list[float]:
    """The moments that `around` said."""
    return [float(each) for each in _MOMENT.findall(output)]


def collect(adb: Adb) -> Recorded:
    """What was recorded.

    Raises:
        DeviceError: the phone does not answer.
    """
    return parse(adb.read(f"rm -f {_FLAG}; cat {_LOG}", seconds=60) or "")


def stop(adb: Adb) -> None:
    """End a recording that goes on."""
    adb.shell(f"rm -f {_FLAG}")


def parse(log: str) -> Recorded:
    """A recording's log: `@@` and the clock, then `@` and a path before each text, `@!` where it
    could not be read. A last turn that was cut is left out."""
    moments_s: list[float] = []
    turns: list[dict[str, str | None]] = []
    path: str | None = None
    for line in log.splitlines():
        if line.startswith("@@"):
            try:
                moments_s.append(float(line[2:]))
            except ValueError:
                break
            turns.append({})
            path = None
        elif not turns:
            continue
        elif line == "@!":
            if path is not None:
                turns[-1][path] = None
        elif line.startswith("@"):
            path = line[1:]
            turns[-1][path] = ""
        elif path is not None:
            turns[-1][path] = f"{turns[-1][path] or ''}{line}\n"
    paths = list(dict.fromkeys(each for turn in turns for each in turn))
    whole = [at for at, turn in enumerate(turns) if len(turn) == len(paths)]
    return Recorded(
        [moments_s[at] for at in whole],
        {each: [turns[at][each] for at in whole] for each in paths},
    )

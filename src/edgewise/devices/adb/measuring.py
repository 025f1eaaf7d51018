"""One process of `benchmark_model` on a phone: started, watched, read; what went wrong is named."""

from __future__ import annotations

import contextlib
import re
import time
from dataclasses import dataclass

from edgewise.devices.adb import hub, recording
from edgewise.devices.adb.client import Adb, Done, Lost, TimedOut, quoted
from edgewise.devices.adb.files import FOLDER
from edgewise.devices.tools import ending, registry
from edgewise.errors import DeviceError, InputError, RuntimeRefused
from edgewise.records import Reported

_PID = re.compile(r"^edgewise-shell:(\d+)$", re.M)
_CPUS = re.compile(r"^Cpus_allowed:\s*([0-9a-f,]+)$", re.M)
_POLL_S = 0.5
#: Set before the tool's name, such as `LD_LIBRARY_PATH=… `.
ENVIRONMENT = ""
#: A detached run leaves its output, its process and its status here.
_OUT, _STATUS = f"{FOLDER}/run.out", f"{FOLDER}/run.status"


@dataclass(frozen=True, slots=True)
class Run:
    """A command that measures: words, the CPUs it is pinned to, how long it may take and how long
    it is likely to take. `recorded`: files to record meanwhile, every `every_s`, also while the
    phone idles for `idle_s` before and after it.
    """

    words: tuple[str, ...]
    affinity: tuple[int, ...] | None
    seconds: float
    expected_s: float = 5.0
    recorded: tuple[str, ...] = ()
    idle_s: float = 0.0
    every_s: float = 0.5

    def line(self) -> str:
        """For the device's shell, with the recording around it where there is to be one."""
        if not self.recorded:
            return self._line()
        return recording.around(self._line(), self.recorded, self.idle_s, self.every_s)

    def _line(self) -> str:
        """It says its process, which the program then takes over."""
        pinned = (f"taskset {mask(self.affinity)} " if self.affinity else "") + "sh -c "
        body = (
            f"echo edgewise-pid:$$; grep Cpus_allowed: /proc/self/status; {ENVIRONMENT}exec "
            + quoted(*self.words)
        )
        return pinned + quoted(body)


def mask(cpus: tuple[int, ...]) -> str:
    """A hexadecimal mask: toybox's taskset takes no list of CPUs."""
    return f"{sum(1 << cpu for cpu in cpus):x}"


def attached(adb: Adb, run: Run) -> Done:
    """Run it in a shell that the connection holds.

    Raises:
        DeviceError: the device went away (it is back), or the run had no end in time.
        DeviceGone: it did not come back.
    """
    begun = time.monotonic()
    try:
        return adb.once(f"echo edgewise-shell:$$; {run.line()}", seconds=run.seconds)
    except Lost as error:
        after_s = time.monotonic() - begun
        adb.come_back()
        raise DeviceError(
            f"the device went away {after_s:.1f} s after the run began; it is back"
        ) from error
    except TimedOut as error:
        end_run(adb, run)
        raise DeviceError(f"no end of the run within {run.seconds:g} s: it hangs") from error


def detached(adb: Adb, run: Run, usb: hub.Port | None) -> Done:
    """Start it so that it goes on without the connection, and collect it when it has ended. The
    hub's port is without power meanwhile, where one is given.

    Raises:
        DeviceError: it left no status, or had no end in time.
        DeviceGone: the device did not come back.
    """
    script = f"echo edgewise-shell:$$ >{_OUT}; ( {run.line()} ) >>{_OUT} 2>&1; echo $? >{_STATUS}"
    adb.once(f"rm -f {_OUT} {_STATUS}; nohup sh -c {quoted(script)} >/dev/null 2>&1 </dev/null &")
    end = time.monotonic() + run.seconds
    if usb is not None:
        hub.without_power(usb, run.expected_s)
        adb.come_back()
    while True:
        try:
            status = (adb.read(f"cat {_STATUS}") or "").strip()
            if status.isdigit():
                return Done(adb.read(f"cat {_OUT}") or "", int(status))
            if not _alive(adb):
                break
        except (Lost, TimedOut):
            adb.come_back()
        if time.monotonic() >= end:
            end_run(adb, run)
            raise DeviceError(f"no end of the run within {run.seconds:g} s: it hangs")
        time.sleep(_POLL_S)
    raise DeviceError(
        "the detached run ended without a status: it was killed with adbd (some phones restart it "
        "when the cable is pulled or USB debugging changes), or the phone rebooted; try it once "
        "attached"
    )


def _alive(adb: Adb) -> bool:
    found = _PID.search(adb.read(f"cat {_OUT}") or "")
    if found is None:  # it has not begun yet, or never will
        time.sleep(_POLL_S)
        found = _PID.search(adb.read(f"cat {_OUT}") or "")
    if found is None:
        return False
    if adb.shell(f"test -d /proc/{found[1]}").status == 0:
        return True
    time.sleep(_POLL_S)  # between its end and its status
    return adb.shell(f"test -e {_STATUS}").status == 0


def end_run(adb: Adb, run: Run) -> None:
    """Nothing that was started stays behind on the device."""
    with contextlib.suppress(DeviceError):
        model = next((each for each in run.words if each.startswith("--graph=")), "")
        adb.shell(
            "i=; k=; for p in /proc/[0-9]*; do "
            "case \"$(cat $p/cmdline 2>/dev/null | tr '\\0' ' ')\" in "
            f'*{quoted(run.words[0])}*{quoted(model)}*) i="$i ${{p##*/}}";; esac; done; '
            "for p in /proc/[0-9]*; do q=$(grep PPid: $p/status 2>/dev/null); for j in $i; do "
            '[ "${q##*[!0-9]}" = "$j" ] && k="$k ${p##*/}"; done; done; kill -9 $k $i'
        )


def reported(adb: Adb, done: Done, available_bytes: int | None) -> Reported:
    """What the tool said.

    Raises:
        RuntimeRefused: it has no result; the message says why.
    """
    text = "\n".join(
        line
        for line in done.output.split("\n")
        if not line.startswith(("edgewise-", "Cpus_allowed:"))
    )
    try:
        runs = registry.read(text.encode(), done.status)
    except InputError:
        runs = []
    if runs and runs[-1].status == "ok":
        return runs[-1]
    reason = (runs[-1].reason if runs else None) or ending.reason(text, done.status)
    if done.status == 137:
        reason += _killer(adb, available_bytes)
    raise RuntimeRefused(reason)


def _killer(adb: Adb, available_bytes: int | None) -> str:
    """Android's low memory killer in the log, and how much memory there was before."""
    said = ""
    with contextlib.suppress(DeviceError):
        log = adb.read("logcat -d -t 500 2>/dev/null") or ""
        kills = [line for line in log.splitlines() if "lowmemorykiller" in line.lower()]
        if kills:
            said = f"; the log says: {kills[-1].strip()[-160:]}"
    if available_bytes is not None:
        said += f"; {available_bytes // 1_000_000} MB were available before"
    return said


def pinned_as_asked(
    done: Done, asked: tuple[int, ...], online: tuple[int, ...] | None
) -> str | None:
    """A note where the mask that the process had cannot be compared with the phone's CPUs.

    Raises:
        RuntimeRefused: it was not pinned as asked.
    """
    found = _CPUS.search(done.output)
    if found is None:
        return "affinity: the kernel does not tell which CPUs the process had"
    had = int(found[1].replace(",", ""), 16)
    wanted = int(mask(asked), 16)
    if had == wanted:
        return None
    cpus = tuple(cpu for cpu in range(had.bit_length()) if had >> cpu & 1)
    whole = sum(1 << cpu for cpu in online or ())
    if wanted & ~had and not had & ~wanted and had.bit_count() > 0 and whole & ~had == 0:
        raise RuntimeRefused(f"pinned to CPUs {list(asked)}, but the kernel let it have {cpus}")
    if had == whole:
        raise RuntimeRefused(f"pinned to CPUs {list(asked)}, and it had all of them all the same")
    return f"affinity: asked for CPUs {list(asked)}; the kernel says {list(cpus)}"

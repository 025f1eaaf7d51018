"""The screen: kept on, or off where that does not slow the processor; as it was afterwards.

Phones are reported 1.6 to 10 times slower with the screen off or in the background.
"""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass, field
from typing import Literal

from edgewise.devices.adb.client import Adb, Done
from edgewise.errors import DeviceError

_AWAKE = "settings get global stay_on_while_plugged_in"
_WAKE, _SLEEP = "input keyevent 224", "input keyevent 223"
#: A busy loop of the shell, and the highest frequency of any core while it runs.
_BUSY = (
    "( i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done ) & p=$!; sleep 0.3; "
    "cat /sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_cur_freq; kill $p"
)
_HOLDS = 0.9
_DENIED = (
    "the phone does not let the shell change settings: on MIUI switch 'USB debugging (Security "
    "settings)' on in the developer options"
)


@dataclass
class Screen:
    """What was changed, to change it back."""

    adb: Adb
    notes: list[str] = field(default_factory=list)
    _before: str | None = None
    _asleep: bool = False

    def prepare(self, wanted: Literal["keep", "off"] | None) -> None:
        """Have it as asked. What the phone refuses is a note.

        Raises:
            DeviceError: it does not answer.
        """
        if wanted is None:
            return
        if wanted == "keep":
            self._before = (self.adb.read(_AWAKE) or "").strip()
            self._try("settings put global stay_on_while_plugged_in 7")
            self._try(_WAKE)
            return
        on = self._top()
        if self._try(_SLEEP):
            self._asleep = True
            off = self._top()
            if on and off and off < on * _HOLDS:
                self._try(_WAKE)
                self._asleep = False
                self.notes.append(
                    f"the screen stays on: without it the processor fell from {on // 1000} to "
                    f"{off // 1000} MHz"
                )

    def restore(self) -> None:
        """As it was; also where the phone is gone."""
        with contextlib.suppress(DeviceError):
            if self._before is not None and re.fullmatch(r"\d+", self._before):
                self.adb.shell(f"settings put global stay_on_while_plugged_in {self._before}")
            if self._asleep:
                self.adb.shell(_WAKE)
        self._before, self._asleep = None, False

    def _try(self, command: str) -> bool:
        done: Done = self.adb.shell(command)
        if done.status == 0 and "Exception" not in done.output:
            return True
        denied = "SecurityException" in done.output
        self.notes.append(_DENIED if denied else f"'{command}' failed on the phone")
        return False

    def _top(self) -> int:
        found = re.findall(r"^\d+$", self.adb.shell(_BUSY).output, re.M)
        return max(map(int, found), default=0)

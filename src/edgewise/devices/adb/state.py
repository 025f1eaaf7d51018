"""How a phone does: temperature, frequencies, battery, screen. Read before and after measuring.

`dumpsys thermalservice` prints what it has cached first, then what the sensors say now: only the
block after "Current temperatures from HAL" counts, without sensors that read 0.0 or NaN. Where it
has none (before Android 10, or without a HAL), the battery's temperature stands in.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime

from edgewise.devices.adb.client import Adb, sections
from edgewise.records import DeviceState

_HAL = re.compile(r"^Current temperatures from HAL:\n((?:[ \t]+Temperature\{.*\n?)*)", re.M)
_SENSOR = re.compile(r"Temperature\{mValue=([^,]+), mType=(-?\d+), mName=([^,}]*)")
_BATTERY_TYPE, _SKIN_TYPE = 2, 3
_CHARGING, _FULL = 2, 5
_CPU = "/sys/devices/system/cpu"
_COMMAND = f"""echo @@battery; dumpsys battery
echo @@thermal; dumpsys thermalservice
echo @@power; dumpsys power | grep mWakefulness=
echo @@saver; settings get global low_power
echo @@doze; dumpsys deviceidle get deep
echo @@frequency; for c in {_CPU}/cpu[0-9]*; do echo "$c=$(cat $c/cpufreq/scaling_cur_freq)"; done
echo @@memory; cat /proc/meminfo
echo @@load; cat /proc/loadavg
echo @@group; cat /proc/self/cgroup
"""


@dataclass(frozen=True, slots=True)
class Temperatures:
    """In °C. `ignored`: sensors that read nothing; `status`: 0 not throttled … 6 shutting down."""

    skin: float | None
    battery: float | None
    status: int | None
    ignored: tuple[str, ...]


def read(adb: Adb) -> DeviceState:
    """How a phone does now.

    Raises:
        DeviceError: it does not answer.
    """
    return parse(sections(adb.shell(_COMMAND).output))


def parse(said: dict[str, str]) -> DeviceState:
    """What the sections say."""
    battery = said.get("battery", "")
    heat = temperatures(said.get("thermal", ""), battery)
    frequencies = {
        int(cpu): int(khz)
        for cpu, khz in re.findall(r"/cpu(\d+)=(\d+)$", said.get("frequency", ""), re.M)
    }
    cpus = {int(cpu) for cpu in re.findall(r"/cpu(\d+)=", said.get("frequency", ""))}
    available = re.search(r"^MemAvailable:\s+(\d+) kB", said.get("memory", ""), re.M)
    level, scale = _int("level", battery), _int("scale", battery)
    wakefulness = re.search(r"mWakefulness=(\w+)", said.get("power", ""))
    saver = said.get("saver", "").strip()
    doze = said.get("doze", "").strip()
    load = re.match(r"([\d.]+) ", said.get("load", ""))
    return DeviceState(
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        temperature_c=heat.skin if heat.skin is not None else heat.battery,
        temperature_of="skin" if heat.skin is not None else "battery" if heat.battery else None,
        thermal_status=heat.status,
        frequencies_khz=tuple(frequencies.get(cpu) for cpu in range(max(cpus, default=-1) + 1)),
        load_average=float(load[1]) if load else None,
        memory_available_bytes=int(available[1]) * 1024 if available else None,
        battery_percent=None if level is None or not scale else 100 * level / scale,
        charging=charging(battery),
        battery_saver={"0": False, "1": True}.get(saver),
        doze=doze if re.fullmatch(r"[A-Z_]+", doze) else None,
        wakefulness=wakefulness[1] if wakefulness else None,
        cpuset=_cpuset(said.get("group", "")),
        notes=tuple(_notes(heat, saver, doze)),
    )


def temperatures(thermal: str, battery: str) -> Temperatures:
    """The skin's and the battery's temperature."""
    block = _HAL.search(thermal)
    skin, cell, ignored = [], [], []
    for text, kind, name in _SENSOR.findall(block[1] if block else ""):
        value = _float(text)
        if value is None or math.isnan(value) or value == 0:
            ignored.append(name)
        elif int(kind) == _SKIN_TYPE:
            skin.append(value)
        elif int(kind) == _BATTERY_TYPE:
            cell.append(value)
    tenths = _int("temperature", battery)
    own = tenths / 10 if tenths else max(cell, default=None)
    status = re.search(r"^Thermal Status: (\d+)", thermal, re.M)
    return Temperatures(
        max(skin, default=None), own, int(status[1]) if status else None, tuple(ignored)
    )


def charging(battery: str) -> bool | None:
    """Whether `dumpsys battery` says that it charges, or is full on a cable."""
    status = _int("status", battery)
    if status is None:
        return None
    powered = re.search(r"^\s*(?:AC|USB|Wireless|Dock) powered: true", battery, re.M) is not None
    return status == _CHARGING or (status == _FULL and powered)


def _notes(heat: Temperatures, saver: str, doze: str) -> list[str]:
    notes = []
    if heat.status:
        notes.append(f"thermal throttling: status {heat.status} ({_HEAT.get(heat.status, '?')})")
    if saver == "1":
        notes.append("battery saver is on: it slows the processor down")
    if doze == "IDLE":
        notes.append("the phone dozes: it slows what runs in the background down")
    if heat.skin is None and heat.battery is not None:
        notes.append("temperature: of the battery only, no skin sensor tells")
    return notes


_HEAT = {1: "light", 2: "moderate", 3: "severe", 4: "critical", 5: "emergency", 6: "shutdown"}


def _cpuset(text: str) -> str | None:
    found = re.search(r"^\d+:cpuset:(\S+)", text, re.M)
    return found[1] if found else None


def _int(name: str, text: str) -> int | None:
    found = re.search(rf"^\s*{name}: (-?\d+)\s*$", text, re.M)
    return int(found[1]) if found else None


def _float(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None

"""What a phone is: read in one command, so that an old and slow one is asked once.

Nothing is guessed: what the shell user may not read, or what a reading cannot tell, is None with a
reason. Cores are counted from `possible` (some sleep, some are isolated) and grouped by their top
frequency; the binary's kind comes from the list of ABIs, never from the processor (32-bit systems
run on 64-bit cores).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from edgewise.devices.adb import state
from edgewise.devices.adb.client import Adb, sections
from edgewise.devices.cores import big_and_little, parse_list
from edgewise.errors import UsageError
from edgewise.records import DeviceFacts

_CPU = "/sys/devices/system/cpu"
_COMMAND = f"""echo @@prop; getprop
echo @@memory; cat /proc/meminfo
echo @@possible; cat {_CPU}/possible
echo @@online; cat {_CPU}/online
echo @@top; for c in {_CPU}/cpu[0-9]*; do echo "$c=$(cat $c/cpufreq/cpuinfo_max_freq)"; done
echo @@governor; cat {_CPU}/cpu0/cpufreq/scaling_governor
echo @@kernel; uname -r
echo @@supply; for d in /sys/class/power_supply/*; do
for f in type status current_now charge_counter; do echo "${{d##*/}}.$f=$(cat $d/$f)"; done; done
echo @@rails; for d in /sys/bus/iio/devices/iio:device*; do
case "$(cat $d/name)" in *odpm*)
cat $d/energy_value >/dev/null && echo readable || echo there;; esac; done
echo @@taskset; taskset 1 true; echo "status=$?"
"""
_NO_TASKSET = "no taskset: a target with affinity fails with that reason"
_NO_STATUS = "must be asked for: the shell does not pass it on"
#: The smallest and the largest current of a phone that is awake, in each unit's plausible range.
_MICRO, _MILLI = 10_000, (30, 3_000)


@dataclass(frozen=True, slots=True)
class Read:
    """A phone's facts, and what the context of a measurement needs beside them."""

    facts: DeviceFacts
    properties: Mapping[str, str]
    kernel: str | None
    governor: str | None
    online: tuple[int, ...] | None
    has_taskset: bool
    temperatures: state.Temperatures


def read(adb: Adb) -> Read:
    """Ask a phone what it is.

    Raises:
        DeviceError: it does not answer.
    """
    said = sections(adb.shell(_COMMAND).output)
    thermal = adb.shell("dumpsys thermalservice")
    battery = adb.shell("dumpsys battery").output
    return parse(said, thermal.output, battery, "shell_v2" in adb.features())


def parse(said: Mapping[str, str], thermal: str, battery: str, passes_status: bool) -> Read:
    """What the sections say."""
    properties = dict(re.findall(r"^\[(.*?)\]: \[(.*?)\]$", said.get("prop", ""), re.M))
    reasons: dict[str, str] = {}
    top = _top(said, reasons)
    big, little = big_and_little(top)
    supply = dict(re.findall(r"^(\S+?)=(.*)$", said.get("supply", ""), re.M))
    unit = _unit(supply, reasons)
    temperatures = state.temperatures(thermal, battery)
    has_taskset = "status=0" in said.get("taskset", "")
    sdk = properties.get("ro.build.version.sdk", "")
    memory = re.search(r"^MemTotal:\s+(\d+) kB", said.get("memory", ""), re.M)
    facts = DeviceFacts(
        model=properties.get("ro.product.model"),
        maker=properties.get("ro.product.manufacturer"),
        soc=_first(properties, "ro.soc.model", "ro.board.platform", "ro.hardware"),
        android=properties.get("ro.build.version.release"),
        sdk=int(sdk) if sdk.isdigit() else None,
        abi=_abi(properties),
        cores=len(top) or None,
        top_khz=top,
        big=big,
        little=little,
        memory_kb=int(memory[1]) if memory else None,
        charging=state.charging(battery),
        current_unit=unit,
        discharging_is=_sign(supply, properties, reasons),
        power_rails=_rails(said.get("rails", "")),
        temperature=_where(temperatures),
        ignored_sensors=temperatures.ignored,
        affinity=None if has_taskset else _NO_TASKSET,
        exit_status=None if passes_status else _NO_STATUS,
        reasons=reasons,
    )  # fmt: skip
    return Read(
        facts=facts,
        properties=properties,
        kernel=_line(said.get("kernel")),
        governor=_line(said.get("governor")),
        online=_cpus(said.get("online")),
        has_taskset=has_taskset,
        temperatures=temperatures,
    )


def _first(properties: Mapping[str, str], *names: str) -> str | None:
    return next((properties[name] for name in names if properties.get(name)), None)


def _abi(properties: Mapping[str, str]) -> str | None:
    """The first of the list: what the userland runs, whatever the cores could."""
    listed = _first(properties, "ro.product.cpu.abilist", "ro.product.cpu.abi")
    return listed.split(",")[0] if listed else None


def _line(text: str | None) -> str | None:
    """A one-line file, None where it could not be read."""
    line = (text or "").strip()
    return line if line and "\n" not in line and ": " not in line else None


def _cpus(text: str | None) -> tuple[int, ...] | None:
    try:
        return parse_list(text or "")
    except UsageError:
        return None


def _top(said: Mapping[str, str], reasons: dict[str, str]) -> tuple[int | None, ...]:
    """The top frequency of each possible core."""
    found = {
        int(cpu): int(khz)
        for cpu, khz in re.findall(r"/cpu(\d+)=(\d+)$", said.get("top", ""), re.M)
    }
    there = {int(cpu) for cpu in re.findall(r"/cpu(\d+)=", said.get("top", ""))}
    count = max(_cpus(said.get("possible")) or there, default=-1) + 1
    unread = [cpu for cpu in range(count) if cpu not in found]
    if unread:
        reasons["top_khz"] = f"not readable for CPUs {', '.join(map(str, unread))}"
    return tuple(found.get(cpu) for cpu in range(count))


def _battery_current(supply: Mapping[str, str]) -> int | None:
    for name, kind in supply.items():
        battery, _, what = name.partition(".")
        if what == "type" and kind.strip() == "Battery":
            text = supply.get(f"{battery}.current_now", "").strip()
            return int(text) if re.fullmatch(r"-?\d+", text) else None
    return None


def _unit(supply: Mapping[str, str], reasons: dict[str, str]) -> str | None:
    """The unit of `current_now` by what a phone that is awake can draw: 30 mA to 3 A."""
    current = _battery_current(supply)
    if current is None:
        reasons["current_unit"] = "no current_now that the shell user may read"
        return None
    if abs(current) >= _MICRO:
        return "uA"
    if _MILLI[0] <= abs(current) <= _MILLI[1]:
        return "mA"
    if current:
        reasons["current_unit"] = f"{current} is plausible in none of uA and mA"
        return "0.1 mA, or unknown"
    reasons["current_unit"] = "it reads 0: no gauge, or nothing flows"
    return None


#: The sign of the current while discharging by makers of phones and of processors, in lower case.
#: Public reports agree on these (home-assistant/android 2846, AccA 27 and 35).
_BY_MAKER = {"google": "negative", "samsung": "negative", "qti": "positive", "qualcomm": "positive"}


def _sign(
    supply: Mapping[str, str], properties: Mapping[str, str], reasons: dict[str, str]
) -> str | None:
    """The sign while discharging: told by a reading while it does, else the maker's convention."""
    current = _battery_current(supply)
    status = next((v.strip() for k, v in supply.items() if k.endswith(".status") and v.strip()), "")
    if current and status == "Discharging":
        return "negative" if current < 0 else "positive"
    now = f"told only while it discharges; now: {status or 'unknown'}"
    for name in ("ro.product.manufacturer", "ro.soc.manufacturer"):
        if known := _BY_MAKER.get(properties.get(name, "").lower()):
            reasons["discharging_is"] = f"by the maker's convention, not seen: {now}"
            return known
    reasons["discharging_is"] = now
    return None


def _rails(text: str) -> str | None:
    if "readable" in text:
        return "there"
    return "there, and not readable by the shell user" if "there" in text else None


def _where(found: state.Temperatures) -> str | None:
    if found.skin is not None:
        return "of the skin"
    return "of the battery only" if found.battery is not None else None
